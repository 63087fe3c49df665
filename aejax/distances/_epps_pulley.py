"""The Epps–Pulley statistic of columns, by the trapezoidal rule over t, with its gradient."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

__all__ = ["epps_pulley_statistic"]

# Above this t, exp(−t²/2) is below 5e-9.
_CUT = 6.2
# Above this w, exp(−w²/6), the widest of the Fourier transforms that alias, is below 5e-9.
_MARGIN = 10.8
# Limits the resolution of projections that spread over more than 4000 standard deviations.
_MAX_NODES = 4096
# From one node to the next, sine and cosine rotate by a fixed angle, which two products compute.
# After this number of rotations they are computed again, before rounding errors add up.
_TURNS = 8
# Number of blocks of nodes that accelerators compute without a loop.
_FIRST_BLOCKS = 3


@jax.custom_jvp
def epps_pulley_statistic(p: Float[Array, "n num"]) -> Float[Array, " num"]:
  """Returns n ∫ |φ_n(t) − e^(−t²/2)|² e^(−t²/2) dt of each column."""
  return _with_gradient(p, with_gradient=False)[0]


@epps_pulley_statistic.defjvp
def _(primals: Any, tangents: Any) -> tuple[Array, Array]:
  value, gradient = _with_gradient(primals[0], with_gradient=True)
  return value, jnp.sum(gradient * tangents[0], 0)


def _with_gradient(
  p: Float[Array, "n num"], *, with_gradient: bool
) -> tuple[Float[Array, " num"], Array]:
  """Returns the sum over the nodes t = kh, k ≥ 0, of the value and of its gradient.

  The integrand is even. The error of the rule is the Fourier transform of the integrand at 2π/h and
  its multiples. That transform is a sum of Gaussian bumps at the differences of projections, so
  2π/h must be larger than these differences by a margin.
  """
  spread = 2 * jnp.max(jnp.abs(p))
  step = 2 * math.pi / (spread + _MARGIN)
  nodes = jnp.minimum(jnp.ceil(_CUT / step), _MAX_NODES).astype(jnp.int32) + 1
  blocks = (nodes + _TURNS - 1) // _TURNS
  by_blocks = functools.partial(_add_blocks, with_gradient=with_gradient)
  start = jnp.zeros_like(p[0]), jnp.zeros_like(p) if with_gradient else jnp.zeros((), p.dtype)

  def at_once(p: Array, step: Array, blocks: Array) -> tuple[Array, Array]:
    first = _first_nodes(p, step, with_gradient=with_gradient)
    return by_blocks(p, step, _FIRST_BLOCKS, blocks, first)

  total, gradient = lax.platform_dependent(
    p,
    step,
    blocks,
    cpu=lambda p, step, blocks: by_blocks(p, step, 0, blocks, start),
    default=at_once,
  )
  return p.shape[0] * total, gradient


def _first_nodes(
  p: Float[Array, "n num"], step: Array, *, with_gradient: bool
) -> tuple[Float[Array, " num"], Array]:
  """Returns the sum over the nodes of the first blocks, which suffice for |p| up to 6.

  A GPU asks the host whether to go on after each turn of a loop. Without a loop the compiler fuses
  all of these nodes into a few kernels, in which sine and cosine cost less than memory accesses.
  """
  t = jnp.arange(_FIRST_BLOCKS * _TURNS, dtype=p.dtype)[:, None] * step
  weights = jnp.where(t == 0, 1.0, 2.0) * step * jnp.exp(-t * t / 2)
  angles = t[:, None] * p
  real, imaginary = jnp.mean(jnp.cos(angles), 1), jnp.mean(jnp.sin(angles), 1)
  real -= jnp.exp(-t * t / 2)
  total = jnp.sum(weights * (real**2 + imaginary**2), 0)
  if not with_gradient:
    return total, jnp.zeros((), p.dtype)
  of_real, of_imaginary = (2 * weights * t * v for v in (real, imaginary))
  # The step is positive, which XLA does not know: it would store the sines and cosines of all nodes
  # instead of computing them again.
  angles = t[:, None] * (p + jnp.minimum(step, 0))
  slopes = of_imaginary[:, None] * jnp.cos(angles) - of_real[:, None] * jnp.sin(angles)
  return total, jnp.sum(slopes, 0)


def _add_blocks(
  p: Float[Array, "n num"],
  step: Array,
  first: int,
  end: int | Array,
  start: tuple[Array, Array],
  *,
  with_gradient: bool,
) -> tuple[Float[Array, " num"], Array]:
  """Adds the nodes of the blocks from `first` to before `end` to value and gradient."""
  turn = jnp.cos(step * p), jnp.sin(step * p)

  def add(block: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
    total, gradient = carry
    first = block * _TURNS
    cosines, sines = jnp.cos(first * step * p), jnp.sin(first * step * p)
    for k in range(_TURNS):
      node = first + k
      t = node * step
      weight = jnp.where(node == 0, 1.0, 2.0) * step * jnp.exp(-t * t / 2)
      real, imaginary = jnp.mean(cosines, 0) - jnp.exp(-t * t / 2), jnp.mean(sines, 0)
      total += weight * (real**2 + imaginary**2)
      if with_gradient:
        gradient += 2 * weight * t * (imaginary * cosines - real * sines)
      cosines, sines = cosines * turn[0] - sines * turn[1], sines * turn[0] + cosines * turn[1]
    return total, gradient

  return lax.fori_loop(first, end, add, start)
