"""The train step: one pure function of (state, batch), the same under jit, pmap and shard_map."""

import dataclasses
from typing import Any, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key, Num

from aejax import _checks
from aejax._untrained import mark_untrained
from aejax.autoencoder import Autoencoder, pixels
from aejax.objectives import Objective
from aejax.priors import same_prior
from aejax.training.weight_schedules import WeightSchedule, factor_of

__all__ = [
  "Metrics",
  "TrainState",
  "TrainStep",
  "all_finite",
  "create",
  "merge",
  "pytree_node",
  "replaced",
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


def replaced(node: T, **fields: Any) -> T:
  """Returns a copy of a `pytree_node` with other fields, which may be of any type."""
  copy = object.__new__(type(node))
  for name, value in {**vars(node), **fields}.items():
    object.__setattr__(copy, name, value)
  return copy


@pytree_node
@dataclasses.dataclass(frozen=True)
class TrainState:
  """Everything that training carries from one step to the next.

  Attributes:
    step: number of steps taken.
    params: parameters of the model, and the other state of its networks if they have any, such as
      the statistics of BatchNorm.
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
  weight_schedule: WeightSchedule | None = None,
) -> tuple[TrainState, TrainStep]:
  """Splits `model` into parameters and code, and returns the initial state and the train step.

  The step is pure and not jitted. Wrap it as you like: `jax.jit(train_step, donate_argnums=0)`, or
  `pmap` or `shard_map` (with check_vma=False) with an `axis_name`. It takes images as uint8, or as
  floats in [0, 1], and other examples as floats.

  Networks may hold any state of NNX, such as BatchNorm and Dropout. It is part of `state.params`.
  The step computes the statistics of the global batch, and draws dropout from the key of the run.

  `model` keeps its initial parameters, so its `generate` raises an error from now on. Its prior
  becomes that of the objective, if the objective has one.

  Args:
    model: encoder and decoder; `merge(model, state.params)` returns the trained model.
    objective: the cost to minimise.
    optimizer: any optax transformation, also one that takes the value, the gradient or the function
      itself, such as `optax.lbfgs` or `optax.contrib.reduce_on_plateau`.
    key: random key that seeds every draw of the training.
    accumulate: number of parts in which the networks process each batch. More parts need less
      memory; the distance is that of the whole batch, and so is the gradient.
    skip_nonfinite: whether a step whose loss or gradient is not finite leaves the state unchanged,
      except for the step's number. The metrics of such a step are NaN.
    weight_schedule: function from the number of steps taken to a factor of λ or β, such as
      `training.weight_schedule("warmup:10", steps_per_epoch)` or a schedule of optax. The metrics
      are those at the full weight.

  Raises:
    ValueError: if an argument is of another kind, or networks with state other than parameters are
      to process a batch in parts.

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
  _checks.instance("model", model, Autoencoder, "an Autoencoder")
  _checks.instance("objective", objective, Objective, "an objective")
  _checks.instance("optimizer", optimizer, optax.GradientTransformation, "an optax transformation")
  if weight_schedule is not None and not callable(weight_schedule):
    raise ValueError(
      "weight_schedule must be None or a function of the number of steps, but is "
      f"{_checks.type_name(weight_schedule)}."
    )
  # Transformations that need no more than the gradient ignore the rest.
  optimizer = optax.with_extra_args_support(optimizer)
  graphdef, variables = nnx.split(model)
  params, others = nnx.split_state(variables, nnx.Param, ...)
  if others and accumulate > 1:
    raise ValueError(
      f"accumulate must be 1, but is {accumulate}: the networks have state other than parameters "
      f"({_kinds(others)}), which depends on the whole batch."
    )

  def train_step(state, batch, *, axis_name=None):
    key = jax.random.fold_in(state.key, state.step)
    params, others = nnx.split_state(state.params, nnx.Param, ...)
    factor = factor_of(weight_schedule, state.step)

    def cost(params):
      # NNX refuses to update variables of an outer transformation, so the others are made anew.
      model = nnx.merge(graphdef, params, jax.tree.map(lambda leaf: leaf, others))
      if others:
        _prepare_state(model, key, axis_name)
      loss, metrics = objective(
        model, pixels(batch), key=key, axis_name=axis_name, accumulate=accumulate, **factor
      )
      return loss, (loss, metrics, nnx.state(model, nnx.Not(nnx.Param)) if others else others)

    def value_fn(params):
      loss = cost(params)[0]
      return loss if axis_name is None else lax.pmean(loss, axis_name)

    gradients, (loss, metrics, others) = jax.grad(cost, has_aux=True)(params)
    if axis_name is not None:
      gradients, loss, metrics = lax.pmean((gradients, loss, metrics), axis_name)
      others = _pmean(others, axis_name)
    extra = {"value": loss, "grad": gradients, "value_fn": value_fn}
    # The optimizers of optax mix floats and integers.
    with jax.numpy_dtype_promotion("standard"):
      updates, optimizer_state = optimizer.update(gradients, state.optimizer_state, params, **extra)
      params: Any = optax.apply_updates(params, updates)
    if others:
      params = nnx.merge_state(params, others)
    if not skip_nonfinite:
      return TrainState(state.step + 1, params, optimizer_state, state.key), metrics
    finite = all_finite((gradients, metrics["loss"]))
    params, optimizer_state = jax.tree.map(
      lambda new, old: jnp.where(finite, new, old),
      (params, optimizer_state),
      (state.params, state.optimizer_state),
    )
    kept = TrainState(state.step + 1, params, optimizer_state, state.key)
    return kept, jax.tree.map(lambda value: jnp.where(finite, value, jnp.nan), metrics)

  prior = objective.latent_prior(model.latent_dim)
  if prior is not None and not same_prior(prior, model.prior):
    model.set_prior(prior)
  mark_untrained(model)
  # Callers donate the state to each step, so it must not share buffers with the model or the key.
  params, others, key = jax.tree.map(jnp.copy, (params, others, key))
  all_params = nnx.merge_state(params, others) if others else params
  optimizer_state = jax.tree.map(jnp.copy, optimizer.init(params))  # L-BFGS keeps the parameters
  state = TrainState(jnp.zeros((), jnp.int32), all_params, optimizer_state, key)
  return state, train_step


def with_exact_products(train_step: TrainStep) -> TrainStep:
  """Returns the step with all matrix products and convolutions in float32 on every platform.

  By default, GPUs compute them in TF32 and TPUs in bfloat16.
  """

  def exact(state, batch, *, axis_name=None):
    with jax.default_matmul_precision("highest"):
      return train_step(state, batch, axis_name=axis_name)

  return exact


def _prepare_state(model: Autoencoder, key: Key[Array, ""], axis_name: Any) -> None:
  """Sets networks to training: statistics of the global batch, and dropout from the step's key."""
  model.train()
  if axis_name is not None:
    # The draws of each device are independent.
    key = jax.random.fold_in(key, lax.axis_index(axis_name))
    for _, module in nnx.iter_modules(model):
      if isinstance(module, nnx.BatchNorm):
        module.axis_name = axis_name
  for number, (_, stream) in enumerate(nnx.iter_graph(model)):
    if isinstance(stream, nnx.RngStream):
      stream.key[...] = jax.random.fold_in(key, number)


def _pmean(others: Any, axis_name: Any) -> Any:
  """Returns the mean of the floats over the devices; keys and counts are taken from the first."""

  def combine(leaf):
    if jnp.issubdtype(leaf.dtype, jnp.floating):
      return lax.pmean(leaf, axis_name)
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
      data = lax.all_gather(jax.random.key_data(leaf), axis_name)[0]
      return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    return lax.all_gather(leaf, axis_name)[0]

  return jax.tree.map(combine, others)


def _kinds(others: Any) -> str:
  kinds = {type(variable).__name__ for _, variable in nnx.to_flat_state(others)}
  return ", ".join(sorted(kinds))


def all_finite(tree: Any) -> Bool[Array, ""]:
  """Returns whether all floating-point leaves of a pytree are finite; others are ignored."""
  leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
  return jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]).all()


def merge(model: Autoencoder, params: Any) -> Autoencoder:
  """Returns a copy of `model` with the parameters `params`, which may be those of a `TrainState`.

  Networks with state, such as BatchNorm and Dropout, are set to evaluation.
  """
  merged = nnx.merge(nnx.graphdef(model), params)
  if nnx.state(merged, nnx.Not(nnx.Param)):
    merged.eval()
  return merged
