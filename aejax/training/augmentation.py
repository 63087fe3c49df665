"""Random changes of the images of each step, as a function of the run's key."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num

from aejax.training.step import TrainState, TrainStep

__all__ = ["check_flip", "flipped", "with_flips"]

# The objective draws from the key of the step as well, so the flips have a key of their own.
_FLIP = 0x666C6970


def with_flips(train_step: TrainStep) -> TrainStep:
  """Returns the step with each image of its batch flipped horizontally with probability 1/2."""

  def step(state, batch, *, axis_name=None):
    return train_step(state, flipped(state, batch), axis_name=axis_name)

  return step


def flipped(state: TrainState, batch: Num[Array, "n h w c"]) -> Num[Array, "n h w c"]:
  """Returns the images of a step as `with_flips` sees them.

  The draws depend on the key of the run and the number of the step only.

  Args:
    state: state before the step.
    batch: the images, of any dtype.
  """
  key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), _FLIP)
  chosen = jax.random.bernoulli(key, 0.5, (batch.shape[0], 1, 1, 1))
  return jnp.where(chosen, batch[:, :, ::-1], batch)


def check_flip(flip: bool, image_shape: tuple[int, ...]) -> None:
  """Raises a ValueError if examples that are no images are to be flipped."""
  kinds = {1: "vectors", 2: "signals", 4: "volumes"}
  if flip and len(image_shape) != 3:
    raise ValueError(f"flip is for images, but the data are {kinds[len(image_shape)]}.")
