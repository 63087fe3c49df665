"""Every published constant, confirmed by an oracle: peers that are installed, and definitions.

The slow tests compare with other libraries, on the same data, in float64, value and (where the
peer differentiates) gradient; one whose library is missing skips itself:

    .venv/bin/pip install -e '.[bench]'   # brings torch, which nothing else here needs
    make test-slow

What each computes, as a multiple of ours:

| peer | its function | ours | factor |
|---|---|---|---|
| POT | sliced, max-sliced distance | (max_)sliced_wasserstein | square it |
| POT | solve_sample, debiased by hand | sinkhorn_divergence | 1 |
| ott-jax | sliced_wasserstein, sinkhorn_divergence | the same | 1 |
| geomloss | gaussian, energy (biased) | mmd, energy_distance (biased) | 1/2 |
| geomloss | sinkhorn, p = 2 | sinkhorn_divergence at ε = 2 blur² | 1/2 |
| cw-torch | cw_normality, cw | cramer_wold, approximate | 1 |
| cw-torch | cw_normality_no_scale; gmum's code | cramer_wold, approximate | 2√π |
| pythae | mmd_loss of WAE_MMD; KLD of VAE | mmd; mean of kl_divergence | 1 |
| LeJEPA | Epps–Pulley, sliced | epps_pulley; sigreg over all directions | 1 |
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats
from scipy.optimize import linear_sum_assignment

from aejax import distances

slow = pytest.mark.slow
# Sums of a few thousand float64 terms of order one.
EXACT = dict(rtol=1e-11, atol=1e-12)


@pytest.fixture(autouse=True)
def _float64():
  with jax.enable_x64(True):
    yield


def sets(n=64, m=48, dim=8, num=20):
  """Latents, samples and directions: laws close enough that all terms count."""
  generator = np.random.default_rng(0)
  z = 0.8 * generator.standard_normal((n, dim)) + 0.3
  y = generator.standard_normal((m, dim))
  directions = generator.standard_normal((num, dim))
  return z, y, directions / np.linalg.norm(directions, axis=1, keepdims=True)


def agree(ours, peer, z, *rest, factor=1.0, **tolerance):
  """`peer`, in torch, is `factor` times `ours`, in JAX: value and gradient by z."""
  import torch

  leaf = torch.tensor(z, requires_grad=True)
  value = peer(leaf, *map(torch.tensor, rest))
  value.backward()
  expected, gradient = jax.value_and_grad(ours)(*map(jnp.asarray, (z, *rest)))
  tolerance = EXACT | tolerance
  np.testing.assert_allclose(value.item(), factor * expected, **tolerance)
  np.testing.assert_allclose(leaf.grad.numpy(), factor * gradient, **tolerance)


def squared_distances(x, y):
  return ((x[:, None] - y) ** 2).sum(-1)


# --- POT and ott-jax ---


@slow
@pytest.mark.parametrize("m", [64, 48])
def test_pot_returns_roots(m):
  ot = pytest.importorskip("ot")
  z, y, directions = sets(m=m)
  for ours, theirs in (
    (distances.sliced_wasserstein, ot.sliced_wasserstein_distance),
    (distances.max_sliced_wasserstein, ot.max_sliced_wasserstein_distance),
  ):
    value = ours(jnp.asarray(z), jnp.asarray(y), directions=jnp.asarray(directions))
    np.testing.assert_allclose(theirs(z, y, projections=directions.T) ** 2, value, **EXACT)


@slow
@pytest.mark.parametrize("epsilon", [2.0, 10.0])
def test_pot_sinkhorn(epsilon):
  ot = pytest.importorskip("ot")
  z, y, _ = sets()

  def transport(x, y):
    return ot.solve_sample(x, y, reg=epsilon, reg_type="KL", tol=1e-11, max_iter=10_000).value

  expected = transport(z, y) - (transport(z, z) + transport(y, y)) / 2
  value = distances.sinkhorn_divergence(jnp.asarray(z), jnp.asarray(y), epsilon=epsilon)
  # POT adds 1e-15 to the product measure, whose entries are 3e-4.
  np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-10)


@slow
@pytest.mark.filterwarnings("ignore:JAXopt is no longer maintained:DeprecationWarning")
@pytest.mark.parametrize("m", [64, 48])
def test_ott_sliced(m):
  sliced = pytest.importorskip("ott.tools.sliced")
  z, y, directions = map(jnp.asarray, sets(m=m))
  expected, _ = sliced.sliced_wasserstein(z, y, proj_fn=lambda x: x @ directions.T)
  value = distances.sliced_wasserstein(z, y, directions=directions)
  np.testing.assert_allclose(value, expected, **EXACT)


@slow
@pytest.mark.filterwarnings("ignore:JAXopt is no longer maintained:DeprecationWarning")
@pytest.mark.parametrize("epsilon", [2.0, 10.0])
def test_ott_sinkhorn(epsilon):
  ott = pytest.importorskip("ott.tools.sinkhorn_divergence")
  z, y, _ = map(jnp.asarray, sets())
  # By its own point clouds and its own sum of potentials, of which we use neither.
  expected = jax.value_and_grad(
    lambda z: ott.sinkdiv(z, y, epsilon=epsilon, solve_kwargs={"threshold": 1e-11})[0]
  )(z)
  value = jax.value_and_grad(lambda z: distances.sinkhorn_divergence(z, y, epsilon=epsilon))(z)
  # Values are of second order in our marginals' 1e-8, gradients of first.
  np.testing.assert_allclose(value[0], expected[0], rtol=1e-11)
  np.testing.assert_allclose(value[1], expected[1], rtol=1e-7, atol=1e-9)


# --- geomloss: half the squared norm, and diagonals kept ---


@slow
@pytest.mark.parametrize("bandwidth", [1.0, 3.0])
def test_geomloss_gaussian(bandwidth):
  peer = pytest.importorskip("geomloss").SamplesLoss("gaussian", blur=bandwidth)
  kernel = distances.gaussian(bandwidth)
  agree(
    lambda z, y: distances.mmd(z, y, kernel=kernel, unbiased=False), peer, *sets()[:2], factor=0.5
  )


@slow
def test_geomloss_energy():
  peer = pytest.importorskip("geomloss").SamplesLoss("energy")
  z, y, _ = sets()
  # Its |x − x| is 1e-4, not 0, once for each point of either set.
  diagonals = 1e-4 * (1 / len(z) + 1 / len(y)) / 2
  agree(
    lambda z, y: distances.energy_distance(z, y, unbiased=False),
    lambda z, y: peer(z, y) + diagonals,
    z,
    y,
    factor=0.5,
  )


@slow
def test_geomloss_sinkhorn():
  blur = 1.5
  peer = pytest.importorskip("geomloss").SamplesLoss("sinkhorn", p=2, blur=blur, scaling=0.999)
  # Its cost is |x − y|²/2. It anneals ε and stops, whether or not it has converged.
  agree(
    lambda z, y: distances.sinkhorn_divergence(z, y, epsilon=2 * blur**2),
    peer,
    *sets()[:2],
    factor=0.5,
    rtol=1e-4,
    atol=1e-6,
  )


# --- Cramer-Wold: cw-torch, and the authors' formulas ---

escapes = pytest.mark.filterwarnings("ignore:.*invalid escape sequence")


@slow
@escapes
@pytest.mark.parametrize("dim", [2, 8, 64])
def test_cw_torch(dim):
  import torch

  metric = pytest.importorskip("cw_torch.metric")
  z, y, _ = sets(m=64, dim=dim)
  gamma = torch.tensor(0.2)

  def to_normal(z):
    return distances.cramer_wold(z, gamma=0.2, approximate=True)

  def to_samples(z, y):
    return distances.cramer_wold(z, y, gamma=0.2, approximate=True)

  # γ is float32 there, and its constants have eleven digits.
  close = dict(rtol=1e-6, atol=1e-9)
  agree(to_normal, lambda z: metric.cw_normality(z, gamma), z, **close)
  unscaled = 2 * math.sqrt(math.pi)
  agree(to_normal, lambda z: metric.cw_normality_no_scale(z, gamma), z, factor=unscaled, **close)
  agree(to_samples, lambda z, y: metric.cw(z, y, gamma), z, y, **close)


@slow
@escapes
def test_cw_torch_default_gamma():
  import torch

  gamma = pytest.importorskip("cw_torch.gamma")
  z, y, _ = map(jnp.asarray, sets())
  theirs = gamma.silverman_rule_of_thumb_sample(torch.tensor(np.asarray(y))).item()
  # (4/3)^(1/5) = 1.0592 is 1.059 there and 1.06 here; the variance there is the unbiased one.
  ours = theirs * (1.06 / 1.059) ** 2 * (1 - 1 / y.size)
  np.testing.assert_allclose(
    distances.cramer_wold(z, y), distances.cramer_wold(z, y, gamma=ours), rtol=1e-6
  )


@slow
@pytest.mark.parametrize("dim", [1, 2, 3, 8, 64])
def test_gmum_cramer_wold(dim):
  """One dimension by normal densities, two by Bessel's I₀, more by the asymptotic φ."""
  torch = pytest.importorskip("torch")
  z, *_ = sets(dim=dim)
  n, gamma = len(z), (4 / (3 * len(z))) ** 0.4

  def in_one(z):
    def density(x, variance):
      return torch.exp(-(x**2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)

    to_prior = density(z, 1 + 2 * gamma).mean()
    own = density(z - z.T, 2 * gamma).mean()
    return own + 1 / math.sqrt(2 * math.pi * (2 + 2 * gamma)) - 2 * to_prior

  def phi(s):
    return torch.special.i0e(s / 2) if dim == 2 else (1 + 4 * s / (2 * dim - 3)) ** -0.5

  def in_more(z):
    own = phi(squared_distances(z, z) / (4 * gamma)).sum() / (n**2 * math.sqrt(gamma))
    to_prior = phi((z**2).sum(1) / (2 + 4 * gamma)).mean() / math.sqrt(gamma + 0.5)
    return own + 1 / math.sqrt(1 + gamma) - 2 * to_prior

  agree(
    lambda z: distances.cramer_wold(z, approximate=dim > 2),
    in_one if dim == 1 else in_more,
    z,
    factor=1 if dim == 1 else 2 * math.sqrt(math.pi),
  )


# --- MMD, KL: pythae, WAE, BHEP ---


@slow
@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_pythae_mmd(kernel):
  models = pytest.importorskip("pythae.models")
  import torch

  z, y, _ = sets(m=64)
  config = models.WAE_MMD_Config(input_dim=(4,), latent_dim=8, kernel_choice=kernel)
  model, image = models.WAE_MMD(config), torch.zeros(len(z), 4)
  # Its Gaussian is exp(−d / (2 D)).
  ours = distances.imq() if kernel == "imq" else distances.gaussian(math.sqrt(8))
  agree(
    lambda z, y: distances.mmd(z, y, kernel=ours),
    lambda z, y: model.loss_function(image, image, z, y)[2],
    z,
    y,
  )


@slow
def test_wae_mmd():
  torch = pytest.importorskip("torch")
  z, y, _ = sets(m=64)
  n, dim = z.shape

  def penalty(z, y):
    off_diagonal = 1 - torch.eye(n)
    total = 0
    for scale in (0.1, 0.2, 0.5, 1, 2, 5, 10):
      c = 2 * dim * scale
      own = [(c / (c + squared_distances(x, x)) * off_diagonal).sum() for x in (z, y)]
      total += sum(own) / (n * (n - 1)) - 2 * (c / (c + squared_distances(z, y))).mean()
    return total

  agree(distances.mmd, penalty, z, y)


@slow
@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_bhep(beta):
  torch = pytest.importorskip("torch")
  z, *_ = sets()

  def statistic(z):
    own = torch.exp(-(beta**2) / 2 * squared_distances(z, z)).mean()
    exponents = -(beta**2) / (2 * (1 + beta**2)) * (z**2).sum(1)
    to_prior = (1 + beta**2) ** -4.0 * torch.exp(exponents).mean()
    return own - 2 * to_prior + (1 + 2 * beta**2) ** -4.0

  kernel = distances.gaussian(1 / beta)
  agree(lambda z: distances.mmd(z, kernel=kernel, unbiased=False), statistic, z)


@slow
def test_kl_divergence():
  torch = pytest.importorskip("torch")
  models = pytest.importorskip("pythae.models")
  mean, log_variance, _ = sets(m=64)

  def by_torch(mean, log_variance):
    posterior = torch.distributions.Normal(mean, torch.exp(log_variance / 2))
    return (
      torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0, 1)).sum(1).mean()
    )

  image = torch.zeros(len(mean), 4)
  model = models.VAE(models.VAEConfig(input_dim=(4,), latent_dim=8))

  def by_pythae(mean, log_variance):
    return model.loss_function(image, image, mean, log_variance, mean)[2]

  for peer in (by_torch, by_pythae):
    agree(lambda m, v: distances.kl_divergence(m, v).mean(), peer, mean, log_variance)


