"""Arrays whose rows lie on a circle: the last row is followed by the first."""

import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["repeated", "unrolled"]


def repeated(v: Array, length: int) -> Array:
  """Returns `length` entries along a circle, which may go around more than once."""
  return jnp.concatenate([v] * -(-length // len(v)))[:length]


def unrolled(v: Float[Array, "length d"], n: int) -> Float[Array, "n d"]:
  """Sums the entries that belong to the same of `n` points of the circle."""
  total = jnp.pad(v[:n], ((0, max(0, n - len(v))), (0, 0)))
  for start in range(n, len(v), n):
    turn = v[start : start + n]
    # A sum over a padded and reshaped array is fifty times slower on a CPU.
    total = total.at[: len(turn)].add(turn)
  return total
