"""The distances against ott-jax on the same data, in float64: values and gradients.

test_torch_peers.py compares with libraries that requirements.txt does not install. As a multiple of
the functions of aejax:

| function of ott-jax | function of aejax | factor |
|---|---|---|
| sliced_wasserstein | sliced_wasserstein | 1 |
| sinkdiv | sinkhorn_divergence | 1 |
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from peer_data import EXACT, latents_and_samples, unit_vectors

from aejax import distances

# A dependency of ott-jax warns at import.
pytestmark = pytest.mark.filterwarnings("ignore:JAXopt is no longer maintained:DeprecationWarning")


@pytest.fixture(autouse=True)
def _float64():
  with jax.enable_x64(True):
    yield


@pytest.mark.parametrize("m", [64, 48])
def test_sliced_wasserstein_equals_ott(m):
  from ott.tools import sliced

  directions = jnp.asarray(unit_vectors())
  z, y = map(jnp.asarray, latents_and_samples(m))
  expected, _ = sliced.sliced_wasserstein(z, y, proj_fn=lambda x: x @ directions.T)
  value = distances.sliced_wasserstein(z, y, directions=directions)
  np.testing.assert_allclose(value, expected, **EXACT)


@pytest.mark.parametrize("epsilon", [2.0, 10.0])
@pytest.mark.slow
def test_sinkhorn_divergence_equals_ott(epsilon):
  from ott.tools import sinkhorn_divergence as ott

  z, y = map(jnp.asarray, latents_and_samples())

  # `sinkdiv` uses its own point clouds, sum of potentials and gradient; aejax uses none of them.
  def peer(z):
    return ott.sinkdiv(z, y, epsilon=epsilon, solve_kwargs={"threshold": 1e-11})[0]

  def ours(z):
    return distances.sinkhorn_divergence(z, y, epsilon=epsilon)

  (value, gradient), (expected, slope) = (jax.value_and_grad(f)(z) for f in (ours, peer))
  # The marginals may be off by 1e-8: an error of second order in the value, of first in the
  # gradient.
  np.testing.assert_allclose(value, expected, **EXACT)
  np.testing.assert_allclose(gradient, slope, rtol=1e-7, atol=1e-9)
