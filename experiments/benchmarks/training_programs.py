"""The training programs that are timed: the compiled loop of `train`, and its lower bound."""

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
  """A network and the data it is trained on.

  Attributes:
    network: name of the network in `networks.ARCHITECTURES`.
    side: height and width of the grey images in pixels.
    latent_dim: dimension of the latents.
    batch_size: number of images per step.
    num_images: number of images, all of them on the device as uint8.
  """

  network: str
  side: int = 28
  latent_dim: int = 8
  batch_size: int = 256
  num_images: int = 16384

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """Height, width and channels of an image."""
    return self.side, self.side, 1

  def images(self) -> UInt8[np.ndarray, "n h w c"]:
    """Returns images of noise: the time of a step does not depend on their content."""
    return _noise(self.num_images, self.image_shape)

  def order(self, seed: int = 0) -> Int[Array, " n"]:
    """Returns the order of the images in an epoch."""
    return epoch_order(jax.random.key(seed), 0, self.num_images)


@functools.lru_cache(maxsize=2)
def _noise(num_images: int, shape: tuple[int, ...]) -> np.ndarray:
  return np.random.default_rng(0).integers(0, 256, (num_images, *shape), np.uint8)


class Training:
  """One training run, or several together. A call takes a number of steps and waits for them.

  Attributes:
    model: the model with its initial parameters; of several runs, that of the last.
    num_parameters: number of parameters of one run.
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
    self._run_steps = make_run_steps(
      train_step,
      workload.batch_size,
      image_shape=workload.image_shape,
      together=seeds > 1,
    )
    self._images = jnp.asarray(workload.images().reshape(workload.num_images, -1))
    orders = [workload.order(seed) for seed in range(seeds)]
    self._state, self._sums, self._order = (
      trees[0] if seeds == 1 else jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
      for trees in (states, [zero_sums()] * seeds, orders)
    )

  def __call__(self, count: int) -> Sums:
    """Takes `count` steps, and returns the sums of their metrics."""
    self._state, sums = self._run_steps(self._state, self._sums, self._images, self._order, count)
    return jax.block_until_ready(sums)


def matrix_products(training: Training, workload: Workload) -> Callable[[int], Any]:
  """Returns a loop over only the matrix products of a step of the fully connected network.

  These are one forward and two backward products for each layer, and one less for the first, whose
  input needs no gradient. There is no bias, ReLU, loss or Adam.
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
    # Uses all gradients, so that XLA keeps the products, without changing the weights.
    return [w + 1e-30 * g for w, g in zip(weights, gradients, strict=True)]

  loop = jax.jit(lambda weights, count: lax.fori_loop(0, count, step, weights))
  return lambda count: jax.block_until_ready(loop(weights, count))