# --- slices: SWAE, LeJEPA; Stein ---


@slow
def test_swae():
  torch = pytest.importorskip("torch")
  z, y, directions = sets(m=64)

  def distance(z, y, directions):
    x, y = (torch.sort(directions @ v.T, dim=1)[0] for v in (z, y))
    return ((x - y) ** 2).mean()

  agree(
    lambda z, y, d: distances.sliced_wasserstein(z, y, directions=d), distance, z, y, directions
  )


def lejepa(z, directions, t_max, num_points):
  """The trapezoidal rule on [0, t_max], twice, times n."""
  import torch

  t = torch.linspace(0, t_max, num_points, dtype=z.dtype)
  angles = (z @ directions.T)[..., None] * t
  error = (torch.cos(angles).mean(0) - torch.exp(-(t**2) / 2)) ** 2 + torch.sin(angles).mean(0) ** 2
  return 2 * len(z) * torch.trapezoid(error * torch.exp(-(t**2) / 2), t).mean()


@slow
def test_lejepa_epps_pulley():
  pytest.importorskip("torch")
  z, _, directions = sets()

  def ours(z, d):
    return distances.epps_pulley(z, directions=d)

  # Ours stops at t = 6.2 and at nodes that alias by 5e-9, of terms that n multiplies.
  dense = dict(rtol=1e-7, atol=64 * 5e-9)
  agree(ours, lambda z, d: lejepa(z, d, 9, 400), z, directions, **dense)
  # With its own 17 points up to 3, the tail beyond is missing: |φ_n − φ|² there is about 1/n, so
  # that n times its integral is 2 ∫ exp(−t²/2) over t > 3; the rule's own error is smaller.
  tail = math.sqrt(2 * math.pi) * math.erfc(3 / math.sqrt(2))
  agree(ours, lambda z, d: lejepa(z, d, 3, 17), z, directions, rtol=0, atol=4 * tail)


