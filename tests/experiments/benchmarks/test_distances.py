import jax
import jax.numpy as jnp
import numpy as np
import pytest
from benchmarks.distances import DISTANCES, Cell, value_and_gradient

from aejax import distances

pytestmark = pytest.mark.bench


def test_the_whole_catalogue_is_measured():
  functions = set(distances.__all__) & set(DISTANCES) | {"mmd"}
  no_distances = {"Gaussian", "InverseMultiquadric", "Kernel", "gaussian", "imq"}
  assert functions == set(distances.__all__) - no_distances - {"random_directions"}


@pytest.mark.parametrize("name", DISTANCES)
def test_every_form_has_a_value_and_gradients(name):
  distance = DISTANCES[name]
  data = Cell(name, 8, 4, 3).data()
  for form in distance.forms.values():
    value, gradients = jax.eval_shape(value_and_gradient(form, distance.inputs), data)
    assert value.shape == ()
    assert value.dtype == jnp.float32
    assert {key: g.shape for key, g in gradients.items()} == dict.fromkeys(distance.inputs, (8, 4))


def test_data_are_the_same_each_time_and_off_the_prior():
  data, again = (Cell("sigreg", 4096, 4, 5).data() for _ in range(2))
  assert all(np.array_equal(data[key], again[key]) for key in data)
  assert all(value.dtype == np.float32 for value in data.values())
  # 16,384 draws: standard errors of 0.006 and 0.005.
  assert data["latents"].mean() == pytest.approx(0.2, abs=0.03)
  assert data["latents"].std() == pytest.approx(0.8, abs=0.03)
  np.testing.assert_allclose(np.linalg.norm(data["directions"], axis=1), 1, rtol=1e-6)


def test_a_cell_in_words():
  assert str(Cell("sigreg", 64, 8)) == "sigreg  n 64, D 8"
  cell = Cell("epps_pulley", 64, 8, 50, "bfloat16", 4)
  assert str(cell) == "epps_pulley  n 64, D 8, 50 slices, bfloat16, 4 devices"
