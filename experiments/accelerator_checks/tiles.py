"""Times the sizes of tiles that `aejax.distances._tiling` could use on the device."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from benchmarks.timing import measure

from accelerator_checks.devices import clear_programs, platform
from aejax import distances
from aejax.distances import _tiling

__all__ = ["rows"]

_DIM = 64


def rows(quick: bool) -> Iterator[dict[str, Any]]:
  """Yields the time of value and gradient for each number of latents and each size of tiles."""
  name = {"cpu": "_CPU", "tpu": "_TPU"}.get(platform(), "_GPU")
  before = getattr(_tiling, name)
  try:
    for function, n, sizes in _settings(quick, before):
      setattr(_tiling, name, sizes)
      clear_programs()
      ms = _milliseconds(getattr(distances, function), n, quick)
      single = n <= _limit(function, sizes)
      row = {"distance": function, "n": n, "single": single, "ms": ms}
      row["default"] = single == (n <= _limit(function, before))
      if not single:
        row["default"] &= sizes[:2] == before[:2]
        row |= {"block": sizes.block, "width": sizes.width}
      yield row
  finally:
    setattr(_tiling, name, before)
    clear_programs()


def _limit(function: str, sizes: _tiling.Sizes) -> int:
  """The number of latents up to which a distance uses one tile."""
  return sizes.single_with_term if function == "kernel_stein" else sizes.single


def _settings(quick: bool, default: _tiling.Sizes) -> Iterator[tuple[str, int, _tiling.Sizes]]:
  """Yields a distance, a number of latents, and sizes of tiles."""
  one = default._replace(single=2**20, single_with_term=2**20)
  several = default._replace(single=0, single_with_term=0)
  for function, sizes in (
    ("cramer_wold", (128,) if quick else (2048, 4096, 8192, 16_384)),
    ("kernel_stein", () if quick else (2048, 4096, 8192)),
  ):
    for n in sizes:
      yield function, n, one
      yield function, n, several
  if quick:
    return
  for block in (1024, 2048, 4096):
    for width in (4096, 8192, 16_384):
      yield "cramer_wold", 65_536, several._replace(block=block, width=width)


def _milliseconds(function: Callable[..., jax.Array], n: int, quick: bool) -> float:
  z = jax.random.normal(jax.random.key(0), (n, _DIM), jnp.float32)
  program = jax.jit(jax.value_and_grad(function))
  timings = measure(
    {"call": lambda: jax.block_until_ready(program(z))}, seconds=0.02 if quick else 0.3
  )
  return 1e3 * timings["call"].median
