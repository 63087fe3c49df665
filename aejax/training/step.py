"""The train step: one pure function of (state, batch), the same under jit, pmap and shard_map."""

import dataclasses
from typing import Any, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key, Num

from aejax.autoencoder import Autoencoder, pixels
from aejax.objectives import Objective

__all__ = [
  "Metrics",
  "TrainState",
  "TrainStep",
  "all_finite",
  "create",
  "merge",
  "pytree_node",
  "with_exact_products",
]

T = TypeVar("T")

Metrics = dict[str, Float[Array, ""]]
"""Metrics of one step, by name."""


def pytree_node(cls: type[T]) -> type[T]:
  """Registers a frozen dataclass as a pytree that can be rebuilt with any leaves.

  JAX rebuilds a state with shapes, shardings, batched tracers and placeholders as leaves. Unlike
  `jax.tree_util.register_dataclass`, this does not call `__init__` then, so a run-time checker of
  annotations sees only the states that our code makes.
  """
  names = [field.name for field in dataclasses.fields(cls)]  # pyright: ignore[reportArgumentType]

  def flatten(node: T) -> tuple[list[Any], None]:
    return [getattr(node, name) for name in names], None

  def flatten_with_keys(node: T) -> tuple[list[tuple[Any, Any]], None]:
    return [(jax.tree_util.GetAttrKey(name), getattr(node, name)) for name in names], None

  def unflatten(_: None, children: Any) -> T:
    node = object.__new__(cls)
    for name, child in zip(names, children, strict=True):
      object.__setattr__(node, name, child)
    return node

  jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
  return cls


@pytree_node
@dataclasses.dataclass(frozen=True)
class TrainState:
  """Everything that training carries from one step to the next.

  Attributes:
    step: number of steps taken.
    params: parameters of the model.
    optimizer_state: state of the optax transformation.
    key: random key of the run; it stays the same, and each step folds its number into it.
  """

  step: Int[Array, ""]
  params: Any
  optimizer_state: Any
  key: Key[Array, ""]


@runtime_checkable
class TrainStep(Protocol):
  """A pure step from a state and a batch to the next state and the metrics."""

  def __call__(
    self,
    state: TrainState,
    batch: Num[Array, "n ..."],
    *,
    axis_name: str | tuple[str, ...] | None = None,
  ) -> tuple[TrainState, Metrics]:
    """Takes one step; with `axis_name`, the step of the global batch."""
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
  """Splits `model` into parameters and code, and returns the initial state and the train step.

  The step is pure and not jitted. Wrap it as you like: `jax.jit(train_step, donate_argnums=0)`, or
  `pmap` or `shard_map` (with check_vma=False) with an `axis_name`. It takes images as uint8, or as
  floats in [0, 1].

  Args:
    model: encoder and decoder; `merge(model, state.params)` returns the trained model.
    objective: the cost to minimise.
    optimizer: any optax transformation.
    key: random key that seeds every draw of the training.
    accumulate: number of parts in which the networks process each batch. More parts need less
      memory; the distance is that of the whole batch, and so is the gradient.
    skip_nonfinite: whether a step whose loss or gradient is not finite leaves the state unchanged,
      except for the step's number. The metrics of such a step are NaN.

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

  # Callers donate the state to each step, so it must not share buffers with the model or the key.
  params, key = jax.tree.map(jnp.copy, (params, key))
  state = TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params), key)
  return state, train_step


def with_exact_products(train_step: TrainStep) -> TrainStep:
  """Returns the step with all matrix products and convolutions in float32 on every platform.

  By default, GPUs compute them in TF32 and TPUs in bfloat16.
  """

  def exact(state, batch, *, axis_name=None):
    with jax.default_matmul_precision("highest"):
      return train_step(state, batch, axis_name=axis_name)

  return exact


def all_finite(tree: Any) -> Bool[Array, ""]:
  """Returns whether all floating-point leaves of a pytree are finite; others are ignored."""
  leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
  return jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]).all()


def merge(model: Autoencoder, params: Any) -> Autoencoder:
  """Returns a copy of `model` with the parameters `params`."""
  return nnx.merge(nnx.split(model, nnx.Param)[0], params)
