"""Many steps in one compiled loop: the data and the state stay on the device."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh
from jaxtyping import Array, Int, Key, Num

from aejax.training.sharding import constrain_sharding, take_rows
from aejax.training.step import Metrics, TrainState, TrainStep, pytree_node

__all__ = ["Sums", "epoch_order", "make_run_steps", "zero_sums"]


@pytree_node
@dataclasses.dataclass(frozen=True)
class Sums:
  """Sums of the metrics over the steps of the current epoch.

  Attributes:
    totals: sum of each metric over the steps with a finite loss.
    skipped: number of steps with a loss that is not finite.
    bad_step: number of the first such step, counted from the start of the run; −1 if there is none.
  """

  totals: Metrics
  skipped: Int[Array, ""]
  bad_step: Int[Array, ""]

  def add(self, metrics: Metrics, step: Int[Array, ""]) -> "Sums":
    """Returns the sums with the metrics of one more step."""
    finite = jnp.isfinite(metrics["loss"])
    totals = jax.tree.map(
      lambda total, value: total + jnp.where(finite, value, 0).astype(total.dtype),
      self.totals,
      metrics,
    )
    first = (self.bad_step < 0) & ~finite
    return Sums(
      totals, self.skipped + (~finite).astype(jnp.int32), jnp.where(first, step, self.bad_step)
    )


def zero_sums() -> Sums:
  """Returns the sums over no steps."""
  names = ("loss", "reconstruction_error", "penalty")
  zero = jnp.zeros((), jnp.int32)
  # With 64-bit JAX, the default would be float64.
  return Sums({name: jnp.zeros((), jnp.float32) for name in names}, zero, zero - 1)


@functools.partial(jax.jit, static_argnames="n")
def epoch_order(key: Key[Array, ""], epoch: Int[Array, ""] | int, n: int) -> Int[Array, "{n}"]:
  """Returns the order in which an epoch visits the n images.

  It depends on the key and the epoch's number only, so a resumed run needs no stored order.
  """
  return jax.random.permutation(jax.random.fold_in(key, epoch), n)


def make_run_steps(
  train_step: TrainStep,
  batch_size: int,
  *,
  image_shape: tuple[int, ...],
  together: bool = False,
  mesh: Mesh | None = None,
) -> Callable[..., tuple[TrainState, Sums]]:
  """Returns the jitted function `run_steps(state, sums, images, order, count)`; it donates `state`.

  The function takes `count` steps from the state's position in its epoch and adds their metrics to
  `sums`. The count is a traced number, so one compilation serves a whole epoch, its parts and a
  resumed run. The parts give bit for bit the result of the whole epoch.

  Args:
    train_step: the pure step.
    batch_size: number of images in a step.
    image_shape: shape of one image or other example; they are stored flat.
    together: whether several runs are trained at once on the same images. State, sums and order
      then have a leading axis with one entry per run.
    mesh: mesh of the devices that share each batch; the images are those of `shard_images`.
  """

  def run_steps(
    state: TrainState,
    sums: Sums,
    images: Num[Array, "m values"],
    order: Int[Array, " n"],
    count: Int[Array, ""] | int,
  ) -> tuple[TrainState, Sums]:
    steps_per_epoch = order.shape[0] // batch_size

    def body(_, carry):
      state, sums = carry
      start = (state.step % steps_per_epoch) * batch_size
      rows = lax.dynamic_slice_in_dim(order, start, batch_size)
      batch = take_rows(images, rows, mesh).reshape(batch_size, *image_shape)
      state, metrics = train_step(state, batch)
      sums = sums.add(metrics, state.step - 1)
      return constrain_sharding(state, None if together else mesh), sums

    return lax.fori_loop(0, count, body, (state, sums))

  if together:
    run_steps = jax.vmap(run_steps, in_axes=(0, 0, None, 0, None))
  return jax.jit(run_steps, donate_argnums=0)
