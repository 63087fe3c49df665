"""The distances against libraries that need torch or that requirements.txt does not install.

A test is skipped if its library is missing. To install all of them and run the tests:

    .venv/bin/pip install --editable '.[bench]'
    make test-slow

As a multiple of the functions of aejax, on the same data in float64:

| library | function | function of aejax | factor |
|---|---|---|---|
| POT | sliced and max-sliced distance, squared | (max_)sliced_wasserstein | 1 |
| POT | solve_sample with KL, debiased | sinkhorn_divergence | 1 |
| geomloss | gaussian, energy | mmd, energy_distance, both biased | 1/2 |
| geomloss | sinkhorn with p = 2 | sinkhorn_divergence at ε = 2 blur² | 1/2 |
| cw-torch | cw_normality, cw | cramer_wold, approximate | 1 |
| cw-torch | cw_normality_no_scale | cramer_wold, approximate | 2√π |
| pythae | mmd_loss of WAE_MMD | mmd, imq() or gaussian(√D) | 1 |
| pythae | KLD of VAE | mean of kl_divergence | 1 |
| torch | kl_divergence of Normals, summed over D | kl_divergence | 1 |
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from peer_data import EXACT, latents_and_samples, unit_vectors

from aejax import distances

pytestmark = [
  pytest.mark.slow,
  # Warnings of these libraries at import.
  pytest.mark.filterwarnings("ignore:JAXopt is no longer maintained:DeprecationWarning"),
  pytest.mark.filterwarnings("ignore:.*invalid escape sequence"),
]


@pytest.fixture(autouse=True)
def _float64():
  with jax.enable_x64(True):
    yield


def agree(ours, peer, z, *samples, factor=1.0, rtol=1e-11, atol=1e-12):
  """Asserts that `peer`, in torch, is `factor` times `ours` in value and gradient by z."""
  import torch

  leaf = torch.tensor(z, requires_grad=True)
  value = peer(leaf, *map(torch.tensor, samples))
  value.backward()
  expected, gradient = jax.value_and_grad(ours)(*map(jnp.asarray, (z, *samples)))
  np.testing.assert_allclose(value.item(), factor * expected, rtol=rtol, atol=atol)
  np.testing.assert_allclose(leaf.grad.numpy(), factor * gradient, rtol=rtol, atol=atol)


@pytest.mark.parametrize("m", [64, 48])
def test_sliced_wasserstein_equals_pot(m):
  ot = pytest.importorskip("ot")
  z, y = latents_and_samples(m)
  directions = unit_vectors()
  for ours, peer in (
    (distances.sliced_wasserstein, ot.sliced_wasserstein_distance),
    (distances.max_sliced_wasserstein, ot.max_sliced_wasserstein_distance),
  ):
    value = ours(jnp.asarray(z), jnp.asarray(y), directions=jnp.asarray(directions))
    np.testing.assert_allclose(peer(z, y, projections=directions.T) ** 2, value, **EXACT)


@pytest.mark.parametrize("epsilon", [2.0, 10.0])
def test_sinkhorn_divergence_equals_pot(epsilon):
  ot = pytest.importorskip("ot")
  z, y = latents_and_samples()

  def transport(x, y):
    return ot.solve_sample(x, y, reg=epsilon, reg_type="KL", tol=1e-11, max_iter=10_000).value

  expected = transport(z, y) - (transport(z, z) + transport(y, y)) / 2
  value = distances.sinkhorn_divergence(jnp.asarray(z), jnp.asarray(y), epsilon=epsilon)
  # POT adds 1e-15 to each entry of the product measure; the entries are 3e-4.
  np.testing.assert_allclose(value, expected, rtol=0, atol=epsilon * 1e-11)


@pytest.mark.parametrize("bandwidth", [1.0, 3.0])
def test_mmd_gaussian_equals_geomloss(bandwidth):
  peer = pytest.importorskip("geomloss").SamplesLoss("gaussian", blur=bandwidth)
  kernel = distances.gaussian(bandwidth)

  def ours(z, y):
    return distances.mmd(z, y, kernel=kernel, unbiased=False)

  agree(ours, peer, *latents_and_samples(), factor=1 / 2)


def test_energy_distance_equals_geomloss():
  peer = pytest.importorskip("geomloss").SamplesLoss("energy")
  # In geomloss |x − x| is 1e-4, not 0, for every point of both sets.
  diagonals = 1e-4 * (1 / 64 + 1 / 48) / 2

  def ours(z, y):
    return distances.energy_distance(z, y, unbiased=False)

  agree(ours, lambda z, y: peer(z, y) + diagonals, *latents_and_samples(), factor=1 / 2)


def test_sinkhorn_divergence_equals_geomloss():
  blur = 2.5
  # The cost in geomloss is |x − y|²/2. It anneals ε and stops, converged or not. The error falls
  # with the step: 0.2 % of the value and 0.5 % of the gradient by default, 2e-8 and 2e-5 here.
  peer = pytest.importorskip("geomloss").SamplesLoss("sinkhorn", p=2, blur=blur, scaling=0.999)

  def ours(z, y):
    return distances.sinkhorn_divergence(z, y, epsilon=2 * blur**2)

  agree(ours, peer, *latents_and_samples(), factor=1 / 2, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dim", [2, 8, 64])
def test_cramer_wold_equals_cw_torch(dim):
  metric = pytest.importorskip("cw_torch.metric")
  import torch

  z, y = latents_and_samples(m=64, dim=dim)
  gamma = torch.tensor(0.2, dtype=torch.float64)

  def to_normal(z):
    return distances.cramer_wold(z, gamma=0.2, approximate=True)

  def to_samples(z, y):
    return distances.cramer_wold(z, y, gamma=0.2, approximate=True)

  # The constants of cw-torch are rounded to eleven digits, and terms of order one cancel.
  rounded = dict(rtol=1e-10, atol=1e-10)
  agree(to_normal, lambda z: metric.cw_normality(z, gamma), z, **rounded)
  agree(to_samples, lambda z, y: metric.cw(z, y, gamma), z, y, **rounded)
  factor = 2 * math.sqrt(math.pi)
  agree(to_normal, lambda z: metric.cw_normality_no_scale(z, gamma), z, factor=factor)


def test_cramer_wold_default_gamma_equals_cw_torch():
  gamma = pytest.importorskip("cw_torch.gamma")
  import torch

  z, y = latents_and_samples()
  peer = gamma.silverman_rule_of_thumb_sample(torch.tensor(y)).item()
  # cw-torch rounds (4/3)^(1/5) = 1.0592 to 1.059, aejax to 1.06, and uses the unbiased variance.
  ours = peer * (1.06 / 1.059) ** 2 * (1 - 1 / y.size)
  z, y = jnp.asarray(z), jnp.asarray(y)
  value = distances.cramer_wold(z, y)
  # cw-torch rounds γ to float32.
  np.testing.assert_allclose(value, distances.cramer_wold(z, y, gamma=ours), rtol=1e-6)


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_mmd_equals_pythae(kernel):
  models = pytest.importorskip("pythae.models")
  import torch

  config = models.WAE_MMD_Config(input_dim=(4,), latent_dim=8, kernel_choice=kernel)
  model, image = models.WAE_MMD(config), torch.zeros(64, 4)
  # The Gaussian kernel of pythae is exp(−d / (2D)).
  ours = distances.imq() if kernel == "imq" else distances.gaussian(math.sqrt(8))
  agree(
    lambda z, y: distances.mmd(z, y, kernel=ours),
    lambda z, y: model.loss_function(image, image, z, y)[2],
    *latents_and_samples(m=64),
  )


def mean_of_kl(mean, log_variance):
  return distances.kl_divergence(mean, log_variance).mean()


def test_kl_divergence_equals_pythae():
  models = pytest.importorskip("pythae.models")
  import torch

  model = models.VAE(models.VAEConfig(input_dim=(4,), latent_dim=8))
  image = torch.zeros(64, 4)

  def peer(mean, log_variance):
    return model.loss_function(image, image, mean, log_variance, mean)[2]

  agree(mean_of_kl, peer, *latents_and_samples(m=64))


def test_kl_divergence_equals_torch():
  torch = pytest.importorskip("torch")
  prior = torch.distributions.Normal(0, 1)

  def peer(mean, log_variance):
    posterior = torch.distributions.Normal(mean, torch.exp(log_variance / 2))
    return torch.distributions.kl_divergence(posterior, prior).sum(1).mean()

  agree(mean_of_kl, peer, *latents_and_samples(m=64))
