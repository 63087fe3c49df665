"""The Sinkhorn divergence; ott-jax computes its potentials."""

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float

from aejax._memory import check_fits
from aejax._messages import warn
from aejax.distances._arguments import (
  Latents,
  Samples,
  Scalar,
  ScalarLike,
  as_latents,
  as_samples,
  checked,
)
from aejax.distances._sharding import AxisName, all_gather_rows, mesh_size, split_rows
from aejax.distances._sinkhorn_potentials import potentials, tolerance

__all__ = ["sinkhorn_divergence", "sinkhorn_divergence_and_residual"]

Matrix = Float[Array, "_ _"]


@checked
def sinkhorn_divergence(
  z: Latents,
  samples: Samples,
  *,
  epsilon: ScalarLike,
  max_iterations: int = 2000,
  axis_name: AxisName = None,
) -> Scalar:
  """Debiased entropic optimal transport between the distributions of `z` and `samples`.

  OT_ε(x, y) − (OT_ε(x, x) + OT_ε(y, y)) / 2, with OT_ε the minimum of ⟨P, |x − y|²⟩ +
  ε KL(P ‖ a ⊗ b) over couplings P. It interpolates between the squared Wasserstein distance W₂²
  (ε → 0) and the squared distance of the means (ε → ∞), and is zero if and only if the samples
  coincide. It needs ott-jax, which the extra `aejax[sinkhorn]` installs.

  The mean squared distance of two draws of N(0, I) is 2D. With ε a hundredth of it, the value is
  within 2 % of W₂² after a few hundred iterations; a tenth takes tens. Time and memory grow with
  n² + nm + m².

  Args:
    z: latents, one a row.
    samples: samples of the target, one a row; there is no closed form to N(0, I).
    epsilon: the entropic regularisation, in units of |x − y|².
    max_iterations: maximum number of iterations of the fixed point. It stops earlier if the
      marginals of the couplings are right within 1e-4 (1e-8 in float64).
    axis_name: name of the mapped axis over which `z` and `samples` are spread; the value is then
      that of the global batch, and each device does all of the work. The work is divided only
      under jit with sharded arrays.

  Returns:
    The divergence. Its gradient holds the optimal potentials fixed. This is exact for first
    derivatives and wrong for second derivatives. If the iterations do not converge, it is that of
    the last one, and a call outside of `jit` and `grad` issues an `AejaxWarning`. Inside, use
    `sinkhorn_divergence_and_residual`.

  Raises:
    ValueError: if `epsilon` or `max_iterations` is not positive, dimensions differ, or the matrices
      of all pairs do not fit into memory.
    ImportError: if ott-jax is not installed.

  Example:
    >>> z = jnp.array([[0.0, 0.0], [3.0, 4.0]])
    >>> round(float(sinkhorn_divergence(z, z + 1, epsilon=0.1)), 4)
    2.0

  Reference: Genevay, Peyré & Cuturi, AISTATS 2018, arXiv 1706.00292; Feydy et al., AISTATS 2019,
    arXiv 1810.08278, eq. (3).
  """
  _check_installed()
  value, residual = _divergence(z, samples, epsilon, max_iterations, axis_name)
  if not isinstance(residual, Tracer) and not residual < tolerance(residual.dtype):
    warn(
      f"sinkhorn_divergence did not converge within {max_iterations} iterations: the marginals of "
      f"a coupling are off by {float(residual):.1g}. Raise max_iterations or epsilon."
    )
  return value


@checked
def sinkhorn_divergence_and_residual(
  z: Latents,
  samples: Samples,
  *,
  epsilon: ScalarLike,
  max_iterations: int = 2000,
  axis_name: AxisName = None,
) -> tuple[Scalar, Scalar]:
  """Returns `sinkhorn_divergence` and how far its iterations are from convergence.

  Args:
    z: latents, one a row.
    samples: samples of the target, one a row.
    epsilon: the entropic regularisation, in units of |x − y|².
    max_iterations: maximum number of iterations of the fixed point.
    axis_name: name of the mapped axis over which `z` and `samples` are spread.

  Returns:
    The divergence, and the residual: the largest sum of absolute errors of a coupling's marginal,
    from 0 to 2. The iterations have converged if it is below 1e-4 (1e-8 in float64). It is infinite
    where rounding errors of the costs exceed ε many times over.

  Raises:
    ValueError: for the reasons of `sinkhorn_divergence`.
    ImportError: if ott-jax is not installed.

  Example:
    >>> z = jnp.array([[0.0, 0.0], [3.0, 4.0]])
    >>> value, residual = sinkhorn_divergence_and_residual(z, z + 1, epsilon=0.1)
    >>> bool(residual < 1e-4)
    True
  """
  _check_installed()
  return _divergence(z, samples, epsilon, max_iterations, axis_name)


