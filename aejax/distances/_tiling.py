"""How the matrix of all pairs is cut into tiles, for each kind of device and each shard."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from aejax.distances._circle import repeated
from aejax.distances._sharding import Shard

__all__ = [
  "Points",
  "PointsAndTerms",
  "Sizes",
  "Tiles",
  "Tiling",
  "by_platform",
  "cross_tiling",
  "points",
  "rounded_up",
  "self_tiling",
]

T = TypeVar("T")

PointsAndTerms = tuple[Array, tuple[Array, ...]]
"""Points [n, d], and other arrays with an entry for each of them."""


class Sizes(NamedTuple):
  """Sizes of tiles for one kind of device.

  Attributes:
    block: number of rows of a tile.
    width: number of columns of a tile, about.
    single: number of rows up to which one tile with all n² pairs is used. Above it, several tiles
      with half of the pairs are faster.
    single_with_term: the same for functions with a row term, which cost more for each pair.
    multiple: number that the width of several tiles is a multiple of.
    recompute: whether to compute values again for each use. XLA would share them, and store a tile
      of each.
    band_block: number of rows of a tile in which each row meets few columns.
  """

  block: int
  width: int
  single: int
  single_with_term: int
  multiple: int
  recompute: bool
  band_block: int = 1


# On a CPU, tiles of a few MiB stay in the cache. A GPU is limited by the number of kernels that it
# starts, and a TPU by its time for each operation: both need few, large tiles. Their units work on
# multiples of 128 columns; other widths are padded.
_CPU = Sizes(
  block=256,
  width=4096,
  single=1536,
  single_with_term=512,
  multiple=1,
  recompute=False,
  band_block=64,
)
_GPU = Sizes(
  block=2048,
  width=8192,
  single=8192,
  single_with_term=8192,
  multiple=128,
  recompute=True,
  band_block=1024,
)
_TPU = Sizes(
  block=1024,
  width=8192,
  single=8192,
  single_with_term=4096,
  multiple=128,
  recompute=False,
  band_block=512,
)


def by_platform(
  function: Callable[..., T], *arguments: Any, is_single: Callable[[Sizes], bool]
) -> T:
  """Returns `function(sizes, *arguments)` with the sizes of the device that the program runs on.

  The choice is made when the program is lowered, so it is right for ahead-of-time compilation too.
  JAX traces each alternative, which takes time. A single tile is the same on all devices, so it is
  traced once.

  Args:
    function: function of the sizes and the arguments.
    arguments: arrays, or pytrees of arrays.
    is_single: whether the sizes give a single tile.
  """
  cpu, tpu, gpu = (functools.partial(function, sizes) for sizes in (_CPU, _TPU, _GPU))
  if all(map(is_single, (_CPU, _TPU, _GPU))):
    return cpu(*arguments)
  if is_single(_TPU) and is_single(_GPU):
    return lax.platform_dependent(*arguments, cpu=cpu, default=gpu)
  return lax.platform_dependent(*arguments, cpu=cpu, tpu=tpu, default=gpu)


def _is_single_self(n: int, has_term: bool, shard: Shard, sizes: Sizes) -> bool:
  """Whether all pairs of a set with itself are one tile."""
  limit = sizes.single_with_term if has_term else sizes.single
  return n <= limit and shard.count == 1


def _is_single_cross(n: int, m: int, shard: Shard, sizes: Sizes) -> bool:
  """Whether all pairs of two sets are one tile."""
  return n * m <= sizes.single**2 and m <= sizes.width + n and shard.count == 1


class Points(NamedTuple):
  """The rows or the columns of the matrix of pairs.

  Attributes:
    x: coordinates, [length, d].
    norms: squared norms, [length].
    position: position of each point in the list, [length]; in a band, that of the first column
      that a row meets.
    row_term: empty, or other arrays with an entry for each point, [length] or [length, e].
    weight: [length], zero for points that fill up the length.
  """

  x: Array
  norms: Array
  position: Array
  row_term: tuple[Array, ...]
  weight: Array

  def cut(self, start: Any, size: int) -> "Points":
    """Returns `size` points from `start` on."""
    return jax.tree.map(lambda v: lax.dynamic_slice_in_dim(v, start, size), self)


class Tiles(NamedTuple):
  """How the pairs are cut into tiles, and which tiles belong to this device.

  Attributes:
    rows: points along the rows.
    columns: points along the columns.
    block: number of rows of a tile.
    width: number of columns of a tile.
    first: index of this device's first block.
    blocks: number of this device's blocks.
    circular: whether rows and columns are the same points, on a circle.
    weights: [tiles of a block, width], weights of the columns as seen from the block.
    coincident: squared distance below which two points differ by rounding errors only.
    recompute: whether to compute values again for each use.
    band: number of columns that each row meets, or 0 for all.
    starts: first column of each block of a band.
  """

  rows: Points
  columns: Points
  block: int
  width: int
  first: int | Array
  blocks: int
  circular: bool
  weights: np.ndarray
  coincident: Array
  recompute: bool
  band: int = 0
  starts: Array | None = None

  def first_column(self, block: Any) -> Any:
    """Returns the first column that a block meets."""
    if self.starts is not None:
      return self.starts[block]
    return block * self.block if self.circular else 0

  @property
  def is_single(self) -> bool:
    """Whether this device has one tile only."""
    return self.blocks * len(self.weights) == 1


class Tiling(NamedTuple):
  """A way to cut the pairs of two sets, or of a set with itself, into tiles.

  Attributes:
    tiles: (rows, columns, coincident, sizes) -> tiles.
    is_single: whether sizes give a single tile.
  """

  tiles: Callable[[PointsAndTerms, PointsAndTerms, Array, Sizes], Tiles]
  is_single: Callable[[Sizes], bool]


def self_tiling(n: int, has_term: bool, *, shard: Shard) -> Tiling:
  """Cuts the pairs of a set with itself: each block meets the half circle behind it."""
  return Tiling(
    functools.partial(_self_tiles, n, has_term, shard),
    functools.partial(_is_single_self, n, has_term, shard),
  )


def _self_tiles(
  n: int,
  has_term: bool,
  shard: Shard,
  rows: PointsAndTerms,
  columns: PointsAndTerms,
  coincident: Array,
  sizes: Sizes,
) -> Tiles:
  del columns  # the rows are the columns
  single = _is_single_self(n, has_term, shard, sizes)
  blocks = 1 if single else -(-n // sizes.block)
  blocks = rounded_up(blocks, shard.count)
  block = -(-n // blocks)
  window = (blocks // 2 + 1) * block
  tiles = 1 if blocks == 1 else -(-window // (sizes.width + block))
  width = rounded_up(-(-window // tiles), 1 if blocks == 1 else sizes.multiple)
  weights = np.zeros(tiles * width)
  weights[:window] = 2  # the sum contains each pair twice
  weights[:block] = 1
  if blocks % 2 == 0:
    weights[window - block : window] = 1  # both sides of the circle see these pairs
  circle = points(*rows, blocks * block)
  length = (blocks - 1) * block + tiles * width
  return Tiles(
    circle,
    jax.tree.map(lambda v: repeated(v, length), circle),
    block,
    width,
    shard.index * (blocks // shard.count),
    blocks // shard.count,
    True,
    weights.reshape(tiles, width),
    coincident,
    sizes.recompute,
  )


def cross_tiling(n: int, m: int, *, shard: Shard) -> Tiling:
  """Cuts all pairs of two sets."""
  return Tiling(
    functools.partial(_cross_tiles, n, m, shard),
    functools.partial(_is_single_cross, n, m, shard),
  )


def _cross_tiles(
  n: int,
  m: int,
  shard: Shard,
  rows: PointsAndTerms,
  columns: PointsAndTerms,
  coincident: Array,
  sizes: Sizes,
) -> Tiles:
  single = n * m <= sizes.single**2 and shard.count == 1
  blocks = rounded_up(1 if single else -(-n // sizes.block), shard.count)
  block = -(-n // blocks)
  tiles = -(-m // (sizes.width + block))
  width = rounded_up(-(-m // tiles), 1 if tiles == 1 else sizes.multiple)
  return Tiles(
    points(*rows, blocks * block),
    points(*columns, tiles * width),
    block,
    width,
    shard.index * (blocks // shard.count),
    blocks // shard.count,
    False,
    np.ones((tiles, width)),
    coincident,
    sizes.recompute,
  )


def rounded_up(length: int, multiple: int) -> int:
  """Returns the smallest multiple that is not below a length."""
  return -(-length // multiple) * multiple


def points(x: Float[Array, "n d"], row_term: tuple[Array, ...], length: int) -> Points:
  """Returns points and their terms, filled up to a length."""
  # Pass row indices as array data. If they were loop-invariant, XLA would hoist the mask of equal
  # indices into a full matrix and read it back in every tile.
  given = Points(x, jnp.sum(x * x, 1), jnp.arange(len(x)), row_term, jnp.ones_like(x[:, 0]))
  return jax.tree.map(lambda v: jnp.pad(v, [(0, length - len(v))] + [(0, 0)] * (v.ndim - 1)), given)
