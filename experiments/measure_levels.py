"""Measures how often p-values of true samples, and of other latents, lie below five percent.

  python experiments/measure_levels.py --out results/levels --n 128 --sets 6000
  python experiments/measure_levels.py --out results/levels --n 1000 --sets 3000 --keys 2

Writes levels.json after each distance, and levels.md at the end, and adds to what they hold. The
first command takes about ten minutes of CPU time, the second about twenty.
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from benchmarks.environment import describe, environment
from benchmarks.results import markdown, write_page

import aejax
from aejax import _checks
from aejax._command_line import parse
from aejax._files import read_json, write_json
from aejax._user_errors import user_errors
from aejax.metrics import null_distribution
from aejax.metrics.calibration import STATISTICS, statistic_of

_LEVEL = 0.05
_TRUE = "N(0, I)"
# Standard error of the level of one null distribution, a gamma distribution fitted to 4000 draws:
# its 95 % quantile has a variance of about 2.8 σ²/4000, and the density there is 0.1/σ.
_NULL_ERROR = 0.0027
_DEGREES_OF_FREEDOM = 5

Change = Callable[[jax.Array, jax.Array], jax.Array]


def _heavy_tailed(z: jax.Array, key: jax.Array) -> jax.Array:
  df = _DEGREES_OF_FREEDOM
  chi_squared = 2 * jax.random.gamma(key, df / 2, (len(z), 1))
  return z * jnp.sqrt((df - 2) / chi_squared)


# What happens to samples of N(0, I). The first row measures the level, the others powers.
_KINDS: dict[str, Change] = {
  _TRUE: lambda z, _: z,
  "scale 0.9": lambda z, _: 0.9 * z,
  "one coordinate × 0.5": lambda z, _: z.at[:, 0].multiply(0.5),
  "mean 0.1 in each coordinate": lambda z, _: z + 0.1,
  f"Student's t, {_DEGREES_OF_FREEDOM} degrees of freedom, variance 1": _heavy_tailed,
}
_CHANGES = list(_KINDS.values())


@dataclasses.dataclass(frozen=True)
class Options:
  """Measures level and power of `aejax.metrics.prior_test` at a nominal level of five percent.

  Attributes:
    out: folder for levels.md and levels.json; what they hold already is kept.
    n: numbers of latents.
    dim: dimensions of the latents.
    sets: number of sets of true samples.
    power_sets: number of sets of each kind of other latents.
    keys: number of random keys; each draws a null distribution, its directions, and a share of the
      sets.
  """

  out: Path = Path("results/levels")
  n: tuple[int, ...] = (128, 1000)
  dim: tuple[int, ...] = (2, 16, 256)
  sets: int = 4000
  power_sets: int = 400
  keys: int = 4


def main(options: Options) -> None:
  """Measures levels and powers, and writes them."""
  for name in ("sets", "power_sets"):
    _checks.integer(name, getattr(options, name), least=_checks.integer("keys", options.keys))
  stored = options.out / "levels.json"
  found = (
    read_json(stored) if stored.exists() else {"environment": environment([aejax]), "cells": {}}
  )
  page = options.out / "levels.md"
  for n in options.n:
    for dim in options.dim:
      cells = found["cells"].setdefault(f"{n} × {dim}", {})
      for name in STATISTICS:
        if name not in cells:
          cells[name] = measure(name, n, dim, options)
          write_json(stored, found)
  write_page(page, _sections(found))
  print(page.read_text(encoding="utf-8"), end="")


def measure(distance: str, n: int, dim: int, options: Options) -> dict[str, Any]:
  """Returns the shares of sets with a p-value below five percent, and how they were measured."""
  start = time.perf_counter()
  values = _values(distance, n, dim)
  above: dict[str, list[np.ndarray]] = {}
  for key in jax.random.split(jax.random.key(0), options.keys):
    null_key, sets_key = jax.random.split(key)
    limit = null_distribution(distance, n, dim, key=null_key).quantile(1 - _LEVEL)
    for number, kind in enumerate(_KINDS):
      sets = options.power_sets if number else options.sets
      keys = jax.random.split(jax.random.fold_in(sets_key, number), sets // options.keys)
      above.setdefault(kind, []).append(np.asarray(values(null_key, number, keys)) > limit)
  shares = {kind: float(np.mean(np.concatenate(each))) for kind, each in above.items()}
  return {
    "level": shares.pop(_TRUE),
    "power": shares,
    "sets": options.sets // options.keys * options.keys,
    "power_sets": options.power_sets // options.keys * options.keys,
    "keys": options.keys,
    "seconds": round(time.perf_counter() - start, 1),
  }


def _values(distance: str, n: int, dim: int) -> Callable[..., jax.Array]:
  """Returns a function (key of the null distribution, kind of latents, keys) -> distances."""

  @jax.jit
  def values(null_key: jax.Array, kind: jax.Array, keys: jax.Array) -> jax.Array:
    function = statistic_of(distance, n, dim, key=null_key)

    def of_one_set(key: jax.Array) -> jax.Array:
      z = jax.random.normal(key, (n, dim))
      return function(jax.lax.switch(kind, _CHANGES, z, jax.random.fold_in(key, 1)))

    return jax.lax.map(of_one_set, keys)

  return values


def _sections(found: dict[str, Any]) -> list[str]:
  cells = found["cells"]
  sizes = list(cells)
  names = list(dict.fromkeys(name for each in cells.values() for name in each))
  errors = [_error(next(iter(cells[size].values()))) for size in sizes]
  seconds = sum(cell["seconds"] for each in cells.values() for cell in each.values())
  every = [cell["level"] for each in cells.values() for cell in each.values()]
  setups = dict.fromkeys(
    f"n = {size.split(' ')[0]}: {cell['sets']:,} sets, {cell['keys']} null distributions, "
    f"{cell['power_sets']} sets of each kind of other latents"
    for size in sizes
    for cell in list(cells[size].values())[:1]
  )
  sections = [
    "# Levels and powers of p-values",
    f"The share of sets of n × D latents with a p-value below {_LEVEL:.0%}, from "
    "`aejax.metrics.prior_test` with its defaults.",
    f"- Made by `python experiments/measure_levels.py --out results/levels`, in "
    f"{seconds / 60:.0f} minutes, beside other work on the "
    f"machine.\n- {describe(found['environment'])}\n"
    + "\n".join(f"- {setup}." for setup in setups),
    "## Level",
    f"The latents are samples of {_TRUE}, so a share of {_LEVEL:.0%} is right. The smallest is "
    f"{min(every):.1%}, the largest {max(every):.1%}. The standard error contains that of the null "
    "distributions, each of 4000 draws. All distances see the same sets, so the shares of a column "
    "move together.",
    markdown(
      ["distance", *sizes],
      [
        *([name, *(f"{cells[s][name]['level']:.1%}" for s in sizes)] for name in names),
        ["standard error", *(f"{error:.1%}" for error in errors)],
      ],
    ),
    "## Power",
    "The latents are samples of N(0, I), changed as each heading says.",
  ]
  for kind in list(_KINDS)[1:]:
    rows = [[name, *(f"{cells[s][name]['power'][kind]:.0%}" for s in sizes)] for name in names]
    sections += [f"### {kind}", markdown(["distance", *sizes], rows)]
  return sections


def _error(cell: dict[str, Any]) -> float:
  variance = _LEVEL * (1 - _LEVEL) / cell["sets"] + _NULL_ERROR**2 / cell["keys"]
  return variance**0.5


if __name__ == "__main__":
  with user_errors():
    main(parse(Options))
