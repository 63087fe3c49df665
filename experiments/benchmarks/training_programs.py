"""What is timed of our training: the compiled loop as `train` runs it, and the floor under it."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Int, UInt8

from aejax import networks
from aejax.objectives import Objective
from aejax.training.epoch import Sums, epoch_order, make_run_steps, zero_sums
from aejax.training.step import create

__all__ = ["LEARNING_RATE", "Training", "Workload", "matrix_products"]

LEARNING_RATE = 1e-3


@dataclasses.dataclass(frozen=True)
class Workload:
  """What is trained on what.

  Attributes:
    network: a name of `networks.ARCHITECTURES`.
    side: pixels a side of the grey images.
    latent_dim: D.
    batch_size: images a step.
    num_images: that the data have, all on the device as uint8.
  """

  network: str
  side: int = 28
  latent_dim: int = 8
  batch_size: int = 256
  num_images: int = 16384

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """Height, width, channels."""
    return self.side, self.side, 1

  def images(self) -> UInt8[np.ndarray, "n h w c"]:
    """Noise: what a pixel holds costs nothing."""
    return _noise(self.num_images, self.image_shape)

  def order(self, seed: int = 0) -> Int[Array, " n"]:
    """Of the images in an epoch."""
    return epoch_order(jax.random.key(seed), 0, self.num_images)


@functools.lru_cache(maxsize=2)
def _noise(num_images: int, shape: tuple[int, ...]) -> np.ndarray:
  return np.random.default_rng(0).integers(0, 256, (num_images, *shape), np.uint8)


class Training:
  """Training runs, one or several together. A call takes so many steps and waits for them.

  Attributes:
    model: with the initial parameters, of the last run if there are several.
    num_parameters: of one run.
  """

  def __init__(self, workload: Workload, objective: Objective, *, seeds: int = 1):
    states, train_step = [], None
    for seed in range(seeds):
      self.model = networks.build(
        workload.network,
        workload.image_shape,
        latent_dim=workload.latent_dim,
        gaussian=objective.gaussian_encoder,
        key=jax.random.key(seed),
      )
      optimizer = optax.adam(LEARNING_RATE)
      state, train_step = create(self.model, objective, optimizer, key=jax.random.key(seed))
      states.append(state)
    assert train_step is not None
    self.num_parameters = sum(leaf.size for leaf in jax.tree.leaves(states[0].params))
    self._run_steps = make_run_steps(train_step, workload.batch_size, together=seeds > 1)
    self._images = jnp.asarray(workload.images())
    orders = [workload.order(seed) for seed in range(seeds)]
    self._state, self._sums, self._order = (
      trees[0] if seeds == 1 else jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
      for trees in (states, [zero_sums()] * seeds, orders)
    )

  def __call__(self, count: int) -> Sums:
    """Takes steps, and returns the sums of their metrics."""
    self._state, sums = self._run_steps(self._state, self._sums, self._images, self._order, count)
    return jax.block_until_ready(sums)


def matrix_products(training: Training, workload: Workload) -> Callable[[int], Any]:
  """The products of a step of the fully connected network, in the same kind of loop.

  For each layer the forward one and two backward ones, but for the first layer's, whose input needs
  no gradient. Between them stands nothing: no bias, no ReLU, no loss, no Adam.
  """
  encoder: Any = training.model.encoder
  decoder: Any = training.model.decoder
  layers = [*encoder.hidden, encoder.latents.linear, *decoder.hidden, decoder.to_pixels]
  weights = [jnp.copy(layer.kernel[...]) for layer in layers]
  x = jnp.asarray(workload.images()[: workload.batch_size], jnp.float32) / 255
  x = x.reshape(workload.batch_size, -1)

  def step(_, weights):
    inputs = [x]
    for weight in weights:
      inputs.append(inputs[-1] @ weight)
    back, gradients = inputs.pop(), []
    for number, weight in reversed(list(enumerate(weights))):
      gradients.insert(0, inputs[number].T @ back)
      if number:
        back = back @ weight.T
    # The products must be needed, and the numbers must stay what they are.
    return [w + 1e-30 * g for w, g in zip(weights, gradients, strict=True)]

  loop = jax.jit(lambda weights, count: lax.fori_loop(0, count, step, weights))
  return lambda count: jax.block_until_ready(loop(weights, count))
