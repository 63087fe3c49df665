import jax
import jax.numpy as jnp
import numpy as np
import pytest
from benchmarks.distance_plan import Case
from benchmarks.distances import DISTANCES, value_and_gradient

from aejax import distances

pytestmark = pytest.mark.bench


def test_catalogue_has_every_distance():
  functions = set(distances.__all__) & set(DISTANCES) | {"mmd"}
  other_names = {"Gaussian", "InverseMultiquadric", "Kernel", "gaussian", "imq"}
  other_names |= {"Matern", "RationalQuadratic", "laplace", "matern", "rational_quadratic"}
  other_names |= {"median_bandwidth"}
  assert functions == set(distances.__all__) - other_names - {"random_directions"}


@pytest.mark.parametrize("name", DISTANCES)
def test_every_form_returns_value_and_gradients(name):
  distance = DISTANCES[name]
  data = Case(name, 8, 4, 3).data()
  for form in distance.forms.values():
    value, gradients = jax.eval_shape(value_and_gradient(form, distance.inputs), data)
    assert value.shape == ()
    assert value.dtype == jnp.float32
    assert {key: g.shape for key, g in gradients.items()} == dict.fromkeys(distance.inputs, (8, 4))


def test_case_data_are_reproducible_and_near_the_prior():
  data, again = (Case("sigreg", 4096, 4, 5).data() for _ in range(2))
  assert all(np.array_equal(data[key], again[key]) for key in data)
  assert all(value.dtype == np.float32 for value in data.values())
  # The standard errors of 16,384 numbers are 0.006 and 0.005.
  assert data["latents"].mean() == pytest.approx(0.2, abs=0.03)
  assert data["latents"].std() == pytest.approx(0.8, abs=0.03)
  np.testing.assert_allclose(np.linalg.norm(data["directions"], axis=1), 1, rtol=1e-6)


def test_case_as_text():
  assert str(Case("sigreg", 64, 8)) == "sigreg  n 64, D 8"
  case = Case("epps_pulley", 64, 8, 50, "bfloat16", 4)
  assert str(case) == "epps_pulley  n 64, D 8, 50 directions, bfloat16, 4 devices"
