"""Convolution and its adjoint: XLA's own on an accelerator, matrix products on a CPU.

Inside a compiled loop, which is how training runs, XLA's CPU backend takes the gradient of a
convolution on one thread and by plain loops: a step is 30 to 60 times slower than it need be. As
matrix products of patches it runs at the speed of the machine's matrix product. Both are linear
algebra that JAX differentiates, so a gradient, a `jvp`, a `vmap` and a sharding need no more code.

What makes the patches cheap on a CPU:
- The batch is the innermost axis, so every copy runs over whole batches, even of one channel.
- A convolution of stride s reads its s² phases, each with stride 1: a few slices, one after the
  other, are the rows of the matrix, and no weight is multiplied by a zero.
- XLA keeps each operation apart from what is around it. It would merge the copies with the
  reshapes and reductions of the neighbouring layers, into loops that are 3 to 8 times slower.
"""

import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jax.typing import DTypeLike
from jaxtyping import Array, Float

__all__ = ["convolve", "laid_out_for_convolution", "transposed_convolve"]

_LAYOUT = ("NHWC", "HWIO", "NHWC")

# Patches are up to k² times the image: beyond this many numbers, the batch is taken in parts.
_MOST_PATCHES = 2**25


@functools.partial(jax.jit, static_argnames=("stride", "padding"))
def convolve(
  x: Float[Array, "n h w i"],
  kernel: Float[Array, "k k i o"],
  bias: Float[Array, " o"] | None = None,
  *,
  stride: int,
  padding: str,
) -> Float[Array, "n p q o"]:
  """Convolution; "SAME" padding gives height and width divided by `stride`, rounded up."""
  side = kernel.shape[0]
  windows = [_windows(length, side, stride, padding) for length in x.shape[1:3]]

  def by_xla(x, kernel, bias):
    y = lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=_LAYOUT)
    return _add(y, bias)

  def by_patches(x, kernel, bias):
    # Of stride 1 it is an adjoint too, and patches of whichever side has fewer channels will do.
    if stride == 1 and kernel.shape[3] < kernel.shape[2]:
      lows = [side - 1 - low for _, low in windows]
      return _adjoint(x, kernel, bias, stride, [num for num, _ in windows], lows)
    return _convolution(x, kernel, bias, stride, windows)

  return lax.platform_dependent(x, kernel, bias, cpu=by_patches, default=by_xla)


