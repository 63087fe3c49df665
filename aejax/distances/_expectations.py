"""Expectations of kernels under priors: E k(x, y) for each x, and E k(y, y′).

One place says which pairs of kernel and prior have a closed form. The formulas are in the modules
of the priors: `_spherical`, `_mixture`, `_normal`, `_student` and `_products`.
"""

import functools
import math
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from aejax.distances._arguments import NoClosedForm
from aejax.distances._distance_kernels import NegativeDistance, Phi, mean_norm
from aejax.distances._gaussian_nodes import gaussian_nodes, has_gaussian_nodes, terms_of
from aejax.distances._kernel_algebra import KernelSum, WeightedKernel
from aejax.distances._mixture import mixture_mean, mixture_pair_mean
from aejax.distances._normal import normal_distance, normal_pair_distance, normal_sum
from aejax.distances._products import (
  product_distance,
  product_pair_distance,
  product_pair_sum,
  product_sum,
)
from aejax.distances._radial import kummer, phi
from aejax.distances._spherical import (
  ball_mean,
  ball_pair_mean,
  flux_mean,
  sphere_mean,
  sphere_pair_mean,
)
from aejax.distances._student import (
  student_distance,
  student_pair_distance,
  student_pair_sum,
  student_rule,
  student_sum,
)
from aejax.distances.kernels import Gaussian, InverseMultiquadric
from aejax.distances.scale_mixtures import Matern, RationalQuadratic
from aejax.priors import (
  GaussianMixture,
  Laplace,
  Normal,
  Prior,
  StudentT,
  UniformBall,
  UniformCube,
  UniformSphere,
)

__all__ = ["has_closed_form", "prior_mean", "prior_pair_mean"]

_PRIORS = (GaussianMixture, Laplace, Normal, StudentT, UniformBall, UniformCube, UniformSphere)

# A ball of more than this many widths of the kernel needs too many nodes in few dimensions.
_MAX_RATIO = 20.0


def has_closed_form(name: str, kernel: Any, prior: Prior) -> bool:
  """Whether `prior_mean` and `prior_pair_mean` know a kernel and a prior other than N(0, I).

  Raises:
    ValueError: if they know both, but the expectation is infinite or needs too many nodes.
  """
  energy = isinstance(kernel, NegativeDistance)
  if not isinstance(prior, _PRIORS) or not (energy or has_gaussian_nodes(kernel)):
    return False
  if energy and isinstance(prior, StudentT) and prior.df <= 1:
    raise ValueError(
      f"{name} to StudentT needs df > 1, because the mean distance is infinite, but df is "
      f"{prior.df:.6g}: use mmd or cramer_wold."
    )
  if isinstance(prior, UniformBall) and not energy and not isinstance(kernel, Phi):
    if prior.dim > 1 and any(isinstance(term, Matern) for term in terms_of(kernel)):
      raise NoClosedForm(
        f"{name} to a UniformBall has no closed form for kernels that are not smooth at 0, such as "
        "laplace and matern: pass samples of the ball, or set sample_prior=True in an objective."
      )
    width = _width(kernel, prior.dim)
    if 1 < prior.dim < 8 and prior.radius > _MAX_RATIO * width:
      raise NoClosedForm(
        f"{name} to a UniformBall of radius {prior.radius:.6g} in closed form needs a kernel of "
        f"width {prior.radius / _MAX_RATIO:.6g} or more, but it has {width:.6g}: pass samples of "
        "the ball, or set sample_prior=True in an objective."
      )
  return True


def prior_mean(kernel: Any, rows: Float[Array, "n d"], prior: Any) -> Float[Array, " n"]:
  """Returns E k(x, y) over y from the prior, for each row x."""
  dim = rows.shape[1]
  energy = isinstance(kernel, NegativeDistance)
  match prior:
    case UniformSphere():
      return sphere_mean(lambda d: kernel(d, dim), rows, prior.radius)
    case UniformBall() if energy or isinstance(kernel, Phi):
      return flux_mean(lambda s: kernel.ball_average(s, dim), rows, prior.radius)
    case UniformBall(dim=1):
      return prior_mean(kernel, rows, UniformCube(1, prior.radius))
    case UniformBall():
      width = _width(kernel, dim)
      return ball_mean(lambda d: kernel(d, dim), rows, prior.radius, width)
    case GaussianMixture():
      return mixture_mean(functools.partial(_component_mean, kernel, dim), rows, prior)
    case StudentT() if energy:
      return -student_distance(rows, prior)
    case StudentT() if isinstance(kernel, Phi):
      variances, weights = (_as(v, rows.dtype) for v in _rule(prior, rows.dtype))
      squared_norms = jnp.sum(rows * rows, 1)[:, None]
      return jnp.sum(_component_mean(kernel, dim, squared_norms, variances) * weights, 1)
    case StudentT():
      return student_sum(kernel, rows, prior)
    case Normal():
      if energy:
        return -normal_distance(rows, prior)
      return normal_sum(gaussian_nodes(kernel, dim, rows.dtype), rows, prior)
    case _:
      if energy:
        return -product_distance(rows, prior)
      return product_sum(gaussian_nodes(kernel, dim, rows.dtype), rows, prior)


