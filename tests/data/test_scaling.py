import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import data
from aejax.autoencoder import pixels
from aejax.data import Dataset, LazyImages, Scaling, choose_scaling

RANDOM = np.random.default_rng(0)


def _dataset(values):
  values = np.asarray(values)
  values = values if values.dtype == np.uint8 else values.astype(np.float32)
  return Dataset("x", values[2:], values[:2])


@pytest.mark.parametrize(
  ("values", "standardise", "expected"),
  [
    (RANDOM.random((9, 4)), None, "unit"),
    (RANDOM.normal(size=(9, 4)), False, "none"),
    (RANDOM.normal(size=(9, 4, 4, 1)), False, "none"),
    (RANDOM.integers(0, 256, (9, 4, 4, 1), np.uint8), None, "unit"),
  ],
)
def test_choose_scaling_keeps_values(values, standardise, expected):
  scaling = choose_scaling(_dataset(values), standardise)
  assert scaling.to_json() == expected
  assert scaling.output == (None if expected == "unit" else "identity")
  assert scaling.dataset(dataset := _dataset(values)) is dataset


@pytest.mark.parametrize("shape", [(4,), (6, 2), (3, 3, 3, 1)])
def test_choose_scaling_standardises_other_data(shape):
  values = RANDOM.normal(size=(200, *shape)) * np.arange(1, shape[-1] + 1) + 7
  dataset = _dataset(values)
  scaling = choose_scaling(dataset)
  axes = tuple(range(len(shape)))
  np.testing.assert_allclose(scaling.mean, dataset.train.mean(axes, np.float64), rtol=1e-6)
  np.testing.assert_allclose(scaling.scale, dataset.train.std(axes, np.float64), rtol=1e-6)
  standardised = scaling.dataset(dataset)
  np.testing.assert_allclose(standardised.train.mean(axes), 0, atol=1e-5)
  np.testing.assert_allclose(standardised.train.std(axes), 1, atol=1e-5)
  np.testing.assert_array_equal(standardised.test, scaling.apply(dataset.test))
  np.testing.assert_allclose(scaling.undo(standardised.test), dataset.test, rtol=1e-5, atol=1e-5)
  # Test values are not looked at.
  assert choose_scaling(Dataset("x", dataset.train, dataset.test * 100)) == scaling


def test_choose_scaling_standardises_bytes_on_request():
  images = RANDOM.integers(0, 256, (20, 4, 4, 3), np.uint8)
  dataset = _dataset(images)
  scaling = choose_scaling(dataset, True)
  np.testing.assert_allclose(scaling.mean, (dataset.train / 255).mean((0, 1, 2)), rtol=1e-6)
  standardised = scaling.apply(images)
  np.testing.assert_allclose(standardised[2:].std((0, 1, 2)), 1, atol=1e-5)
  np.testing.assert_allclose(scaling.undo(standardised), images / 255, atol=1e-6)


def test_choose_scaling_refuses_images_outside_of_the_unit_interval():
  dataset = _dataset(RANDOM.random((9, 4, 4, 1)) * 255)
  with pytest.raises(
    ValueError, match=r"the images of x hold floats in \[.*, 25.*\], not in \[0, 1"
  ):
    choose_scaling(dataset)
  assert choose_scaling(dataset, True).mean is not None


def test_constant_features_are_only_centred():
  values = np.stack([np.full(20, 0.1), np.full(20, 3e5), RANDOM.normal(size=20)], 1)
  scaling = choose_scaling(_dataset(values))
  assert scaling.scale[:2] == (1.0, 1.0)
  np.testing.assert_allclose(scaling.apply(values.astype(np.float32))[:, :2], 0, atol=1e-7)


def test_scaling_of_lazy_data_equals_that_in_memory(tmp_path):
  np.save(tmp_path / "a.npy", RANDOM.normal(size=(30, 5)) * 3 + 1)
  resident, lazy = data.load(tmp_path / "a.npy"), data.load(tmp_path / "a.npy", in_memory=False)
  scaling = choose_scaling(resident)
  assert choose_scaling(lazy) == scaling
  standardised = scaling.dataset(lazy)
  assert isinstance(standardised.train, LazyImages)
  np.testing.assert_array_equal(standardised.train[3:9], scaling.dataset(resident).train[3:9])


def test_apply_of_unit_values_is_that_of_training():
  images = RANDOM.integers(0, 256, (3, 4, 4, 1), np.uint8)
  np.testing.assert_array_equal(Scaling().apply(images), pixels(images))
  np.testing.assert_array_equal(jax.jit(Scaling().apply)(images), jax.jit(pixels)(images))


@pytest.mark.parametrize(
  "scaling", [Scaling(), Scaling(unit=False), Scaling(False, (0.1, -3.0), (1e-3, 7.0))]
)
def test_scaling_survives_json(scaling):
  assert Scaling.from_json(json.loads(json.dumps(scaling.to_json()))) == scaling


@pytest.mark.parametrize(
  "value",
  [None, 3, "units", {}, {"mean": [1]}, {"mean": [1], "scale": []}, {"mean": [1], "scale": [0]}],
)
def test_from_json_rejects_other_values(value):
  with pytest.raises(ValueError, match='scaling must be "unit", "none", or an object'):
    Scaling.from_json(value)


UNIT, NONE, STANDARD = Scaling(), Scaling(unit=False), Scaling(False, (0.0,), (1.0,))


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray])
@pytest.mark.parametrize(
  ("scaling", "values", "message"),
  [
    (UNIT, np.full((2, 3), 1.5), r"x must be uint8, or floats in \[0, 1\], but span \[1.5, 1.5\]"),
    (UNIT, np.full((2, 3), np.nan), "but span"),
    (UNIT, np.ones((2, 3), np.int32), "x must be uint8, or floats .*, but are int32"),
    (UNIT, np.ones((2, 3), bool), "but are bool"),
    (UNIT, np.ones((2, 4)), r"x must have shape \[n, 3\], but have shape \[2, 4\]"),
    (UNIT, np.ones(3), r"but have shape \[3\]"),
    (NONE, np.full((2, 3), np.inf), "x must be finite floats, but span"),
    (NONE, np.ones((2, 3), np.uint8), "x must be finite floats, but are uint8"),
    (STANDARD, np.ones((2, 3), complex), "x must be finite floats, but are complex"),
  ],
)
def test_check_rejects_numpy_and_jax_arrays_alike(kind, scaling, values, message):
  with pytest.raises(ValueError, match=message):
    scaling.check(kind(values), (3,), name="x")


@pytest.mark.parametrize(
  "convert",
  [
    lambda x: x.astype(np.float16),
    lambda x: x.astype(">f4"),
    lambda x: x.astype(">f8"),
    np.asfortranarray,
    lambda x: x[::-1],
    lambda x: jnp.asarray(x, jnp.bfloat16),
    lambda x: x.tolist(),
  ],
)
def test_check_and_apply_take_every_kind_of_float(convert):
  values = RANDOM.integers(0, 9, (4, 3)) / np.float32(8)
  converted = convert(values)
  found = UNIT.apply(UNIT.check(converted, (3,)))
  assert found.dtype == jnp.float32
  np.testing.assert_array_equal(found, np.asarray(converted, np.float32))


def test_check_accepts_whole_numbers_for_data_outside_of_the_unit_interval():
  values = np.arange(6).reshape(2, 3)
  np.testing.assert_array_equal(NONE.apply(NONE.check(values, (3,))), values)
