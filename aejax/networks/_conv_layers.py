"""Layers for convolution and transposed convolution of signals, images and volumes of any size."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import variance_scaling
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from aejax.networks._conv_ops import convolve, transposed_convolve

__all__ = ["Convolution", "TransposedConvolution", "downsampled"]


def downsampled(size: Sequence[int], factor: int) -> tuple[int, ...]:
  """Returns the sides after convolutions of total stride `factor`, rounded up."""
  return tuple(-(-side // factor) for side in size)


class Convolution(nnx.Module):
  """A convolution, with a bias by default.

  Attributes:
    kernel: parameter of shape `[kernel_size, …, in_channels, out_channels]`, with one axis of
      `kernel_size` for each axis of the data.
    bias: parameter of shape `[out_channels]`, or None.
  """

  def __init__(
    self,
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int,
    stride: int = 1,
    padding: str = "SAME",
    gain: float = 2.0,
    use_bias: bool = True,
    axes: int = 2,
    dtype: DTypeLike = jnp.float32,
    rngs: nnx.Rngs,
  ) -> None:
    """Creates the layer.

    Args:
      in_channels: number of channels of the input.
      out_channels: number of channels of the result.
      kernel_size: side of the kernel.
      stride: pixels between two windows.
      padding: "SAME" or "VALID".
      gain: ratio of the result's variance to the input's at initialisation. Use 2 before a ReLU,
        which removes half of the variance, and otherwise 1.
      use_bias: whether to add a bias; not needed before a normalisation, which has its own.
      axes: number of axes of the data: 1 for signals, 2 for images, 3 for volumes.
      dtype: dtype of the computation; the parameters are float32.
      rngs: source of the initial kernel.
    """
    shape = (*[kernel_size] * axes, in_channels, out_channels)
    self.kernel = nnx.Param(_initial_kernel(shape, gain, rngs))
    self.bias = nnx.Param(jnp.zeros(out_channels)) if use_bias else None
    self.stride = stride
    self.padding = padding
    self.dtype = dtype

  def __call__(self, x: Float[Array, "n *s i"]) -> Float[Array, "n *t o"]:
    """Returns the convolution of `x` in the layer's dtype."""
    kernel = self.kernel[...].astype(self.dtype)
    bias = None if self.bias is None else self.bias[...]
    x = x.astype(self.dtype)
    return convolve(x, kernel, bias, stride=self.stride, padding=self.padding)


class TransposedConvolution(nnx.Module):
  """A transposed convolution to a given size, with a bias by default.

  Attributes:
    kernel: parameter of shape `[kernel_size, …, in_channels, out_channels]`, with one axis of
      `kernel_size` for each axis of the data.
    bias: parameter of shape `[out_channels]`, or None.
  """

  def __init__(
    self,
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int,
    stride: int,
    size: tuple[int, ...],
    gain: float = 2.0,
    use_bias: bool = True,
    dtype: DTypeLike = jnp.float32,
    rngs: nnx.Rngs,
  ) -> None:
    """Creates the layer.

    Args:
      in_channels: number of channels of the input.
      out_channels: number of channels of the result.
      kernel_size: side of the kernel.
      stride: pixels of the result for each pixel of the input.
      size: sides of the result; those of the input are `downsampled(size, stride)`.
      gain: ratio of the result's variance to the input's at initialisation, as in `Convolution`.
      use_bias: whether to add a bias; not needed before a normalisation, which has its own.
      dtype: dtype of the computation; the parameters are float32.
      rngs: source of the initial kernel.
    """
    shape = (*[kernel_size] * len(size), in_channels, out_channels)
    # Only one in stride^axes of the kernel's weights contributes to a pixel of the result. With the
    # usual fan-in, each layer would divide the signal by its stride.
    self.kernel = nnx.Param(_initial_kernel(shape, gain * stride ** len(size), rngs))
    self.bias = nnx.Param(jnp.zeros(out_channels)) if use_bias else None
    self.stride = stride
    self.size = size
    self.dtype = dtype

  def __call__(self, x: Float[Array, "n *t i"]) -> Float[Array, "n *s o"]:
    """Returns the transposed convolution of `x` in the layer's dtype."""
    kernel = self.kernel[...].astype(self.dtype)
    bias = None if self.bias is None else self.bias[...]
    x = x.astype(self.dtype)
    return transposed_convolve(x, kernel, bias, stride=self.stride, size=self.size)


def _initial_kernel(shape: tuple[int, ...], gain: float, rngs: nnx.Rngs) -> Float[Array, "*k i o"]:
  """Returns a normal kernel that changes the variance of its input by `gain`."""
  init = variance_scaling(gain, "fan_in", "truncated_normal")
  # XLA takes two to four times as long to compile a sample with four dimensions as a matrix.
  return init(rngs.params(), (math.prod(shape[:-1]), shape[-1]), jnp.float32).reshape(shape)