def prior_pair_mean(kernel: Any, prior: Any, dtype: Any) -> Array | float:
  """Returns E k(y, y′) over independent y, y′ from the prior."""
  dim = prior.dim
  energy = isinstance(kernel, NegativeDistance)
  match prior:
    case UniformSphere():
      return sphere_pair_mean(lambda d: kernel(d, dim), dim, prior.radius, dtype)
    case UniformBall():
      return ball_pair_mean(lambda d: kernel(d, dim), dim, prior.radius, dtype)
    case GaussianMixture():
      return mixture_pair_mean(functools.partial(_component_mean, kernel, dim), prior)
    case StudentT() if energy:
      return -student_pair_distance(prior)
    case StudentT() if isinstance(kernel, Phi):
      variances, weights = (_as(v, dtype) for v in _rule(prior, dtype))
      sums = variances[:, None] + variances
      values = _component_mean(kernel, dim, jnp.zeros((), dtype), sums)
      return jnp.sum(values * weights * weights[:, None])
    case StudentT():
      return student_pair_sum(kernel, prior)
    case Normal():
      if energy:
        return -normal_pair_distance(prior, dtype)
      twice = 2 * prior.mean.astype(dtype)[None]
      return normal_sum(gaussian_nodes(kernel, dim, dtype), twice, prior, copies=2)[0]
    case _:
      if energy:
        return -product_pair_distance(prior)
      return product_pair_sum(gaussian_nodes(kernel, dim, dtype), prior)


def _component_mean(kernel: Any, dim: int, squared_distances: Array, variances: Array) -> Array:
  """Returns E k(x, y) over y ~ N(m, variance I), a function of |x − m|²."""
  match kernel:
    case KernelSum():
      terms = [_component_mean(k, dim, squared_distances, variances) for k in kernel.terms]
      return functools.reduce(jnp.add, terms)
    case WeightedKernel():
      mean = _component_mean(kernel.kernel, dim, squared_distances, variances)
      return kernel.weight * mean
    case Gaussian():
      return kernel.normal_mean(squared_distances, dim, variance=variances)
    case NegativeDistance():
      mean = kummer(-0.5, dim / 2, squared_distances / (2 * variances))
      return -mean_norm(dim) * jnp.sqrt(variances) * mean
    case Phi():
      widened = kernel.gamma + variances / 2
      value = phi(squared_distances / (4 * widened), dim)
      return value * jnp.sqrt(kernel.gamma) * lax.rsqrt(widened)
    case _:
      nodes = gaussian_nodes(kernel, dim, squared_distances.dtype)
      a = _as(nodes.exponents, squared_distances.dtype)
      scaled = a * jnp.asarray(variances)[..., None]
      exponents = squared_distances[..., None] * (a / 2 / (1 + scaled))
      return nodes.sum(jnp.exp(-exponents - dim / 2 * jnp.log1p(scaled)))


def _rule(prior: StudentT, dtype: Any) -> tuple[Any, Any]:
  variances, weights = student_rule(prior.df, dtype == jnp.float64)
  return variances.clip(max=1e30), weights


def _as(values: Any, dtype: Any) -> Array:
  return jnp.asarray(values, dtype)


def _width(kernel: Any, dim: int) -> float:
  """Returns the distance over which a kernel changes."""
  return min(_width_of_term(term, dim) for term in terms_of(kernel))


def _width_of_term(kernel: Any, dim: int) -> float:
  match kernel:
    case Gaussian() | Matern():
      return float(kernel.bandwidth)
    case InverseMultiquadric():
      return math.sqrt(2 * dim * min(kernel.scales))
    case RationalQuadratic():
      return float(kernel.scale) * math.sqrt(min(1, 2 * kernel.power))
    case _:
      raise TypeError(f"{kernel} has no width.")
