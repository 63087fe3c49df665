"""Layers of convolution and of transposed convolution, for images of any size."""

import math

import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import variance_scaling
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from aejax.networks._conv_ops import convolve, transposed_convolve

__all__ = ["Convolution", "TransposedConvolution", "downsampled"]


def downsampled(size: tuple[int, int], factor: int) -> tuple[int, int]:
  """Height and width that convolutions of total stride `factor` leave of `size`: rounded up."""
  return -(-size[0] // factor), -(-size[1] // factor)


class Convolution(nnx.Module):
  """A convolution with bias.

  Attributes:
    kernel: `[kernel_size, kernel_size, in_channels, out_channels]`.
    bias: `[out_channels]`, or None.
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
    dtype: DTypeLike = jnp.float32,
    rngs: nnx.Rngs,
  ):
    """Makes the layer.

    Args:
      in_channels: channels of the input.
      out_channels: channels of the result.
      kernel_size: side of the square kernel.
      stride: pixels between two windows.
      padding: "SAME" or "VALID".
      gain: variance of the result over that of the input at initialisation; 2 makes up for the
        half that a following ReLU cuts away, 1 is for a layer without one.
      use_bias: False where a normalisation follows, which has a bias of its own.
      dtype: of the computation; the parameters are float32.
      rngs: source of the initial kernel.
    """
    shape = (kernel_size, kernel_size, in_channels, out_channels)
    self.kernel = nnx.Param(_initial_kernel(shape, gain, rngs))
    self.bias = nnx.Param(jnp.zeros(out_channels)) if use_bias else None
    self.stride = stride
    self.padding = padding
    self.dtype = dtype

  def __call__(self, x: Float[Array, "n h w i"]) -> Float[Array, "n p q o"]:
    """The convolution of `x`, in the layer's dtype."""
    kernel = self.kernel[...].astype(self.dtype)
    bias = None if self.bias is None else self.bias[...]
    x = x.astype(self.dtype)
    return convolve(x, kernel, bias, stride=self.stride, padding=self.padding)


class TransposedConvolution(nnx.Module):
  """A transposed convolution with bias, to a height and width that are given.

  Attributes:
    kernel: `[kernel_size, kernel_size, in_channels, out_channels]`.
    bias: `[out_channels]`, or None.
  """

  def __init__(
    self,
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int,
    stride: int,
    size: tuple[int, int],
    gain: float = 2.0,
    use_bias: bool = True,
    dtype: DTypeLike = jnp.float32,
    rngs: nnx.Rngs,
  ):
    """Makes the layer.

    Args:
      in_channels: channels of the input.
      out_channels: channels of the result.
      kernel_size: side of the square kernel.
      stride: pixels of the result per pixel of the input.
      size: height and width of the result; the input's are `downsampled(size, stride)`.
      gain: variance of the result over that of the input at initialisation, as in `Convolution`.
      use_bias: False where a normalisation follows.
      dtype: of the computation; the parameters are float32.
      rngs: source of the initial kernel.
    """
    shape = (kernel_size, kernel_size, in_channels, out_channels)
    # Only one in stride² of the kernel's weights meets a given pixel of the result, so the usual
    # fan-in would shrink the signal by the stride at every layer.
    self.kernel = nnx.Param(_initial_kernel(shape, gain * stride**2, rngs))
    self.bias = nnx.Param(jnp.zeros(out_channels)) if use_bias else None
    self.stride = stride
    self.size = size
    self.dtype = dtype

  def __call__(self, x: Float[Array, "n p q i"]) -> Float[Array, "n h w o"]:
    """The transposed convolution of `x`, in the layer's dtype."""
    kernel = self.kernel[...].astype(self.dtype)
    bias = None if self.bias is None else self.bias[...]
    x = x.astype(self.dtype)
    return transposed_convolve(x, kernel, bias, stride=self.stride, size=self.size)


def _initial_kernel(
  shape: tuple[int, int, int, int], gain: float, rngs: nnx.Rngs
) -> Float[Array, "k k i o"]:
  init = variance_scaling(gain, "fan_in", "truncated_normal")
  # Drawn as a matrix: a draw of four dimensions takes XLA two to four times as long to compile.
  return init(rngs.params(), (math.prod(shape[:3]), shape[3]), jnp.float32).reshape(shape)
