"""Convolution and transposed convolution, with a fast implementation for CPUs.

On a CPU, XLA runs the gradient of a convolution on one core when it is inside a compiled loop,
which is many times slower than necessary. There we write a convolution as a product of two
matrices: the kernel and the matrix of all windows. The batch is the last axis, so that windows
are copied in long runs. XLA must not fuse these operations with the reshapes and sums around
them, because the copies of the windows then take up to eight times as long. On every other
platform we call XLA's own convolution.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from aejax.networks._conv_products import adjoint_kernel, adjoint_products, like, products

__all__ = ["convolve", "transposed_convolve"]

_LAYOUT = ("NHWC", "HWIO", "NHWC")

Size = tuple[int, int]
Padding = tuple[tuple[int, int], tuple[int, int]]
Images = Float[Array, "n h w i"]
Kernel = Float[Array, "k k i o"]
Implementation = Callable[[Images, Kernel, Float[Array, " o"]], Float[Array, "n p q o"]]


def convolve(
  x: Float[Array, "n h w i"],
  kernel: Float[Array, "k k i o"],
  bias: Float[Array, " o"] | None = None,
  *,
  stride: int,
  padding: str,
) -> Float[Array, "n p q o"]:
  """Returns the convolution of `x` with `kernel`, plus `bias`.

  Args:
    x: images.
    kernel: square kernel.
    bias: constant added to each output channel.
    stride: pixels between two windows.
    padding: "VALID", or "SAME" for height and width divided by `stride`, rounded up.
  """
  first, second = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], (stride, stride), padding)
  pads = (first, second)
  low = first[0], second[0]
  height, width = (
    (length + sum(pad) - kernel.shape[0]) // stride + 1
    for length, pad in zip(x.shape[1:3], pads, strict=True)
  )

  def by_xla(
    x: Float[Array, "n h w i"], kernel: Float[Array, "k k i o"], bias: Float[Array, " o"]
  ) -> Float[Array, "n p q o"]:
    return _strided(x, kernel, stride, pads) + bias

  by_products = functools.partial(products, stride=stride, low=low, size=(height, width))
  return _by_platform(by_products, by_xla)(x, kernel, _bias_or_zeros(bias, kernel))


def transposed_convolve(
  x: Float[Array, "n p q i"],
  kernel: Float[Array, "k k i o"],
  bias: Float[Array, " o"] | None = None,
  *,
  stride: int,
  size: Size,
) -> Float[Array, "n h w o"]:
  """Returns the adjoint of a strided "SAME" convolution, applied to `x`, plus `bias`.

  `lax.conv_transpose` cannot return every size: a stride of 2 takes both 13 and 14 pixels to 7,
  and only the caller knows which of them the result must have.

  Args:
    x: images.
    kernel: square kernel; the convolution's own kernel is this one, flipped and with its channels
      swapped.
    bias: constant added to each output channel.
    stride: pixels of the result for each pixel of `x`.
    size: height and width of the result.
  """
  side = kernel.shape[0]
  low, pads = [], []
  for length, target in zip(x.shape[1:3], size, strict=True):
    surplus = stride * (length - 1) + side - target
    # "SAME" shares the padding between the two ends, and puts an odd pixel at the far end.
    low.append(surplus // 2)
    pads.append((low[-1], surplus - low[-1]))

  def by_xla(
    x: Float[Array, "n p q i"], kernel: Float[Array, "k k i o"], bias: Float[Array, " o"]
  ) -> Float[Array, "n h w o"]:
    return _adjoint(stride, (pads[0], pads[1]), size, x, kernel) + bias

  def by_products(
    x: Float[Array, "n p q i"], kernel: Float[Array, "k k i o"], bias: Float[Array, " o"]
  ) -> Float[Array, "n h w o"]:
    adjoint = adjoint_kernel(kernel)
    return adjoint_products(x, adjoint, bias, stride=stride, low=(low[0], low[1]), size=size)

  return _by_platform(by_products, by_xla)(x, kernel, _bias_or_zeros(bias, kernel))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _adjoint(
  stride: int,
  pads: Padding,
  size: Size,
  x: Float[Array, "n p q i"],
  kernel: Float[Array, "k k i o"],
) -> Float[Array, "n h w o"]:
  """Returns the adjoint of the strided convolution from `size` by the adjoint kernel.

  A convolution of images with zeros between their pixels has the same value. cuDNN would multiply
  by these zeros, but computes the gradient of a convolution without them.
  """
  # Without the barrier XLA cancels the two reversals of the kernel. It then no longer recognises
  # the gradient of a convolution.
  adjoint = lax.optimization_barrier(adjoint_kernel(kernel))
  images = like((x.shape[0], *size, kernel.shape[3]), x, kernel)
  transpose = jax.linear_transpose(lambda v: _strided(v, adjoint, stride, pads), images)
  return transpose(x)[0]


@_adjoint.defjvp
def _adjoint_jvp(
  stride: int,
  pads: Padding,
  size: Size,
  primals: tuple[Float[Array, "n p q i"], Float[Array, "k k i o"]],
  tangents: tuple[Float[Array, "n p q i"], Float[Array, "k k i o"]],
) -> tuple[Float[Array, "n h w o"], Float[Array, "n h w o"]]:
  """Writes both tangents as transposes, which reverse mode transposes back.

  The gradient for `x` is then the strided convolution, and the gradient for the kernel is that of
  the strided convolution for its kernel.
  """
  x, kernel = primals
  dx, dkernel = tangents
  y = _adjoint(stride, pads, size, x, kernel)

  def kernel_gradient(images: Float[Array, "n h w o"]) -> Float[Array, "k k i o"]:
    adjoint = like(adjoint_kernel(kernel).shape, kernel)
    transpose = jax.linear_transpose(lambda k: _strided(images, k, stride, pads), adjoint)
    return adjoint_kernel(transpose(x)[0])

  (by_kernel,) = jax.linear_transpose(kernel_gradient, like(y.shape, y))(dkernel)
  return y, _adjoint(stride, pads, size, dx, kernel) + by_kernel


def _strided(
  x: Float[Array, "n h w i"], kernel: Float[Array, "k k i o"], stride: int, pads: Padding
) -> Float[Array, "n p q o"]:
  """Returns XLA's strided convolution."""
  return lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=_LAYOUT)


def _by_platform(on_cpu: Implementation, elsewhere: Implementation) -> Implementation:
  """Returns a function that calls `on_cpu` when lowered for a CPU, and otherwise `elsewhere`."""

  def function(
    x: Float[Array, "n h w i"], kernel: Float[Array, "k k i o"], bias: Float[Array, " o"]
  ) -> Float[Array, "n p q o"]:
    return lax.platform_dependent(x, kernel, bias, cpu=on_cpu, default=elsewhere)

  return function


def _bias_or_zeros(
  bias: Float[Array, " o"] | None, kernel: Float[Array, "k k i o"]
) -> Float[Array, " o"]:
  """Returns the bias in the kernel's dtype, or zeros."""
  return jnp.zeros(kernel.shape[3], kernel.dtype) if bias is None else bias.astype(kernel.dtype)
