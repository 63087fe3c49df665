"""Convolution and transposed convolution, with a fast implementation for CPUs.

On a CPU, XLA runs the gradient of a convolution on one core when it is inside a compiled loop,
which is many times slower than necessary. There we write a convolution as a product of two
matrices: the kernel and the matrix of all windows. The batch is the last axis, so that windows
are copied in long runs. XLA must not fuse these operations with the reshapes and sums around
them, because the copies of the windows then take up to eight times as long. On every other
platform, and for signals and volumes, we call XLA's own convolution.

Inside `portable_convolutions`, there is neither a choice by platform nor the gradient of a
convolution, so that converters to other formats know every operation.
"""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from aejax.networks._conv_products import adjoint_kernel, adjoint_products, like, products

__all__ = ["convolve", "portable_convolutions", "transposed_convolve"]

Size = tuple[int, ...]
Padding = tuple[tuple[int, int], ...]
Implementation = Callable[
  [Float[Array, "n *s i"], Float[Array, "*k i o"], Float[Array, " o"]], Float[Array, "n *t o"]
]

_PORTABLE = contextvars.ContextVar("portable", default=False)


@contextlib.contextmanager
def portable_convolutions() -> Iterator[None]:
  """Traces plain convolutions inside, of the same values, for converters to other formats."""
  token = _PORTABLE.set(True)
  try:
    yield
  finally:
    _PORTABLE.reset(token)


def convolve(
  x: Float[Array, "n *s i"],
  kernel: Float[Array, "*k i o"],
  bias: Float[Array, " o"] | None = None,
  *,
  stride: int,
  padding: str,
) -> Float[Array, "n *t o"]:
  """Returns the convolution of `x` with `kernel`, plus `bias`.

  Args:
    x: images.
    kernel: kernel, with one axis for each axis of the data.
    bias: constant added to each output channel.
    stride: pixels between two windows.
    padding: "VALID", or "SAME" for sides divided by `stride`, rounded up.
  """
  sides = x.shape[1:-1]
  pads = tuple(lax.padtype_to_pads(sides, kernel.shape[:-2], (stride,) * len(sides), padding))

  def by_xla(
    x: Float[Array, "n *s i"], kernel: Float[Array, "*k i o"], bias: Float[Array, " o"]
  ) -> Float[Array, "n *t o"]:
    return _strided(x, kernel, stride, pads) + bias

  if len(sides) != 2 or _PORTABLE.get():
    return _called(by_xla, x, kernel, bias)
  height, width = (
    (length + sum(pad) - kernel.shape[0]) // stride + 1
    for length, pad in zip(sides, pads, strict=True)
  )
  low = pads[0][0], pads[1][0]
  by_products = functools.partial(products, stride=stride, low=low, size=(height, width))
  return _called(_by_platform(by_products, by_xla), x, kernel, bias)


