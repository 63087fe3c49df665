"""Random views of images: crop and zoom, shift, mirror image, brightness, noise."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

__all__ = ["random_views"]

# Side of the crop as a fraction of the image's side; its centre may lie anywhere inside.
_MIN_SIDE = 0.8
_BRIGHTNESS = 0.4
_NOISE = 0.1


def random_views(
  images: Float[Array, "n h w c"], key: Key[Array, ""], *, flip: bool
) -> Float[Array, "n h w c"]:
  """Returns one random view of each image.

  Args:
    images: images in [0, 1].
    key: random key.
    flip: whether half of the views are mirror images. Digits have none.
  """
  n, height, width, _ = images.shape
  side_key, y_key, x_key, flip_key, gain_key, noise_key = jax.random.split(key, 6)
  side = jax.random.uniform(side_key, (n, 1), minval=_MIN_SIDE)
  mirrored = jax.random.bernoulli(flip_key, 0.5, (n, 1)) & flip
  rows = _interpolation(y_key, height, side, jnp.zeros_like(mirrored))
  columns = _interpolation(x_key, width, side, mirrored)
  # Two products with small matrices crop, zoom, shift and mirror every image.
  views = jnp.einsum("nyh,nhwc,nxw->nyxc", rows, images, columns)
  gain = jax.random.uniform(gain_key, (n, 1, 1, 1), minval=1 - _BRIGHTNESS, maxval=1 + _BRIGHTNESS)
  return gain * views + _NOISE * jax.random.normal(noise_key, images.shape)


def _interpolation(
  key: Key[Array, ""], length: int, side: Float[Array, "n 1"], mirrored: Array
) -> Float[Array, "n length length"]:
  """Returns the matrices that resample one axis linearly, from a random crop to all of it."""
  centre = jax.random.uniform(key, side.shape, minval=side / 2, maxval=1 - side / 2)
  offsets = (jnp.arange(length) + 0.5) / length - 0.5
  positions = (centre + jnp.where(mirrored, -1, 1) * side * offsets) * length - 0.5
  distances = jnp.abs(positions[:, :, None] - jnp.arange(length))
  return jnp.maximum(1 - distances, 0)
