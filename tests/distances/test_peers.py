"""The catalogue against other libraries, on the same data, in float64: values and gradients.

A test skips itself where its library is missing. To install them (torch, which nothing else here
needs, among them) and run all:

    .venv/bin/pip install --editable '.[bench]'
    make test-slow

What each computes, as a multiple of ours:

| peer | its function | ours | factor |
|---|---|---|---|
| POT | sliced and max-sliced distance | (max_)sliced_wasserstein | 1, once squared |
| POT | solve_sample with KL, debiased | sinkhorn_divergence | 1 |
| ott-jax | sliced_wasserstein, sinkdiv | sliced_wasserstein, sinkhorn_divergence | 1 |
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

from aejax import distances

pytestmark = [
  pytest.mark.slow,
  # What the peers warn of when imported is theirs.
  pytest.mark.filterwarnings("ignore:JAXopt is no longer maintained:DeprecationWarning"),
  pytest.mark.filterwarnings("ignore:.*invalid escape sequence"),
]

# Sums of a few thousand float64 terms of order one.
EXACT = dict(rtol=1e-11, atol=1e-12)


@pytest.fixture(autouse=True)
def _float64():
  with jax.enable_x64(True):
    yield


def latents_and_samples(m=48, dim=8):
  """Laws close enough that every term counts."""
  generator = np.random.default_rng(0)
  z = 0.8 * generator.standard_normal((64, dim)) + 0.3
  return z, generator.standard_normal((m, dim))


def unit_vectors(dim=8):
  directions = np.random.default_rng(1).standard_normal((20, dim))
  return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def agree(ours, peer, z, *samples, factor=1.0, rtol=1e-11, atol=1e-12):
  """`peer`, in torch, is `factor` times `ours`, in JAX: the value, and the gradient by z."""
  import torch

  leaf = torch.tensor(z, requires_grad=True)
  value = peer(leaf, *map(torch.tensor, samples))
  value.backward()
  expected, gradient = jax.value_and_grad(ours)(*map(jnp.asarray, (z, *samples)))
  np.testing.assert_allclose(value.item(), factor * expected, rtol=rtol, atol=atol)
  np.testing.assert_allclose(leaf.grad.numpy(), factor * gradient, rtol=rtol, atol=atol)


@pytest.mark.parametrize("m", [64, 48])
def test_pot_sliced(m):
  ot = pytest.importorskip("ot")
  z, y = latents_and_samples(m)
  directions = unit_vectors()
  for ours, theirs in (
    (distances.sliced_wasserstein, ot.sliced_wasserstein_distance),
    (distances.max_sliced_wasserstein, ot.max_sliced_wasserstein_distance),
  ):
    value = ours(jnp.asarray(z), jnp.asarray(y), directions=jnp.asarray(directions))
    np.testing.assert_allclose(theirs(z, y, projections=directions.T) ** 2, value, **EXACT)


@pytest.mark.parametrize("epsilon", [2.0, 10.0])
def test_pot_sinkhorn(epsilon):
  ot = pytest.importorskip("ot")
  z, y = latents_and_samples()

  def transport(x, y):
    return ot.solve_sample(x, y, reg=epsilon, reg_type="KL", tol=1e-11, max_iter=10_000).value

  expected = transport(z, y) - (transport(z, z) + transport(y, y)) / 2
  value = distances.sinkhorn_divergence(jnp.asarray(z), jnp.asarray(y), epsilon=epsilon)
  # POT adds 1e-15 to each of the product measure's entries, which are 3e-4.
  np.testing.assert_allclose(value, expected, rtol=0, atol=epsilon * 1e-11)


@pytest.mark.parametrize("m", [64, 48])
def test_ott_sliced(m):
  sliced = pytest.importorskip("ott.tools.sliced")
  directions = jnp.asarray(unit_vectors())
  z, y = map(jnp.asarray, latents_and_samples(m))
  expected, _ = sliced.sliced_wasserstein(z, y, proj_fn=lambda x: x @ directions.T)
  value = distances.sliced_wasserstein(z, y, directions=directions)
  np.testing.assert_allclose(value, expected, **EXACT)


@pytest.mark.parametrize("epsilon", [2.0, 10.0])
def test_ott_sinkhorn(epsilon):
  ott = pytest.importorskip("ott.tools.sinkhorn_divergence")
  z, y = map(jnp.asarray, latents_and_samples())

  # With its own point clouds, its own sum of potentials and its own gradient, we use none of them.
  def theirs(z):
    return ott.sinkdiv(z, y, epsilon=epsilon, solve_kwargs={"threshold": 1e-11})[0]

  def ours(z):
    return distances.sinkhorn_divergence(z, y, epsilon=epsilon)

  (value, gradient), (expected, slope) = (jax.value_and_grad(f)(z) for f in (ours, theirs))
  # Of second order in the 1e-8 by which our marginals may be off, and of first.
  np.testing.assert_allclose(value, expected, **EXACT)
  np.testing.assert_allclose(gradient, slope, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("bandwidth", [1.0, 3.0])
def test_geomloss_gaussian(bandwidth):
  peer = pytest.importorskip("geomloss").SamplesLoss("gaussian", blur=bandwidth)
  kernel = distances.gaussian(bandwidth)

  def ours(z, y):
    return distances.mmd(z, y, kernel=kernel, unbiased=False)

  agree(ours, peer, *latents_and_samples(), factor=1 / 2)


def test_geomloss_energy():
  peer = pytest.importorskip("geomloss").SamplesLoss("energy")
  # Its |x − x| is 1e-4, not 0, for every point of either set.
  diagonals = 1e-4 * (1 / 64 + 1 / 48) / 2

  def ours(z, y):
    return distances.energy_distance(z, y, unbiased=False)

  agree(ours, lambda z, y: peer(z, y) + diagonals, *latents_and_samples(), factor=1 / 2)


def test_geomloss_sinkhorn():
  blur = 2.5
  # Its cost is |x − y|²/2. It anneals ε and stops, converged or not; what is left falls with the
  # step: at its default 0.2 % of the value and 0.5 % of the gradient, here 2e-8 and 2e-5.
  peer = pytest.importorskip("geomloss").SamplesLoss("sinkhorn", p=2, blur=blur, scaling=0.999)

  def ours(z, y):
    return distances.sinkhorn_divergence(z, y, epsilon=2 * blur**2)

  agree(ours, peer, *latents_and_samples(), factor=1 / 2, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dim", [2, 8, 64])
def test_cw_torch(dim):
  metric = pytest.importorskip("cw_torch.metric")
  import torch

  z, y = latents_and_samples(m=64, dim=dim)
  gamma = torch.tensor(0.2, dtype=torch.float64)

  def to_normal(z):
    return distances.cramer_wold(z, gamma=0.2, approximate=True)

  def to_samples(z, y):
    return distances.cramer_wold(z, y, gamma=0.2, approximate=True)

  # Its constants are rounded to eleven digits, of terms of order one that cancel.
  rounded = dict(rtol=1e-10, atol=1e-10)
  agree(to_normal, lambda z: metric.cw_normality(z, gamma), z, **rounded)
  agree(to_samples, lambda z, y: metric.cw(z, y, gamma), z, y, **rounded)
  factor = 2 * math.sqrt(math.pi)
  agree(to_normal, lambda z: metric.cw_normality_no_scale(z, gamma), z, factor=factor)


def test_cw_torch_default_gamma():
  gamma = pytest.importorskip("cw_torch.gamma")
  import torch

  z, y = latents_and_samples()
  theirs = gamma.silverman_rule_of_thumb_sample(torch.tensor(y)).item()
  # (4/3)^(1/5) = 1.0592 is 1.059 there and 1.06 here; the variance there is the unbiased one.
  ours = theirs * (1.06 / 1.059) ** 2 * (1 - 1 / y.size)
  z, y = jnp.asarray(z), jnp.asarray(y)
  value = distances.cramer_wold(z, y)
  # γ passes through float32 there.
  np.testing.assert_allclose(value, distances.cramer_wold(z, y, gamma=ours), rtol=1e-6)


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_pythae_mmd(kernel):
  models = pytest.importorskip("pythae.models")
  import torch

  config = models.WAE_MMD_Config(input_dim=(4,), latent_dim=8, kernel_choice=kernel)
  model, image = models.WAE_MMD(config), torch.zeros(64, 4)
  # Its Gaussian is exp(−d / (2D)).
  ours = distances.imq() if kernel == "imq" else distances.gaussian(math.sqrt(8))
  agree(
    lambda z, y: distances.mmd(z, y, kernel=ours),
    lambda z, y: model.loss_function(image, image, z, y)[2],
    *latents_and_samples(m=64),
  )


def mean_of_kl(mean, log_variance):
  return distances.kl_divergence(mean, log_variance).mean()


def test_pythae_kl_divergence():
  models = pytest.importorskip("pythae.models")
  import torch

  model = models.VAE(models.VAEConfig(input_dim=(4,), latent_dim=8))
  image = torch.zeros(64, 4)

  def peer(mean, log_variance):
    return model.loss_function(image, image, mean, log_variance, mean)[2]

  agree(mean_of_kl, peer, *latents_and_samples(m=64))


def test_torch_kl_divergence():
  torch = pytest.importorskip("torch")
  prior = torch.distributions.Normal(0, 1)

  def peer(mean, log_variance):
    posterior = torch.distributions.Normal(mean, torch.exp(log_variance / 2))
    return torch.distributions.kl_divergence(posterior, prior).sum(1).mean()

  agree(mean_of_kl, peer, *latents_and_samples(m=64))
