"""The train step: one pure function of (state, batch), the same under jit, pmap and shard_map."""

import dataclasses
from typing import Any, Protocol, no_type_check, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key, Num

from aejax.autoencoder import Autoencoder, pixels
from aejax.objectives import Objective

__all__ = ["TrainState", "TrainStep", "all_finite", "create", "merge"]

Metrics = dict[str, Float[Array, ""]]


@no_type_check  # JAX makes states of shapes, of shardings and of batches too
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
  """All that training carries from step to step.

  Attributes:
    step: how many steps were taken.
    params: the model's parameters.
    optimizer_state: optax's state.
    key: never consumed; the randomness of a step is derived from it and the step's number.
  """

  step: Int[Array, ""]
  params: Any
  optimizer_state: Any
  key: Key[Array, ""]


@runtime_checkable
class TrainStep(Protocol):
  """A pure step: the state and a batch in, the next state and the metrics out."""

  def __call__(
    self,
    state: TrainState,
    batch: Num[Array, "n h w c"],
    *,
    axis_name: str | tuple[str, ...] | None = None,
  ) -> tuple[TrainState, Metrics]:
    """Takes a step; under a mapped axis, that of the global batch."""
    ...


def create(
  model: Autoencoder,
  objective: Objective,
  optimizer: optax.GradientTransformation,
  *,
  key: Key[Array, ""],
  accumulate: int = 1,
  skip_nonfinite: bool = False,
) -> tuple[TrainState, TrainStep]:
  """Splits `model` into parameters and code, once, and returns the state and the step.

  The step is pure and not jitted: wrap it as you like, `jax.jit(train_step, donate_argnums=0)` or
  under `pmap` or `shard_map` (with check_vma=False) by an `axis_name`. It takes images as uint8, or
  as floats in [0, 1].

  Args:
    model: encoder and decoder; `merge(model, state.params)` puts trained parameters back.
    objective: what is minimised.
    optimizer: any optax transformation.
    key: seeds every draw of the training.
    accumulate: in how many parts the networks see each batch: less memory, the same gradient,
      of the distance of the whole batch.
    skip_nonfinite: a step whose loss or gradient is not finite changes nothing but the step's
      number, and its metrics are NaN.

  Example:
    >>> import optax
    >>> from aejax import networks, objectives
    >>> model = networks.build("mlp", (8, 8, 1), latent_dim=2, key=jax.random.key(0))
    >>> state, train_step = create(
    ...   model, objectives.CWAE(weight=10.0), optax.adam(1e-3), key=jax.random.key(1)
    ... )
    >>> state, metrics = jax.jit(train_step)(state, jnp.zeros((4, 8, 8, 1)))
    >>> sorted(metrics)
    ['loss', 'penalty', 'reconstruction_error']
  """
  graphdef, params = nnx.split(model, nnx.Param)

  def train_step(state, batch, *, axis_name=None):
    key = jax.random.fold_in(state.key, state.step)

    def cost(params):
      model = nnx.merge(graphdef, params)
      return objective(model, pixels(batch), key=key, axis_name=axis_name, accumulate=accumulate)

    gradients, metrics = jax.grad(cost, has_aux=True)(state.params)
    if axis_name is not None:
      gradients, metrics = lax.pmean((gradients, metrics), axis_name)
    updates, optimizer_state = optimizer.update(gradients, state.optimizer_state, state.params)
    params = optax.apply_updates(state.params, updates)
    after = TrainState(state.step + 1, params, optimizer_state, state.key)
    if not skip_nonfinite:
      return after, metrics
    finite = all_finite((gradients, metrics["loss"]))
    before = dataclasses.replace(state, step=state.step + 1)
    kept = jax.tree.map(lambda new, old: jnp.where(finite, new, old), after, before)
    return kept, jax.tree.map(lambda value: jnp.where(finite, value, jnp.nan), metrics)

  # The state is donated step by step: it must not share buffers with the model or the key.
  params, key = jax.tree.map(jnp.copy, (params, key))
  state = TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params), key)
  return state, train_step


def all_finite(tree: Any) -> Bool[Array, ""]:
  """Whether no number of a tree is NaN or infinite; keys and whole numbers are passed over."""
  leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
  return jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]).all()


def merge(model: Autoencoder, params: Any) -> Autoencoder:
  """A copy of `model` with the parameters `params`."""
  return nnx.merge(nnx.split(model, nnx.Param)[0], params)