def transposed_convolve(
  x: Float[Array, "n *t i"],
  kernel: Float[Array, "*k i o"],
  bias: Float[Array, " o"] | None = None,
  *,
  stride: int,
  size: Size,
) -> Float[Array, "n *s o"]:
  """Returns the adjoint of a strided "SAME" convolution, applied to `x`, plus `bias`.

  `lax.conv_transpose` cannot return every size: a stride of 2 takes both 13 and 14 pixels to 7,
  and only the caller knows which of them the result must have.

  Args:
    x: images.
    kernel: kernel; the convolution's own kernel is this one, flipped and with its channels
      swapped.
    bias: constant added to each output channel.
    stride: pixels of the result for each pixel of `x`.
    size: sides of the result.
  """
  side = kernel.shape[0]
  low, pads = [], []
  for length, target in zip(x.shape[1:-1], size, strict=True):
    surplus = stride * (length - 1) + side - target
    # "SAME" shares the padding between the two ends, and puts an odd pixel at the far end.
    low.append(surplus // 2)
    pads.append((low[-1], surplus - low[-1]))

  def by_xla(
    x: Float[Array, "n *t i"], kernel: Float[Array, "*k i o"], bias: Float[Array, " o"]
  ) -> Float[Array, "n *s o"]:
    if _PORTABLE.get():
      return _dilated(stride, tuple(pads), x, kernel) + bias
    return _adjoint(stride, tuple(pads), size, x, kernel) + bias

  def by_products(
    x: Float[Array, "n *t i"], kernel: Float[Array, "*k i o"], bias: Float[Array, " o"]
  ) -> Float[Array, "n *s o"]:
    adjoint = adjoint_kernel(kernel)
    return adjoint_products(
      x, adjoint, bias, stride=stride, low=(low[0], low[1]), size=(size[0], size[1])
    )

  chosen = len(size) == 2 and not _PORTABLE.get()
  implementation = _by_platform(by_products, by_xla) if chosen else by_xla
  return _called(implementation, x, kernel, bias)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _adjoint(
  stride: int,
  pads: Padding,
  size: Size,
  x: Float[Array, "n *t i"],
  kernel: Float[Array, "*k i o"],
) -> Float[Array, "n *s o"]:
  """Returns the adjoint of the strided convolution from `size` by the adjoint kernel.

  A convolution of images with zeros between their pixels has the same value. cuDNN would multiply
  by these zeros, but computes the gradient of a convolution without them.
  """
  # Without the barrier XLA cancels the two reversals of the kernel. It then no longer recognises
  # the gradient of a convolution.
  adjoint = lax.optimization_barrier(adjoint_kernel(kernel))
  images = like((x.shape[0], *size, kernel.shape[-1]), x, kernel)
  transpose = jax.linear_transpose(lambda v: _strided(v, adjoint, stride, pads), images)
  return transpose(x)[0]


@_adjoint.defjvp
def _adjoint_jvp(
  stride: int,
  pads: Padding,
  size: Size,
  primals: tuple[Float[Array, "n *t i"], Float[Array, "*k i o"]],
  tangents: tuple[Float[Array, "n *t i"], Float[Array, "*k i o"]],
) -> tuple[Float[Array, "n *s o"], Float[Array, "n *s o"]]:
  """Writes both tangents as transposes, which reverse mode transposes back.

  The gradient for `x` is then the strided convolution, and the gradient for the kernel is that of
  the strided convolution for its kernel.
  """
  x, kernel = primals
  dx, dkernel = tangents
  y = _adjoint(stride, pads, size, x, kernel)

  def kernel_gradient(images: Float[Array, "n *s o"]) -> Float[Array, "*k i o"]:
    adjoint = like(adjoint_kernel(kernel).shape, kernel)
    transpose = jax.linear_transpose(lambda k: _strided(images, k, stride, pads), adjoint)
    return adjoint_kernel(transpose(x)[0])

  (by_kernel,) = jax.linear_transpose(kernel_gradient, like(y.shape, y))(dkernel)
  return y, _adjoint(stride, pads, size, dx, kernel) + by_kernel


def _strided(
  x: Float[Array, "n *s i"], kernel: Float[Array, "*k i o"], stride: int, pads: Padding
) -> Float[Array, "n *t o"]:
  """Returns XLA's strided convolution."""
  strides = (stride,) * len(pads)
  return lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=_layout(len(pads)))


def _dilated(
  stride: int, pads: Padding, x: Float[Array, "n *t i"], kernel: Float[Array, "*k i o"]
) -> Float[Array, "n *s o"]:
  """Returns the same as `_adjoint`: the convolution of images with zeros between their pixels."""
  layout = _layout(x.ndim - 2)
  side = kernel.shape[0] - 1
  around = tuple((side - low, side - high) for low, high in pads)
  ones, strides = (1,) * len(pads), (stride,) * len(pads)
  return lax.conv_general_dilated(
    x, kernel, ones, around, lhs_dilation=strides, dimension_numbers=layout
  )


def _layout(axes: int) -> tuple[str, str, str]:
  names = "HWD"[:axes]
  return f"N{names}C", f"{names}IO", f"N{names}C"


def _called(
  implementation: Implementation,
  x: Float[Array, "n *s i"],
  kernel: Float[Array, "*k i o"],
  bias: Float[Array, " o"] | None,
) -> Float[Array, "n *t o"]:
  """Returns the result of an implementation, which adds the bias to each pixel."""
  # Users may forbid rank promotion in their own code; ours broadcasts on purpose.
  with jax.numpy_rank_promotion("allow"):
    return implementation(x, kernel, _bias_or_zeros(bias, kernel))


def _by_platform(on_cpu: Implementation, elsewhere: Implementation) -> Implementation:
  """Returns a function that calls `on_cpu` when lowered for a CPU, and otherwise `elsewhere`."""

  def function(
    x: Float[Array, "n *s i"], kernel: Float[Array, "*k i o"], bias: Float[Array, " o"]
  ) -> Float[Array, "n *t o"]:
    return lax.platform_dependent(x, kernel, bias, cpu=on_cpu, default=elsewhere)

  return function


def _bias_or_zeros(
  bias: Float[Array, " o"] | None, kernel: Float[Array, "*k i o"]
) -> Float[Array, " o"]:
  """Returns the bias in the kernel's dtype, or zeros."""
  return jnp.zeros(kernel.shape[-1], kernel.dtype) if bias is None else bias.astype(kernel.dtype)