@slow
def test_lejepa_over_all_directions_is_sigreg():
  pytest.importorskip("torch")
  z, *_ = sets(dim=2)
  # In the plane, equally spaced directions integrate over the circle to machine precision.
  angles = np.arange(200) * math.pi / 200
  directions = np.stack([np.cos(angles), np.sin(angles)], 1)
  agree(lambda z, d: distances.sigreg(z), lambda z, d: lejepa(z, d, 9, 400), z, directions)


@slow
@pytest.mark.parametrize("unbiased", [True, False])
def test_kernel_stein_by_its_definition(unbiased):
  torch = pytest.importorskip("torch")
  z, *_ = sets(n=12, dim=3)

  def kernel(x, y):
    return sum(6 * s / (6 * s + ((x - y) ** 2).sum()) for s in (0.5, 2.0))

  def pair(x, y):
    by_x, by_y = torch.func.grad(kernel, 0), torch.func.grad(kernel, 1)
    trace = torch.func.jacrev(by_x, 1)(x, y).trace()
    return x @ y * kernel(x, y) - x @ by_y(x, y) - y @ by_x(x, y) + trace

  def discrepancy(z):
    pairs = torch.func.vmap(torch.func.vmap(pair, (None, 0)), (0, None))(z, z)
    return (pairs.sum() - pairs.trace()) / (12 * 11) if unbiased else pairs.mean()

  ours = distances.imq((0.5, 2.0))
  agree(lambda z: distances.kernel_stein(z, kernel=ours, unbiased=unbiased), discrepancy, z)


