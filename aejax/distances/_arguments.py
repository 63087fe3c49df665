"""Checks of the arguments that distances have in common, made before any arithmetic."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Real

from aejax import _checks
from aejax._messages import warn
from aejax.distances._kernel_algebra import check_kernel
from aejax.priors import Prior

__all__ = [
  "Directions",
  "Latents",
  "NoClosedForm",
  "Samples",
  "Scalar",
  "ScalarLike",
  "Target",
  "as_latents",
  "as_samples",
  "checked",
  "no_closed_form",
  "public_jit",
]

# Name that JAX gives to the axis of a `pmap` without `axis_name`.
_UNNAMED_AXIS = "_internal_pmap_axis_name"

P = ParamSpec("P")
T = TypeVar("T")

Scalar = Float[Array, ""]
ScalarLike = float | np.floating | np.integer | Real[Array | np.ndarray, ""]
Latents = Float[Array | np.ndarray, "n d"]
Samples = Float[Array | np.ndarray, "m d"]
Directions = Float[Array | np.ndarray, "num d"]
Target = Prior | Samples | None
"""What a distance compares with: None for N(0, I), a prior, or samples."""


def public_jit(*static: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
  """Returns a decorator that checks the arguments of a function, then calls it jitted.

  Args:
    static: names of the static arguments.
  """

  def decorate(function: Callable[P, T]) -> Callable[P, T]:
    jitted: Callable[..., T] = jax.jit(function, static_argnames=static)

    def call(*args: Any, **kwargs: Any) -> T:
      for value in (*args, *kwargs.values()):
        # A prior of a user that is no pytree cannot be an argument of jit.
        if isinstance(value, Prior) and jax.tree_util.all_leaves([value]):
          raise no_closed_form(function.__name__, value)
      return jitted(*args, **kwargs)

    return checked(function, call=call)

  return decorate


def checked(
  function: Callable[P, T],
  *,
  call: Callable[..., T] | None = None,
  checks: Mapping[str, Callable[[str, Any], Any]] | None = None,
) -> Callable[P, T]:
  """Checks the arguments of a function by name before each call; the signature stays.

  Values can be checked only where they are concrete. Under a transformation JAX itself reports
  wrong types.

  Args:
    function: the function.
    call: called instead of the function, with the same arguments.
    checks: checks of this function, by name of the argument, where the usual ones do not apply.
  """
  own = {**_CHECKS, **(checks or {})}
  names = list(inspect.signature(function).parameters)
  run: Callable[..., T] = function if call is None else call

  @functools.wraps(function)
  def with_checks(*args: P.args, **kwargs: P.kwargs) -> T:
    positional = [_check(own, name, value) for name, value in zip(names, args, strict=False)]
    named = {name: _check(own, name, value) for name, value in kwargs.items()}
    if "axis_name" in names and named.get("axis_name") is None:
      _warn_of_unnamed_axis()
    try:
      # Callers may forbid rank promotion in their own code; ours broadcasts on purpose.
      with jax.numpy_rank_promotion("allow"):
        return run(*positional, *args[len(names) :], **named)
    except NameError as error:
      if "unbound axis name" not in str(error):
        raise
      raise _no_axis(named["axis_name"], ", which is not mapped here") from None

  return with_checks


def _warn_of_unnamed_axis() -> None:
  """Warns inside a `pmap` without a name, whose devices cannot see each other's rows."""
  if _UNNAMED_AXIS in jax.sharding.get_abstract_mesh().axis_names:
    warn(
      "A distance inside a pmap without axis_name is that of each device's own rows. For that of "
      "the global batch name the axis, as in jax.pmap(..., axis_name='devices'), and pass the name "
      "to the distance."
    )


def _check(checks: Mapping[str, Callable[[str, Any], Any]], name: str, value: Any) -> Any:
  check = checks.get(name)
  return value if check is None else check(name, value)


def _target(name: str, value: Any) -> Any:
  if value is None or (isinstance(value, Prior) and not isinstance(value, type)):
    return value
  try:
    return _checks.array(name, value)
  except ValueError:
    raise ValueError(
      f"{name} must be None, a prior or an array of samples, but is {_checks.type_name(value)}."
    ) from None


def _directions(name: str, value: Any) -> Any:
  """Checks that directions have unit length: 1 % more would change a squared distance by 2 %."""
  value = _checks.array(name, value)
  if not isinstance(value, Tracer) and value.ndim == 2 and value.size:
    lengths = np.linalg.norm(np.asarray(value, np.float64), axis=1)
    worst = lengths[np.argmax(np.abs(lengths - 1))]
    # bfloat16 has eight significant bits: its unit vectors have lengths within 2⁻⁸ of 1.
    if not abs(worst - 1) < 0.005:
      raise ValueError(f"{name} must be unit vectors, but one has length {worst:.6g}.")
  return value


def _axis_name(name: str, value: Any) -> Any:
  del name
  names = value if isinstance(value, tuple) else (value,)
  if value is not None and not all(isinstance(one, str) for one in names):
    raise _no_axis(value)
  return value


def _no_axis(value: Any, suffix: str = "") -> ValueError:
  return ValueError(
    "axis_name must be the name of a mapped axis, or several in a tuple, but is "
    f"{_checks.short_repr(value)}{suffix}."
  )


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
  **dict.fromkeys(("z", "samples", "mean", "log_variance"), _checks.array),
  **dict.fromkeys(("unbiased", "approximate", "orthogonal", "normalized"), _checks.boolean),
  **dict.fromkeys(("epsilon", "step_size"), _checks.positive),
  **dict.fromkeys(("num", "dim", "max_iterations"), _checks.integer),
  "gamma": lambda name, value: None if value is None else _checks.positive(name, value),
  "ascent_steps": functools.partial(_checks.integer, least=0),
  "pairs": lambda name, value: None if value is None else _checks.integer(name, value),
  "target": _target,
  "directions": _directions,
  "kernel": lambda name, value: check_kernel(value),
  "axis_name": _axis_name,
  "key": _checks.key,
}


def as_latents(z: Any, name: str = "z", *, minimum: int = 1) -> Float[Array, "n d"]:
  """Returns `z` as a float32 matrix; float64 stays float64.

  Raises:
    ValueError: if `z` is not a floating-point matrix with at least `minimum` rows and one column.
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


def as_samples(
  target: Any, z: Float[Array, "n d"], name: str = "target", *, minimum: int = 1
) -> Float[Array, "m d"]:
  """Returns the samples `target` as a matrix with as many columns as `z`.

  Raises:
    ValueError: for the reasons of `as_latents`, or if the dimensions differ.
  """
  y = as_latents(target, name, minimum=minimum)
  if y.shape[1] != z.shape[1]:
    raise ValueError(f"z has dimension {z.shape[1]}, but {name} has dimension {y.shape[1]}.")
  return y.astype(z.dtype)


class NoClosedForm(ValueError):
  """A distance cannot be computed to a prior, but to samples of it."""


def no_closed_form(distance: str, target: object) -> NoClosedForm:
  """Returns the error for a prior for which `distance` has no closed form."""
  kind = type(target).__name__
  return NoClosedForm(
    f"{distance} has no closed form for a {kind} target: pass samples of it instead, "
    f"target.sample(key, num), or set sample_prior=True in an objective."
  )