def _check_installed() -> None:
  try:
    with warnings.catch_warnings():
      # A dependency of ott-jax warns at import that it is no longer maintained.
      warnings.filterwarnings("ignore", "JAXopt is no longer maintained", DeprecationWarning)
      import ott.tools.sinkhorn_divergence  # noqa: F401
  except ImportError as error:
    raise ImportError("sinkhorn_divergence needs ott-jax: pip install aejax[sinkhorn].") from error


@functools.partial(jax.jit, static_argnames=("max_iterations", "axis_name"))
def _divergence(
  z: Any, samples: Any, epsilon: Any, max_iterations: int, axis_name: AxisName
) -> tuple[Scalar, Scalar]:
  z = all_gather_rows(as_latents(z), axis_name)
  y = all_gather_rows(as_samples(samples, z, "samples"), axis_name)
  n, m = len(z), len(y)
  pairs = n * n + n * m + m * m
  devices = mesh_size((z, y)) if axis_name is None else 1
  check_fits("the number of pairs", f"{pairs:,}", pairs * z.dtype.itemsize // devices)
  epsilon = jnp.asarray(epsilon, z.dtype)
  # For this cost the divergence is exactly |E x − E y|² plus that of the centred samples. Centred
  # costs are smallest, so their differences lose the fewest digits.
  means = z.mean(0), y.mean(0)
  z, y = z - means[0], y - means[1]
  costs = _squared_distances(z, y), _squared_distances(z, z), _squared_distances(y, y)
  if axis_name is None:
    costs = tuple(split_rows(matrix, (z, y)) for matrix in costs)
  solved, residual = potentials(
    lax.stop_gradient(costs), lax.stop_gradient(epsilon), max_iterations
  )
  zy, zz, yy = (_transport(c, g, epsilon) for c, g in zip(costs, solved, strict=True))
  return jnp.sum((means[0] - means[1]) ** 2) + (zy - zz / 2 - yy / 2), residual


def _transport(costs: Matrix, potential: Float[Array, " _"], epsilon: Array) -> Scalar:
  """Returns OT_ε as a function of the costs, at an optimal potential g of the columns.

  Mean g − ε mean_i log mean_j exp((g_j − C_ij) / ε). An error of g changes it in second order only,
  and by the envelope theorem its derivative with g held fixed is that of OT_ε.
  """
  # A constant in g does not change the value, but would add rounding errors.
  potential = potential - potential.mean()
  scores = potential - costs
  # XLA may compute the row maximum with different rounding from the entry it came from. Scores can
  # exceed 10⁸; divided by a small ε, a difference of one ulp overflows `exp`. So the entry at the
  # argmax is set to exactly 0.
  best = jnp.argmax(scores, axis=1, keepdims=True) == jnp.arange(scores.shape[1])
  largest = jnp.sum(jnp.where(best, scores, 0), axis=1, keepdims=True)
  difference = scores - largest
  below = jnp.where(best | (difference > 0), 0, difference) / epsilon
  # If ε is far above the costs, the exponentials are near 1 and log would lose their differences.
  excess = jnp.mean(jnp.expm1(below), axis=1)
  logs = jnp.where(excess > -0.5, jnp.log1p(excess), jnp.log(jnp.mean(jnp.exp(below), axis=1)))
  return potential.mean() - jnp.mean(largest[:, 0] + epsilon * logs)


def _squared_distances(x: Float[Array, "n d"], y: Float[Array, "m d"]) -> Matrix:
  norms = jnp.sum(x * x, 1)[:, None] + jnp.sum(y * y, 1)
  products = jnp.matmul(x, y.T, precision=lax.Precision.HIGHEST)
  return jnp.maximum(norms - 2 * products, 0)
