"""What all priors share: the protocol, checks of arguments, and fields that are arrays."""

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Key, UInt32

from aejax import _checks
from aejax._memory import check_fits

__all__ = [
  "ArrayPrior",
  "KeyArray",
  "Points",
  "Prior",
  "as_points",
  "check_dimension",
  "draw_shape",
  "register",
  "same_prior",
  "static",
]

KeyArray = Key[Array, ""] | UInt32[Array, " words"]
"""A `jax.random.key`, or a key of the old kind."""

Points = Float[Array | np.ndarray, "*n d"]

static = functools.partial(dataclasses.field, metadata={"static": True})


@runtime_checkable
class Prior(Protocol):
  """A prior: any object with a dimension and a method that samples."""

  @property
  def dim(self) -> int:
    """Dimension of the space."""
    ...

  def sample(self, key: KeyArray, n: int) -> Float[Array, "{n} d"]:
    """Draws `n` independent samples, one a row."""
    ...


def check_dimension(prior: Prior, z: Points) -> int:
  """Returns the prior's dimension.

  Raises:
    ValueError: if the rows of `z` have another dimension.
  """
  if z.shape[-1] != prior.dim:
    raise ValueError(f"z has dimension {z.shape[-1]}, but the prior has dimension {prior.dim}.")
  return prior.dim


def draw_shape(key: Any, n: Any, dim: int) -> tuple[int, int]:
  """Checks the arguments of a draw and returns its shape."""
  _checks.key("key", key)
  n = _checks.integer("n", n, least=0)
  check_fits("n", n, 4 * n * dim)
  return n, dim


def as_points(prior: Prior, z: Any) -> Points:
  """Returns points whose last axis has the dimension of the prior."""
  z = _checks.array("z", z)
  if not z.ndim:
    raise ValueError("z must have a last axis, but is a single number.")
  check_dimension(prior, z)
  return z


class ArrayPrior:
  """A prior whose fields are arrays: a pytree with these leaves, compared by identity."""

  _leaves: ClassVar[tuple[str, ...]]

  def _set(self, name: str, given: Any) -> None:
    """Sets a field to an array of at least float32.

    Raises:
      ValueError: if the numbers are complex.
    """
    values = jnp.asarray(_checks.array(name, given))
    if jnp.iscomplexobj(values):
      raise ValueError(f"{name} must be real, but has dtype {values.dtype}.")
    values = values.astype(jnp.promote_types(values.dtype, jnp.float32))
    object.__setattr__(self, name, values)


Fields = TypeVar("Fields", bound=ArrayPrior)


def register(cls: type[Fields]) -> type[Fields]:
  """Registers a prior with arrays as a pytree.

  It is rebuilt without checks: vmap and grad fill it with batches and derivatives.
  """

  def unflatten(_: None, leaves: Iterable[Any]) -> Fields:
    prior = object.__new__(cls)
    prior.__dict__.update(zip(cls._leaves, leaves, strict=True))
    return prior

  def flatten(prior: Fields) -> tuple[list[tuple[Any, Any]], None]:
    return [(jax.tree_util.GetAttrKey(k), getattr(prior, k)) for k in cls._leaves], None

  jax.tree_util.register_pytree_with_keys(cls, flatten, unflatten)
  return cls


def same_prior(prior: Prior, other: Prior) -> bool:
  """Returns whether two priors are of one class and have equal parameters."""
  if prior is other:
    return True
  if type(prior) is not type(other) or jax.tree.structure(prior) != jax.tree.structure(other):
    return False
  pairs = list(zip(jax.tree.leaves(prior), jax.tree.leaves(other), strict=True))
  if any(isinstance(a, Tracer) or isinstance(b, Tracer) for a, b in pairs):
    return True  # traced parameters have no value to compare
  return all(bool(np.array_equal(a, b)) for a, b in pairs)
