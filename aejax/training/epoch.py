"""Many steps in one compiled loop: the data stay on the device, and so does the state."""

import dataclasses
import functools
from collections.abc import Callable
from typing import no_type_check

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh
from jaxtyping import Array, Int, Key, UInt8

from aejax.training.sharding import constrain_sharding, take_rows
from aejax.training.step import Metrics, TrainState, TrainStep

__all__ = ["Sums", "epoch_order", "make_run_steps", "zero_sums"]


@no_type_check  # JAX makes them of shapes and of shardings too
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Sums:
  """Sums of the metrics over the steps of an epoch so far.

  Attributes:
    totals: of each metric, over the steps whose loss was finite.
    skipped: how many steps these leave out.
    bad_step: the first step of the run whose loss was not finite; −1 if there was none.
  """

  totals: Metrics
  skipped: Int[Array, ""]
  bad_step: Int[Array, ""]

  def add(self, metrics, step):
    """The sums with those of one more step."""
    finite = jnp.isfinite(metrics["loss"])
    totals = jax.tree.map(
      lambda total, value: total + jnp.where(finite, value, 0), self.totals, metrics
    )
    first = (self.bad_step < 0) & ~finite
    return Sums(totals, self.skipped + ~finite, jnp.where(first, step, self.bad_step))


def zero_sums() -> Sums:
  """Sums of the metrics over no steps."""
  names = ("loss", "reconstruction_error", "penalty")
  zero = jnp.zeros((), jnp.int32)
  return Sums({name: jnp.zeros(()) for name in names}, zero, zero - 1)


@functools.partial(jax.jit, static_argnames="n")
def epoch_order(key: Key[Array, ""], epoch: Int[Array, ""] | int, n: int) -> Int[Array, "{n}"]:
  """The order in which an epoch visits the examples: a function of the seed and its number."""
  return jax.random.permutation(jax.random.fold_in(key, epoch), n)


def make_run_steps(
  train_step: TrainStep, batch_size: int, *, together: bool = False, mesh: Mesh | None = None
) -> Callable[..., tuple[TrainState, Sums]]:
  """Returns `run_steps(state, sums, images, order, count)`, jitted, the state donated.

  It takes `count` steps from where the state is in its epoch, and adds their metrics to `sums`.
  The count is a traced number: one compilation serves a whole epoch, its parts, and a resumed
  run, and the parts' results are bit for bit those of the whole.

  Args:
    train_step: pure.
    batch_size: images a step.
    together: train several runs at once on the same images: state, sums and order then have a
      leading axis, one entry a run.
    mesh: of the devices that share each batch; the images are those of `put_images`.
  """

  def run_steps(
    state: TrainState,
    sums: Sums,
    images: UInt8[Array, "m h w c"],
    order: Int[Array, " n"],
    count: Int[Array, ""] | int,
  ) -> tuple[TrainState, Sums]:
    steps_per_epoch = order.shape[0] // batch_size

    def body(_, carry):
      state, sums = carry
      start = (state.step % steps_per_epoch) * batch_size
      rows = lax.dynamic_slice_in_dim(order, start, batch_size)
      state, metrics = train_step(state, take_rows(images, rows, mesh))
      return constrain_sharding(state, None if together else mesh), sums.add(
        metrics, state.step - 1
      )

    return lax.fori_loop(0, count, body, (state, sums))

  if together:
    run_steps = jax.vmap(run_steps, in_axes=(0, 0, None, 0, None))
  return jax.jit(run_steps, donate_argnums=0)