# --- scipy: what every installation has ---

SCIPY = dict(rtol=1e-9, atol=1e-10)


def line(statistic, z, directions):
  return np.mean([statistic(np.sort(p)) for p in (z @ directions.T).T])


def by_steps(integrand, p):
  """∫ over u in (0, 1) of integrand(i, u), i the rank of the step that u is in."""
  n = len(p)
  return sum(
    integrate.quad(lambda u, i=i: integrand(i, u), i / n, (i + 1) / n)[0] for i in range(n)
  )


def anderson_darling(p):
  edges = np.concatenate([[0], special.ndtr(p), [1]])
  pieces = [
    integrate.quad(lambda u, f=i / len(p): (f - u) ** 2 / (u * (1 - u)), edges[i], edges[i + 1])[0]
    for i in range(len(p) + 1)
  ]
  return len(p) * sum(pieces)


def epps_pulley(p):
  def integrand(t):
    return abs(np.exp(1j * t * p).mean() - np.exp(-(t**2) / 2)) ** 2 * np.exp(-(t**2) / 2)

  return 2 * len(p) * integrate.quad(integrand, 0, 12, limit=200)[0]


@pytest.mark.parametrize(
  ("name", "statistic"),
  [
    ("cramer_von_mises", lambda p: stats.cramervonmises(p, "norm").statistic),
    ("kolmogorov_smirnov", lambda p: stats.kstest(p, "norm").statistic),
    ("anderson_darling", anderson_darling),
    ("epps_pulley", epps_pulley),
    (
      "sliced_wasserstein",
      lambda p: by_steps(lambda i, u: (p[i] - special.ndtri(u)) ** 2, p),
    ),
  ],
)
def test_statistics_on_slices(name, statistic):
  z, _, directions = sets(n=20, dim=3, num=4)
  value = getattr(distances, name)(jnp.asarray(z), directions=jnp.asarray(directions))
  # epps_pulley's own rule is exact to 5e-9 a term, n of them.
  tolerance = dict(rtol=0, atol=20 * 5e-9) if name == "epps_pulley" else SCIPY
  np.testing.assert_allclose(value, line(statistic, z, directions), **tolerance)


