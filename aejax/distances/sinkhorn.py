"""The Sinkhorn divergence, by ott-jax."""

import functools

import jax
from jaxtyping import Array, Float

from aejax.distances.arguments import as_latents, as_samples, gather

__all__ = ["sinkhorn_divergence"]


@functools.partial(jax.jit, static_argnames=("max_iterations", "axis_name"))
def sinkhorn_divergence(
  z: Float[Array, "n d"],
  samples: Float[Array, "m d"],
  *,
  epsilon: float | Float[Array, ""],
  max_iterations: int = 2000,
  axis_name: str | tuple[str, ...] | None = None,
) -> Float[Array, ""]:
  """Debiased entropic optimal transport between the laws of `z` and `samples`.

  OT_ε(x, y) − (OT_ε(x, x) + OT_ε(y, y)) / 2 with the cost |x − y|²: between the squared
  Wasserstein distance (ε → 0) and an energy-like one, half the squared distance of the means being
  replaced by it (ε → ∞). Solved by ott-jax, which the extra `aejax[sinkhorn]` installs.

  Args:
    z: latents, one a row.
    samples: draws of the target, one a row: there is no closed form to N(0, I).
    epsilon: the entropic regularisation, in units of the cost. 2 D times 0.01 to 0.1 suits N(0, I).
    max_iterations: of the fixed point; it stops earlier once converged.
    axis_name: name of the mapped axis over which `z` and `samples` are spread; the value is then
      that of the global batch.

  Raises:
    ValueError: if dimensions differ.
    ImportError: if ott-jax is not installed.

  Reference: Genevay, Peyré & Cuturi, AISTATS 2018, arXiv 1706.00292; Feydy et al., AISTATS 2019,
    arXiv 1810.08278.
  """
  try:
    from ott.geometry import pointcloud
    from ott.tools import sinkhorn_divergence as ott
  except ImportError as error:
    raise ImportError("sinkhorn_divergence needs ott-jax: pip install aejax[sinkhorn].") from error
  z = gather(as_latents(z), axis_name)
  y = gather(as_samples(samples, z), axis_name)
  value, _ = ott.sinkhorn_divergence(
    pointcloud.PointCloud, z, y, epsilon=epsilon, solve_kwargs={"max_iterations": max_iterations}
  )
  return value
