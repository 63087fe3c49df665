"""What every distance asks of its arguments, checked once, before any arithmetic."""

import jax
import jax.numpy as jnp

__all__ = ["as_latents", "as_samples", "no_closed_form"]


def as_latents(z: jax.Array, name: str = "z", *, minimum: int = 1) -> jax.Array:
  """Returns `z` as a float32 matrix (float64 stays float64), or says what is wrong with it.

  Raises:
    ValueError: if `z` is not a floating-point matrix of at least `minimum` rows and one column.
  """
  z = jnp.asarray(z)
  if not jnp.issubdtype(z.dtype, jnp.floating):
    raise ValueError(f"{name} must have a floating-point dtype, but has {z.dtype}.")
  if z.ndim != 2:
    raise ValueError(f"{name} must have shape [n, d], but has shape {list(z.shape)}.")
  if z.shape[0] < minimum or z.shape[1] < 1:
    raise ValueError(
      f"{name} must have at least {minimum} row{'s' if minimum > 1 else ''} and one column, "
      f"but has shape {list(z.shape)}."
    )
  return z.astype(jnp.promote_types(z.dtype, jnp.float32))


def as_samples(target: jax.Array, z: jax.Array, *, minimum: int = 1) -> jax.Array:
  """Returns the samples `target` as a matrix as wide as `z`.

  Raises:
    ValueError: as `as_latents`, or if the dimensions differ.
  """
  y = as_latents(target, "target", minimum=minimum)
  if y.shape[1] != z.shape[1]:
    raise ValueError(f"z has dimension {z.shape[1]}, but target has dimension {y.shape[1]}.")
  return y.astype(z.dtype)


def no_closed_form(distance: str, target: object) -> ValueError:
  """The error for a prior that `distance` has no formula for."""
  kind = type(target).__name__
  return ValueError(
    f"{distance} has no closed form for a {kind} target: pass samples of it instead, "
    f"target.sample(key, num)."
  )
