"""Arrays of every dtype, byte order, layout and subclass: stored rightly, or refused."""

import jax.numpy as jnp
import numpy as np
import pytest

import aejax
from aejax.autoencoder import pixels
from aejax.data.examples import as_examples


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, jnp.bfloat16])
def test_floats_that_are_bytes_become_bytes_exactly(dtype):
  levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
  values = (levels / 255).astype(dtype)
  images = as_examples(values, name="it")
  if dtype == jnp.bfloat16:  # too few digits to tell the bytes apart
    assert images.dtype in (np.uint8, np.float32)
  else:
    np.testing.assert_array_equal(images, levels[..., None])
  if dtype in (np.float32, np.float64):
    # XLA multiplies by 1/255, which rounds once more than a division.
    np.testing.assert_allclose(pixels(images)[..., 0], values.astype(np.float32), rtol=1.2e-7)


def test_other_floats_stay_as_they_are():
  values = np.random.default_rng(0).random((3, 8, 8))
  images = as_examples(values, name="it")
  assert images.dtype == np.float32
  np.testing.assert_array_equal(images[..., 0], values.astype(np.float32))


@pytest.mark.parametrize(
  "kind",
  [
    lambda x: x.astype(">f4"),
    lambda x: x.astype(">f8"),
    np.asfortranarray,
    lambda x: np.concatenate([x, x])[::2][: len(x)] * 0 + x,
    lambda x: x[::-1][::-1],
    lambda x: np.lib.stride_tricks.as_strided(x, x.shape, x.strides),
    lambda x: x.view(type("Sub", (np.ndarray,), {})),
    np.matrix,
    jnp.asarray,
    np.float128,
  ],
)
@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_every_kind_of_array_gives_the_same_examples(kind):
  values = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
  found = as_examples(kind(values), name="it")
  assert type(found) is np.ndarray
  assert found.dtype == np.dtype("=f4")
  np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, bool])
def test_whole_numbers_are_the_values_of_vectors(dtype):
  values = np.arange(10).reshape(5, 2).astype(dtype)
  found = as_examples(values, name="it")
  assert found.dtype == np.float32
  np.testing.assert_array_equal(found, values)


def test_values_that_float32_rounds_away_get_a_warning():
  seconds = 1.7e9 + np.arange(20.0)
  table = np.stack([np.arange(20.0), seconds, np.full(20, 1.7e9)], 1)
  message = r"it holds values up to 1.7e\+09 in feature 2 \(of 3\) that vary by 5.77 only"
  for values in (table, table.astype(np.int64)):
    with pytest.warns(aejax.AejaxWarning, match=message):
      as_examples(values, name="it")
  as_examples(table - table.mean(0), name="it")
  as_examples(table.astype(np.float32), name="it")  # already rounded by its owner


def test_three_axes_are_images_or_signals():
  generator = np.random.default_rng(0)
  assert as_examples(generator.random((9, 6, 5)), name="it").shape == (9, 6, 5, 1)
  assert as_examples(generator.normal(size=(9, 6, 5)), name="it").shape == (9, 6, 5)
  assert as_examples(generator.normal(size=(9, 6, 1)), name="it").shape == (9, 6, 1)
  with pytest.warns(aejax.AejaxWarning, match="is read as signals of 6 steps and 28 channels"):
    as_examples(generator.normal(size=(9, 6, 28)), name="it")


def test_bytes_must_use_their_range():
  with pytest.raises(ValueError, match="it holds bytes up to 1 only, but 255 is white: multiply"):
    as_examples(np.eye(5, dtype=np.uint8)[None].repeat(4, 0), name="it")
  with pytest.warns(aejax.AejaxWarning, match="it holds bytes up to 16 only"):
    as_examples(np.full((4, 5, 5), 16, np.uint8), name="it")
  with pytest.warns(aejax.AejaxWarning, match="black images"):
    as_examples(np.full((4, 5, 5), 1 / 255**2), name="it")


@pytest.mark.parametrize(
  ("array", "message"),
  [
    (
      np.zeros((4, 4, 5), np.int64) + 7,
      r"it must be uint8, or floats .* int64 in \[7, 7\]: divide",
    ),
    (np.zeros((4, 4, 5), bool), "got bool in"),
    (np.zeros((4, 4, 5), complex), "got complex128"),
    (np.zeros((4, 5), [("a", float)]), "it must be uint8 or floats, got"),
    (np.zeros((4, 5), object), "it must be uint8 or floats, got object"),
    (np.full((4, 5), "x"), "it must be uint8 or floats, got <U1"),
    (np.zeros((4, 5), "M8[s]"), "it must be uint8 or floats, got datetime64"),
    (np.ma.masked_equal(np.zeros((4, 5)), 0), "it is a masked array"),
    ([[1.0]], "it must be an array, but is a list"),
    (
      np.full((4, 4, 5), 255.0),
      "it holds whole numbers up to 255 as float64: store images as uint8",
    ),
    (np.full((4, 4, 5), np.nan), "it holds NaN or infinite values"),
    (np.full((4, 5), np.inf), "it holds NaN or infinite values"),
    (np.full((4, 5), 1e200), r"it holds 1e\+200 to 1e\+200, more than float32 can hold"),
    (np.zeros(64, np.uint8), r"must have shape \[n, d\], .* got \[64\]"),
    (np.zeros((), np.uint8), r"got \[\]"),
    (np.zeros((1, 4, 4, 4, 1, 1), np.uint8), r"got \[1, 4, 4, 4, 1, 1\]"),
    (np.zeros((0, 8, 8), np.uint8), r"it is empty: shape \[0, 8, 8\]"),
    (np.full((32, 32, 3), 99, np.uint8), "looks like one image"),
    (np.full((9, 3, 32, 32), 99, np.uint8), r"transpose it with images.transpose\(0, 2, 3, 1\)"),
    (np.full((9, 1, 28, 28), 99, np.uint8), "channels come first"),
    (np.full((9, 32, 32, 4), 99, np.uint8), "drop the alpha channel"),
    (np.full((9, 32, 32, 2), 99, np.uint8), r"the last axis must hold 1 \(grey\) or 3 \(RGB\)"),
  ],
)
def test_other_arrays_are_refused(array, message):
  with pytest.raises(ValueError, match=message):
    as_examples(array, name="it")
