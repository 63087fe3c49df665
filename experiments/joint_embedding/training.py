"""Training of an encoder on two views of each image."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, Key, UInt8

from aejax.networks import ConvolutionalEncoder, MLPEncoder
from aejax.training.sharding import devices_mesh
from joint_embedding.penalties import Penalty
from joint_embedding.views import random_views

__all__ = ["Trainer", "embed"]

_LEARNING_RATE = 2e-3
_OPTIMIZER = optax.scale_by_adam()
_CHANNELS = (16, 32)
_HIDDEN_SIZE = 128
_EMBEDDED_AT_ONCE = 2000


class Trainer:
  """Trains encoders with one penalty; all calls share one compiled step.

  The loss is the mean of (z − z′)² over images and coordinates, z and z′ the embeddings of two
  views, plus the weight times the mean penalty of z and of z′. Images and batches are spread over
  all devices, with the result of one device.
  """

  def __init__(
    self,
    images: UInt8[np.ndarray, "n h w c"],
    penalty: Penalty,
    *,
    dim: int,
    network: str,
    batch_size: int,
    flip: bool,
  ):
    """Puts the images on the devices.

    Args:
      images: training images.
      penalty: penalty of embeddings.
      dim: dimension of the embeddings.
      network: "conv" or "mlp".
      batch_size: number of images in a batch.
      flip: whether views may be mirror images.
    """
    mesh = devices_mesh()
    self._sharding = None if mesh is None else NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    replicated = None if mesh is None else NamedSharding(mesh, PartitionSpec())
    self._put = lambda tree: tree if mesh is None else jax.device_put(tree, replicated)
    self._images = self._put(jnp.asarray(images))
    self._shape, self._dim, self._network = images.shape[1:], dim, network
    self._batch_size, self._flip, self._penalty = batch_size, flip, penalty
    self.graphdef = nnx.split(self._new(jax.random.key(0)))[0]
    self._step = jax.jit(self._update, donate_argnums=0)

  def start(self, seed: int) -> Any:
    """Returns the parameters that training with this seed starts from."""
    return nnx.split(self._new(jax.random.fold_in(jax.random.key(seed), 0)))[1]

  def train(self, weight: float, steps: int, seed: int) -> tuple[Any, np.ndarray]:
    """Returns parameters after training, and the loss at each step."""
    params = self.start(seed)
    carry = self._put((params, _OPTIMIZER.init(params)))
    key = jax.random.key(seed)
    keys = self._put(jax.random.split(jax.random.fold_in(key, 1), steps))
    batches = self._put(self.batches(jax.random.fold_in(key, 2), steps))
    losses = []
    for step in range(steps):
      rate = _LEARNING_RATE * (1 + math.cos(math.pi * step / steps)) / 2
      carry, loss = self._step(carry, batches[step], keys[step], weight, rate)
      losses.append(loss)
    return jax.device_get(carry[0]), np.asarray(losses)

  def batches(self, key: Key[Array, ""], steps: int) -> Int[Array, "steps batch"]:
    """Returns the rows of each batch: whole epochs, each in a new order."""
    n = len(self._images)
    in_epoch = n // self._batch_size
    orders = [
      jax.random.permutation(jax.random.fold_in(key, epoch), n)[: in_epoch * self._batch_size]
      for epoch in range(-(-steps // in_epoch))
    ]
    return jnp.concatenate(orders).reshape(-1, self._batch_size)[:steps]

  def _new(self, key: Key[Array, ""]) -> Any:
    if self._network == "mlp":
      return MLPEncoder(self._shape, self._dim, rngs=nnx.Rngs(key))
    return ConvolutionalEncoder(
      self._shape, self._dim, channels=_CHANNELS, hidden_size=_HIDDEN_SIZE, rngs=nnx.Rngs(key)
    )

  def _update(
    self, carry: Any, rows: Array, key: Key[Array, ""], weight: Array, rate: Array
  ) -> tuple[Any, Float[Array, ""]]:
    params, state = carry
    view_key, direction_key = jax.random.split(key)
    loss, gradient = jax.value_and_grad(self.loss)(params, rows, view_key, direction_key, weight)
    updates, state = _OPTIMIZER.update(gradient, state)
    return (optax.apply_updates(params, optax.tree.scale(-rate, updates)), state), loss

  def loss(
    self,
    params: Any,
    rows: Int[Array, " n"],
    view_key: Key[Array, ""],
    direction_key: Key[Array, ""],
    weight: float | Array,
  ) -> Float[Array, ""]:
    """Returns the loss of the images in these rows."""
    batch = self._images[rows].astype(jnp.float32) / 255
    if self._sharding is not None:
      batch = jax.lax.with_sharding_constraint(batch, self._sharding)
    encode: Any = nnx.merge(self.graphdef, params)
    z, other = (encode(random_views(batch, k, flip=self._flip)) for k in jax.random.split(view_key))
    first_key, second_key = jax.random.split(direction_key)
    penalty = (self._penalty(z, first_key) + self._penalty(other, second_key)) / 2
    return jnp.mean((z - other) ** 2) + weight * penalty


def embed(
  graphdef: Any, params: Any, images: UInt8[np.ndarray, "n h w c"]
) -> Float[np.ndarray, "n d"]:
  """Returns the embeddings of images without augmentation."""

  @jax.jit
  def encode(params: Any, batch: Array) -> Array:
    return nnx.merge(graphdef, params)(batch.astype(jnp.float32) / 255)

  starts = range(0, len(images), _EMBEDDED_AT_ONCE)
  parts = [encode(params, images[start : start + _EMBEDDED_AT_ONCE]) for start in starts]
  return np.concatenate([np.asarray(part) for part in parts])