@functools.partial(jax.jit, static_argnames=("stride", "size"))
def transposed_convolve(
  x: Float[Array, "n p q i"],
  kernel: Float[Array, "k k i o"],
  bias: Float[Array, " o"] | None = None,
  *,
  stride: int,
  size: tuple[int, int],
) -> Float[Array, "n h w o"]:
  """The adjoint of a convolution from `size`, so the result has exactly that height and width.

  An odd size is why this is not `lax.conv_transpose`: 13 and 14 pixels both become 7, and only
  the caller knows which to return to. The kernel is that of the adjoint, flipped and transposed.
  """
  side = kernel.shape[0]
  # As "SAME" does: what is cut is shared between the two ends, the odd pixel at the far one.
  full = [stride * (length - 1) + side for length in x.shape[1:3]]
  lows = [(length - target) // 2 for length, target in zip(full, size, strict=True)]

  def by_xla(x, kernel, bias):
    padding = [
      (side - 1 - low, target + side - 1 - (length - side + 1) - (side - 1 - low))
      for low, target, length in zip(lows, size, full, strict=True)
    ]
    y = lax.conv_general_dilated(
      x, kernel, (1, 1), padding, lhs_dilation=(stride, stride), dimension_numbers=_LAYOUT
    )
    return _add(y, bias)

  def by_patches(x, kernel, bias):
    return _adjoint(x, kernel, bias, stride, size, lows)

  return lax.platform_dependent(x, kernel, bias, cpu=by_patches, default=by_xla)


def laid_out_for_convolution(x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
  """`x` itself; on a CPU, the place where it changes between batch outermost and innermost.

  For between a convolution and a fully connected layer, whose matrix product has the batch
  outermost. Left to XLA, the change is made within the elementwise operations around it, in
  about three times the time.
  """

  def apart(x):
    return _batch_outermost(_apart(_batch_innermost)(x))

  return lax.platform_dependent(x, cpu=apart, default=lambda x: x)


def _windows(length: int, side: int, stride: int, padding: str) -> tuple[int, int]:
  """How many windows there are along an axis, and how far before the image the first begins."""
  if padding == "VALID":
    return max((length - side) // stride + 1, 0), 0
  num = -(-length // stride)
  return num, max((num - 1) * stride + side - length, 0) // 2


def _add(y: Float[Array, "..."], bias: Float[Array, "..."] | None) -> Float[Array, "..."]:
  return y if bias is None else y + bias


def _convolution(x, kernel, bias, stride, windows):
  nums, lows = zip(*windows, strict=True)
  side, _, _, channels = kernel.shape

  def operation(x, kernel, bias):
    patches = _patches(x, side, stride, nums, lows)
    y = _product(_matrix(kernel, stride).T, patches)
    return _finished(y.reshape(channels, *nums, x.shape[3]), bias, x.dtype)

  return _over_batch(operation, x, kernel, bias, math.prod(nums) * math.prod(kernel.shape[:3]))


def _adjoint(x, kernel, bias, stride, size, lows):
  nums = x.shape[1:3]
  side, _, _, channels = kernel.shape

  def operation(x, kernel, bias):
    flipped = kernel[::-1, ::-1].swapaxes(2, 3)
    image = jax.ShapeDtypeStruct((channels, *size, x.shape[3]), _accumulator(x.dtype))
    patches = functools.partial(_patches, side=side, stride=stride, nums=nums, lows=lows)
    rows = _product(_matrix(flipped, stride), x.reshape(x.shape[0], math.prod(x.shape[1:])))
    return _finished(jax.linear_transpose(patches, image)(rows)[0], bias, x.dtype)

  return _over_batch(operation, x, kernel, bias, math.prod(nums) * side**2 * channels)


def _over_batch(operation, x, kernel, bias, patches_per_image):
  """`operation` with the batch innermost, of so many images at a time as memory has room for."""
  n = x.shape[0]
  num = -(-n * patches_per_image // _MOST_PATCHES)
  if num <= 1:
    return _batch_outermost(_apart(operation)(_batch_innermost(x), kernel, bias))

  # Every num-th image is in a part, so that a batch split over devices stays where it is.
  size = -(-n // num)
  x = jnp.pad(x, [(0, num * size - n), (0, 0), (0, 0), (0, 0)])
  parts = x.reshape(size, num, *x.shape[1:]).transpose(1, 4, 2, 3, 0)
  part = jax.checkpoint(lambda x: _apart(operation)(x, kernel, bias), prevent_cse=False)
  y = lax.map(part, parts).transpose(4, 0, 2, 3, 1)
  return y.reshape(num * size, *y.shape[2:])[:n]


def _patches(
  x: Float[Array, "i h w n"], *, side: int, stride: int, nums: Sequence[int], lows: Sequence[int]
) -> Float[Array, "kki pqn"]:
  """What each weight of a kernel meets at every place of the window."""
  steps = range(-(-side // stride))
  lengths = [(num + len(steps) - 1) * stride for num in nums]
  padding = [
    (low, length - had - low, 0)
    for low, length, had in zip(lows, lengths, x.shape[1:3], strict=True)
  ]
  channels, _, _, n = x.shape
  x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *padding, (0, 0, 0)])
  x = x.reshape(channels, lengths[0] // stride, stride, lengths[1] // stride, stride, n)
  phases = x.transpose(2, 4, 0, 1, 3, 5)

  def rows(a, b):
    some = phases[: side - a * stride, : side - b * stride]
    some = some[:, :, :, a : a + nums[0], b : b + nums[1]]
    return some.reshape(math.prod(some.shape[:3]), math.prod(some.shape[3:]))

  # In two stages: XLA fuses a concatenation of up to 8 parts, and copies more one by one.
  return jnp.concatenate([jnp.concatenate([rows(a, b) for b in steps]) for a in steps])


def _matrix(kernel: Float[Array, "k k i o"], stride: int) -> Float[Array, "kki o"]:
  """The kernel, a row for each row of `_patches`."""
  steps = range(0, kernel.shape[0], stride)
  blocks = [kernel[a : a + stride, b : b + stride] for a in steps for b in steps]
  return jnp.concatenate([block.reshape(-1, kernel.shape[3]) for block in blocks])


def _accumulator(dtype: DTypeLike) -> DTypeLike:
  return jnp.promote_types(dtype, jnp.float32)


def _product(a: Float[Array, "m k"], b: Float[Array, "k n"]) -> Float[Array, "m n"]:
  return jnp.matmul(a, b, preferred_element_type=_accumulator(a.dtype))


def _finished(
  y: Float[Array, "o h w n"], bias: Float[Array, " o"] | None, dtype: DTypeLike
) -> Float[Array, "o h w n"]:
  return _add(y, None if bias is None else bias[:, None, None, None]).astype(dtype)


def _batch_innermost(x: Float[Array, "n h w c"]) -> Float[Array, "c h w n"]:
  return x.transpose(3, 1, 2, 0)


def _batch_outermost(x: Float[Array, "c h w n"]) -> Float[Array, "n h w c"]:
  return x.transpose(3, 1, 2, 0)


def _apart(function: Callable[..., Array]) -> Callable[..., Array]:
  """`function`, not inlined by XLA into what calls it: see the module's last reason."""

  def call(*args):
    with set_xla_metadata(inlineable="false"):
      return jax.jit(function)(*args)

  return call