def test_wasserstein_by_assignment():
  z, y, directions = sets(n=12, m=9, dim=3, num=4)
  # 36 points of equal mass on either side.
  pairs = [
    squared_distances(np.repeat(z @ d, 3)[:, None], np.repeat(y @ d, 4)[:, None])
    for d in directions
  ]
  expected = [costs[linear_sum_assignment(costs)].mean() for costs in pairs]
  arguments = jnp.asarray(z), jnp.asarray(y)
  value = distances.sliced_wasserstein(*arguments, directions=jnp.asarray(directions))
  np.testing.assert_allclose(value, np.mean(expected), **EXACT)
  value = distances.max_sliced_wasserstein(*arguments, directions=jnp.asarray(directions))
  np.testing.assert_allclose(value, np.max(expected), **EXACT)


def test_energy_distance_on_the_line():
  z, y, _ = sets(dim=1)
  value = distances.energy_distance(jnp.asarray(z), jnp.asarray(y), unbiased=False)
  # scipy returns the root.
  np.testing.assert_allclose(value, stats.energy_distance(z[:, 0], y[:, 0]) ** 2, **EXACT)


@pytest.mark.parametrize("target", ["normal", "samples"])
def test_cramer_wold_by_its_definition(target):
  """The mean over directions of ∫ (f − g)², both densities smoothed by N(0, γ)."""
  z, y, _ = sets(n=9, m=7, dim=2)
  gamma = 0.3

  def smoothed(t, p):
    return stats.norm.pdf(t, p, math.sqrt(gamma)).mean()

  def on_line(direction):
    def integrand(t):
      other = smoothed(t, y @ direction)
      if target == "normal":
        other = stats.norm.pdf(t, 0, math.sqrt(1 + gamma))
      return (smoothed(t, z @ direction) - other) ** 2

    # Smooth and gone beyond ±10, so that equal steps converge exponentially.
    t = np.linspace(-10, 10, 161)
    return sum(map(integrand, t)) * (t[1] - t[0])

  angles = np.arange(24) * math.pi / 24
  expected = np.mean([on_line(np.array([np.cos(a), np.sin(a)])) for a in angles])
  other = None if target == "normal" else jnp.asarray(y)
  value = distances.cramer_wold(jnp.asarray(z), other, gamma=gamma)
  np.testing.assert_allclose(value, expected, **SCIPY)
