"""Networks of users: as modules, as an autoencoder, or as a function by its import path."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Key

from aejax import _checks
from aejax._import_paths import resolve
from aejax._messages import warn
from aejax.autoencoder import Autoencoder

__all__ = ["build_own", "check_model", "from_modules"]

# Rows of the batch whose shapes are checked; no other axis is likely to have this length.
_ROWS = 3


def build_own(
  path: str,
  image_shape: tuple[int, ...],
  *,
  latent_dim: int,
  gaussian: bool,
  dtype: Any,
  key: Key[Array, ""],
) -> Autoencoder:
  """Calls a function of the user by its import path, and checks the networks that it returns.

  Args:
    path: "package.module:function"; see `networks.build` for what the function takes and returns.
    image_shape: shape of an example.
    latent_dim: number of latent dimensions.
    gaussian: whether the encoder must return a mean and a log-variance.
    dtype: dtype of the computation.
    key: random key for the initial parameters.

  Raises:
    ValueError: if the path leads to no function, or the networks have wrong shapes.
  """
  function = resolve("network", path)
  if not callable(function):
    raise ValueError(
      f"The network {path} must be a function, but is {_checks.type_name(function)}."
    )
  wanted = {"latent_dim": latent_dim, "gaussian": gaussian, "dtype": dtype, "key": key}
  taken = _accepted(function, wanted)
  if dtype != jnp.float32 and "dtype" not in taken:
    raise ValueError(f"The network {path} computes in one precision: it has no argument dtype.")
  try:
    made = function(image_shape, **taken)
  except TypeError as error:
    raise ValueError(
      f"The network {path} cannot be built: {_checks.short_message(error)}."
    ) from error
  model = made if isinstance(made, Autoencoder) else from_modules(path, made, latent_dim)
  check_model(model, image_shape, latent_dim=latent_dim, gaussian=gaussian, name=path)
  return model


def from_modules(name: str, modules: Any, latent_dim: int) -> Autoencoder:
  """Returns the autoencoder of a pair (encoder, decoder).

  Raises:
    ValueError: if it is no such pair.
  """
  if not isinstance(modules, tuple | list) or len(modules) != 2:
    raise ValueError(
      f"The network {name} must be an Autoencoder or a pair (encoder, decoder), but is "
      f"{_checks.type_name(modules)}."
    )
  encoder, decoder = modules
  return Autoencoder(encoder, decoder, latent_dim=latent_dim)


def check_model(
  model: Autoencoder,
  image_shape: tuple[int, ...],
  *,
  latent_dim: int,
  gaussian: bool,
  name: str = "model",
) -> None:
  """Traces the networks on a batch without computing it.

  Raises:
    ValueError: if the shapes do not fit, the encoder is of the other kind, nothing can be trained,
      or a network changes itself when it is called.
  """
  if model.latent_dim != latent_dim:
    raise ValueError(
      f"The network {name} has {model.latent_dim} latent dimensions, not {latent_dim}."
    )
  graphdef, state = nnx.split(model)

  def shapes(state, images):
    merged = nnx.merge(graphdef, state)
    posterior = merged.posterior(images)
    return posterior, merged.decode(posterior.mean)

  batch = jax.ShapeDtypeStruct((_ROWS, *image_shape), jnp.float32)
  try:
    posterior, decoded = jax.eval_shape(shapes, state, batch)
  except Exception as error:  # networks of users may raise anything
    raise ValueError(
      f"The network {name} does not take examples of shape {list(image_shape)}: "
      f"{_checks.short_message(error)}"
    ) from error
  _check_state(model, batch, name)
  if decoded.shape != batch.shape:
    raise ValueError(
      f"The network {name} returns examples of shape {list(decoded.shape[1:])}, not "
      f"{list(image_shape)}."
    )
  if (posterior.log_variance is not None) != gaussian:
    kinds = ("a Gaussian", "a deterministic")
    wanted, found = kinds if gaussian else reversed(kinds)
    raise ValueError(
      f"The objective needs {wanted} encoder, but the network {name} has {found} one."
    )


def _check_state(model: Autoencoder, batch: jax.ShapeDtypeStruct, name: str) -> None:
  """Checks that all state of the networks is known to NNX, and that some of it is trained.

  The networks have been traced once. A tracer that they kept, or a value that they set, raises an
  error when they are traced again.
  """
  try:
    jax.make_jaxpr(lambda images: model.decode(model.encode(images)))(batch)
  except Exception as error:  # JAX and NNX have several
    raise ValueError(
      f"The network {name} keeps a value of its own from one call to the next, which is lost in "
      f"compiled code: keep it in an nnx.Variable ({_checks.short_message(error)})"
    ) from error
  trained = {path[0] for path, _ in nnx.to_flat_state(nnx.state(model, nnx.Param))}
  fixed = [half for half in ("encoder", "decoder") if half not in trained]
  if len(fixed) == 2:
    raise ValueError(f"The network {name} holds no nnx.Param, so there is nothing to train.")
  if fixed:
    warn(f"the {fixed[0]} of the network {name} holds no nnx.Param, so it is not trained")


def _accepted(function: Callable[..., Any], wanted: dict[str, Any]) -> dict[str, Any]:
  """Returns those of the arguments that the function takes by name."""
  try:
    parameters = inspect.signature(function).parameters.values()
  except (TypeError, ValueError):
    return wanted
  if any(p.kind is p.VAR_KEYWORD for p in parameters):
    return wanted
  named = {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
  return {name: value for name, value in wanted.items() if name in named}
