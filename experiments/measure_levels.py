"""Measures how often p-values of true samples, and of other latents, lie below five percent.

  python experiments/measure_levels.py --out results/levels

Writes levels.md and levels.json; it takes about half an hour on two CPU cores.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from benchmarks.results import markdown, write_page

from aejax import _checks
from aejax._command_line import parse
from aejax._files import write_json
from aejax._user_errors import user_errors
from aejax.metrics import null_distribution
from aejax.metrics.calibration import STATISTICS, statistic_of

_LEVEL = 0.05

Change = Callable[[jax.Array], jax.Array]

# What happens to samples of N(0, I); the first row is the level, the others are powers.
_LATENTS: dict[str, Change] = {
  "N(0, I)": lambda z: z,
  "scale 0.9": lambda z: 0.9 * z,
  "one coordinate × 0.5": lambda z: z.at[:, 0].multiply(0.5),
  "mean 0.1": lambda z: z + 0.1,
}


@dataclasses.dataclass(frozen=True)
class Options:
  """Measures level and power of `aejax.metrics.prior_test` at a nominal level of five percent.

  Attributes:
    out: folder for levels.md and levels.json.
    n: numbers of latents.
    dim: dimensions of the latents.
    sets: number of sets of latents.
  """

  out: Path = Path("results/levels")
  n: tuple[int, ...] = (128, 1000)
  dim: tuple[int, ...] = (2, 16, 256)
  sets: int = 2000


def main(options: Options) -> None:
  """Measures levels and powers, and writes them."""
  _checks.integer("sets", options.sets)
  sizes = [(n, dim) for n in options.n for dim in options.dim]
  found = {
    name: {f"{n} × {dim}": rates(name, n, dim, options.sets) for n, dim in sizes}
    for name in STATISTICS
  }
  write_json(options.out / "levels.json", found)
  page = write_page(options.out / "levels.md", _sections(found, options))
  print(page.read_text(encoding="utf-8"), end="")


def rates(distance: str, n: int, dim: int, sets: int) -> dict[str, float]:
  """Returns the shares of sets of each kind whose p-value lies below five percent."""
  key = jax.random.key(0)
  limit = null_distribution(distance, n, dim, key=key).quantile(1 - _LEVEL)
  function = statistic_of(distance, n, dim, key=key)
  keys = jax.random.split(jax.random.key(1), sets)

  @jax.jit
  def values(keys: jax.Array) -> dict[str, jax.Array]:
    def of_one_set(key):
      z = jax.random.normal(key, (n, dim))
      return {name: function(change(z)) for name, change in _LATENTS.items()}

    return jax.lax.map(of_one_set, keys)

  return {name: float(np.mean(np.asarray(v) > limit)) for name, v in values(keys).items()}


def _sections(found: dict[str, dict[str, dict[str, float]]], options: Options) -> Sequence[str]:
  sizes = list(next(iter(found.values())))
  error = (_LEVEL * (1 - _LEVEL) / options.sets) ** 0.5
  sections = [
    "# Levels of p-values",
    f"The share of {options.sets:,} sets of n × D latents with a p-value below {_LEVEL:.0%}. The "
    f"standard error of a share of {_LEVEL:.0%} is {error:.1%}.",
  ]
  for kind in _LATENTS:
    rows = [
      [name, *(f"{rates[size][kind]:.1%}" for size in sizes)] for name, rates in found.items()
    ]
    sections += [f"## {kind}", markdown(["distance", *sizes], rows)]
  return sections


if __name__ == "__main__":
  with user_errors():
    main(parse(Options))
