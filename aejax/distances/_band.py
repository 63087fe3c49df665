"""Tiles of some of the pairs: each row meets the next few columns of a circle.

Each row and each column is then in the same number of pairs. So a mean over these pairs of a
function of x alone, or of y alone, is its mean over all points: it adds nothing to the variance of
a distance whose expectations over the prior are exact.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from aejax.distances._circle import repeated
from aejax.distances._sharding import Shard
from aejax.distances._tiling import (
  PointsAndTerms,
  Sizes,
  Tiles,
  Tiling,
  points,
  rounded_up,
)

__all__ = ["cross_band_tiling", "self_band_tiling"]


def self_band_tiling(n: int, count: int, *, shard: Shard) -> Tiling:
  """Returns the tiles of n points on a circle, each of which meets the next `count`."""
  return _tiling(n, n, count, 1, True, shard)


def cross_band_tiling(n: int, m: int, count: int, *, shard: Shard) -> Tiling:
  """Returns the tiles of n rows, each with `count` of m ≤ n columns on a circle.

  Row i meets the columns from ⌊i m / n⌋ + ⌊m / 2⌋ on. Rows and columns of the same place may belong
  together, and they are half a circle apart. If n is not a multiple of m, a column is in one pair
  more or less than another.
  """
  return _tiling(n, m, count, m // 2, False, shard)


def _tiling(n: int, m: int, count: int, offset: int, circular: bool, shard: Shard) -> Tiling:
  return Tiling(
    functools.partial(_tiles, n, m, count, offset, circular, shard),
    lambda sizes: _shape(n, m, count, shard, sizes)[0] == 1 and shard.count == 1,
  )


def _shape(n: int, m: int, count: int, shard: Shard, sizes: Sizes) -> tuple[int, int, int, int]:
  """Returns the numbers of blocks, of rows of a block, of tiles of a block, and their width."""
  # Few columns for each row need few rows in a tile: the tile holds pairs outside of the band.
  rows = min(sizes.block, max(sizes.band_block, count))
  blocks = rounded_up(-(-n // rows), shard.count)
  block = -(-n // blocks)
  window = -(-block * m // n) + count
  tiles = -(-window // (sizes.width + block))
  width = rounded_up(-(-window // tiles), 1 if blocks == 1 else sizes.multiple)
  return blocks, block, tiles, width


def _tiles(
  n: int,
  m: int,
  count: int,
  offset: int,
  circular: bool,
  shard: Shard,
  rows: PointsAndTerms,
  columns: PointsAndTerms,
  coincident: Array,
  sizes: Sizes,
) -> Tiles:
  blocks, block, tiles, width = _shape(n, m, count, shard, sizes)
  starts = _starts(n, m) + offset
  a = points(*rows, blocks * block)
  filled = jnp.pad(starts, (0, blocks * block - n), constant_values=offset)
  length = max(m + offset + tiles * width, blocks * block)
  b = jax.tree.map(lambda v: repeated(v, length), points(*columns, m))
  return Tiles(
    a._replace(position=filled),
    b._replace(position=jnp.arange(len(b.position))),
    block,
    width,
    shard.index * (blocks // shard.count),
    blocks // shard.count,
    circular,
    np.ones((tiles, width)),
    coincident,
    sizes.recompute,
    band=count,
    starts=filled[::block],
  )


def _starts(n: int, m: int) -> Int[Array, " n"]:
  """Returns ⌊i m / n⌋ for each row i."""
  if n == m:
    return jnp.arange(n)
  return jnp.asarray(np.arange(n, dtype=np.int64) * m // n, jnp.int32)
