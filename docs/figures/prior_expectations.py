"""Compares the expectations of kernels under priors with float64 oracles (two minutes).

E k(x, y) over y from a prior is computed in float32 for x at seven distances from 0, up to ten
radii of the prior. The oracles use other formulas or far finer rules.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from page import print_table
from scipy import special

from aejax import distances, priors
from aejax.distances._distance_kernels import NegativeDistance, Phi
from aejax.distances._expectations import prior_mean

DIMENSIONS = (1, 2, 3, 8, 64, 256, 1024)
RADII = np.array([0, 0.3, 0.9, 1, 1.1, 2, 10])  # in units of the prior's radius
GAMMA = 0.1
KERNELS = ("imq", "gaussian(√D)", "φ_D", "−|x − y|")


def kernel_of(name, dim):
  """Returns a kernel of the library."""
  return {
    "imq": distances.imq(),
    "gaussian(√D)": distances.gaussian(dim**0.5),
    "φ_D": Phi(jnp.float32(GAMMA)),
    "−|x − y|": NegativeDistance(),
  }[name]


def priors_of(dim):
  """Returns priors with a variance near one."""
  rotation, _ = np.linalg.qr(np.random.default_rng(dim).standard_normal((dim, dim)))
  covariance = (rotation * np.geomspace(0.1, 3, dim)) @ rotation.T
  return {
    "UniformSphere": priors.UniformSphere(dim, radius=dim**0.5),
    "UniformBall": priors.UniformBall(dim, radius=(dim + 2) ** 0.5),
    "GaussianMixture": priors.GaussianMixture(
      np.array([1, 3], np.float32),
      np.stack([np.full(dim, -1), np.full(dim, 0.5)]).astype(np.float32),
      np.array([0.3, 1.5], np.float32),
    ),
    "Normal": priors.Normal(
      np.full(dim, 0.5, np.float32), ((covariance + covariance.T) / 2).astype(np.float32)
    ),
    "StudentT(df=3)": priors.StudentT(dim, df=3.0),
    "Laplace": priors.Laplace(dim, scale=0.7),
    "UniformCube": priors.UniformCube(dim, half_width=1.7),
  }


def points(dim):
  """Returns rows at RADII on one ray, in float32."""
  return (RADII[:, None] * np.ones(dim)).astype(np.float32)


def _panels(edges, order=24):
  """Returns Gauss–Legendre nodes and weights on every interval between edges."""
  t, w = np.polynomial.legendre.leggauss(order)
  halves = np.diff(edges)[:, None] / 2
  return (edges[:-1, None] + halves * (1 + t)).ravel(), (halves * w).ravel()


def _radial(name, dim):
  """Returns a kernel as a function of the squared distance, in float64."""
  scales = 2 * dim * np.array(distances.imq().scales)
  return {
    "imq": lambda d: sum(c / (c + d) for c in scales),
    "gaussian(√D)": lambda d: np.exp(-d / (2 * dim)),
    "φ_D": lambda d: special.hyp1f1(0.5, dim / 2, -d / (4 * GAMMA)),
    "−|x − y|": lambda d: -np.sqrt(d),
  }[name]


def _on_sphere(kernel, dim, norm, radius):
  if dim == 1:
    return (kernel((norm - radius) ** 2) + kernel((norm + radius) ** 2)) / 2
  theta, w = _panels(np.concatenate([[0], np.geomspace(1e-8, np.pi, 60)]))
  w = w * np.sin(theta) ** (dim - 2)
  d = (norm - radius) ** 2 + 4 * norm * radius * np.sin(theta / 2) ** 2
  return kernel(d) @ w / w.sum()


def _in_ball(kernel, dim, norm, radius):
  # The edges crowd at |y| = |x|, where the mean over a sphere has a kink.
  steps = np.geomspace(1e-6, 1, 12)
  near = np.concatenate([norm / radius - steps, [norm / radius], norm / radius + steps])
  edges = np.unique(np.concatenate([[0], 1 - steps[4:], near[(near > 0) & (near < 1)], [1]]))
  v, w = _panels(edges, 12)
  w = w * dim * v ** (dim - 1)
  return sum(one * _on_sphere(kernel, dim, norm, radius * r) for r, one in zip(v, w, strict=True))


def _laplace_transform(prior, x, a):
  """Returns E exp(−a_j |x − y|² / 2) for one x."""
  dim = prior.dim
  if isinstance(prior, priors.GaussianMixture):
    weights = np.asarray(prior.weights, np.float64)
    terms = [
      w * np.exp(-((x - m) ** 2).sum() * a / 2 / (1 + v * a) - dim / 2 * np.log1p(v * a))
      for w, m, v in zip(weights, np.asarray(prior.means), np.asarray(prior.variances), strict=True)
    ]
    return np.sum(terms, 0) / weights.sum()
  if isinstance(prior, priors.Normal):
    values, vectors = np.linalg.eigh(np.asarray(prior.covariance, np.float64))
    scaled = values[:, None] * a
    squares = ((x - np.asarray(prior.mean, np.float64)) @ vectors) ** 2
    return np.exp(-(squares @ (a / 2 / (1 + scaled))) - np.log1p(scaled).sum(0) / 2)
  if isinstance(prior, priors.StudentT):
    log_precision = np.arange(-60, 6, 0.05)
    log_weights = prior.df / 2 * (log_precision - np.exp(log_precision))
    weights = np.exp(log_weights - log_weights.max())
    scaled = np.exp(-log_precision)[:, None] * a
    terms = np.exp(-(x @ x) * a / 2 / (1 + scaled) - dim / 2 * np.log1p(scaled))
    return weights @ terms / weights.sum()
  # All coordinates of x are equal, so one factor is enough.
  y, w = coordinate(prior, x[0])
  return (np.exp(-a[:, None] * (x[0] - y) ** 2 / 2) @ w) ** dim


def coordinate(prior, x=0.0):
  """Returns nodes and weights for one coordinate of a Laplace distribution or a cube.

  The nodes crowd at x, which resolves narrow kernels around it.
  """
  steps = np.geomspace(1e-7, 100, 90)
  half_width = prior.half_width if isinstance(prior, priors.UniformCube) else 45 * prior.scale
  edges = np.concatenate([x - steps, [x], x + steps, -steps, [0], steps])
  edges = np.unique(np.concatenate([edges[np.abs(edges) < half_width], [-half_width, half_width]]))
  y, w = _panels(edges, 16)
  if isinstance(prior, priors.Laplace):
    w = w * np.exp(-np.abs(y) / prior.scale)
  return y, w / w.sum()


def _by_transform(name, prior, x):
  dim, step = prior.dim, 0.1
  transform = functools.partial(_laplace_transform, prior, x)
  if name == "gaussian(√D)":
    return transform(np.array([1 / dim]))[0]
  if name == "φ_D":
    if dim == 1:
      return transform(np.array([0.5 / GAMMA]))[0]
    u = np.arange(-60, 60, step)
    density = np.exp(-np.logaddexp(0, -u) / 2 - np.logaddexp(0, u) * (dim - 1) / 2)
    return density @ transform(special.expit(u) / (2 * GAMMA)) / density.sum()
  a = np.exp(np.arange(np.log(1e-13), np.log(1e9), step))
  if name == "imq":
    c = 2 * dim * np.array(distances.imq().scales)[:, None]
    return ((step * a * c / 2 * np.exp(-c * a / 2)).sum(0) * transform(a)).sum()
  # 1 − E exp(−a d / 2) is geometric in a at both ends.
  terms = step * a**-0.5 * (1 - transform(a))
  low = _mean_squared_distance(prior, x) / 2 * step * a[0] ** 0.5 / np.expm1(step / 2)
  high = step * a[-1] ** -0.5 / np.expm1(step / 2)
  return -(terms.sum() + low + high) / np.sqrt(2 * np.pi)


def _mean_squared_distance(prior, x):
  if isinstance(prior, priors.GaussianMixture):
    weights = np.asarray(prior.weights) / np.sum(prior.weights)
    squares = ((x - np.asarray(prior.means)) ** 2).sum(1) + prior.dim * np.asarray(prior.variances)
    return weights @ squares
  if isinstance(prior, priors.Normal):
    return ((x - np.asarray(prior.mean)) ** 2).sum() + np.trace(prior.covariance)
  variance = {
    priors.StudentT: lambda p: p.df / (p.df - 2),
    priors.Laplace: lambda p: 2 * p.scale**2,
    priors.UniformCube: lambda p: p.half_width**2 / 3,
  }[type(prior)](prior)
  return x @ x + prior.dim * variance


def exact(name, prior, rows):
  """Returns E k(x, y) for each row x, in float64."""
  rows = np.asarray(rows, np.float64)
  if isinstance(prior, priors.UniformSphere | priors.UniformBall):
    mean = _on_sphere if isinstance(prior, priors.UniformSphere) else _in_ball
    kernel = _radial(name, prior.dim)
    return np.array([mean(kernel, prior.dim, np.linalg.norm(x), prior.radius) for x in rows])
  return np.array([_by_transform(name, prior, x) for x in rows])


def error(name, prior, rows):
  """Returns the largest error of the library, relative to the largest value of each kernel."""
  kernel = kernel_of(name, prior.dim)
  values = jax.jit(lambda rows, prior: prior_mean(kernel, rows, prior))(jnp.asarray(rows), prior)
  truth = exact(name, prior, rows)
  largest = np.abs(truth) if name.startswith("−") else (7 if name == "imq" else 1)
  return float(np.max(np.abs(np.asarray(values) - truth) / largest))


def main():
  """Prints the table of the largest errors over all kernels."""
  rows = []
  for name in priors_of(1):
    errors = [
      max(error(kernel, priors_of(dim)[name], points(dim)) for kernel in KERNELS)
      for dim in DIMENSIONS
    ]
    rows.append([f"`{name}`", *(f"{one:.0e}" for one in errors)])
  print_table(["prior", *(f"D = {dim}" for dim in DIMENSIONS)], rows)


if __name__ == "__main__":
  main()
