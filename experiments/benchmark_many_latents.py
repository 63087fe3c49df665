"""Prints time and peak memory of distances of up to ten million latents, value and gradient.

Each row comes from a process of its own, because the peak of a process does not fall:

    python experiments/benchmark_many_latents.py

takes about ten minutes on two CPU cores. `--rows 0 3` measures two of them.
"""

import dataclasses
import resource
import subprocess
import sys
import time

from aejax._command_line import parse
from aejax._user_errors import user_errors

PAIRS, DIRECTIONS = 32, 50
ROWS = (
  ("cramer_wold", 10**6, 64),
  ("energy_distance", 10**6, 64),
  ("kernel_stein", 10**6, 64),
  ("sliced_wasserstein", 10**6, 64),
  ("epps_pulley", 10**6, 64),
  ("sliced_wasserstein", 10**7, 8),
)


def measure(name: str, n: int, dim: int) -> None:
  """Prints one row: the last call after compilation, and the peak of the process."""
  import jax
  import jax.numpy as jnp
  import numpy as np

  from aejax import distances

  z = jnp.asarray(np.random.default_rng(0).standard_normal((n, dim), np.float32))
  sliced = name in ("sliced_wasserstein", "epps_pulley")
  options = (
    {"directions": distances.random_directions(jax.random.key(0), DIRECTIONS, dim)}
    if sliced
    else {"pairs": PAIRS}
  )
  function = getattr(distances, name)
  step = jax.jit(jax.value_and_grad(lambda z: function(z, **options))).lower(z).compile()
  seconds, processor = [], []
  for _ in range(2 if n <= 10**6 else 1):
    wall, own = time.perf_counter(), time.process_time()
    jax.block_until_ready(step(z))
    seconds.append(time.perf_counter() - wall)
    processor.append(time.process_time() - own)
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
  used = f"{DIRECTIONS} directions" if sliced else f"pairs={PAIRS}"
  print(
    f"| `{name}` | {used} | {n:,} | {dim} | {seconds[-1]:.1f} s | {processor[-1]:.1f} s "
    f"| {z.nbytes / 2**30:.2f} GiB | {peak:.2f} GiB |",
    flush=True,
  )


@dataclasses.dataclass(frozen=True)
class Options:
  """Measures distances of very many latents.

  Attributes:
    rows: numbers of the rows to measure, from 0; all by default. A single one is measured in this
      process.
  """

  rows: tuple[int, ...] = tuple(range(len(ROWS)))


def main(options: Options) -> None:
  """Prints the table, or a single row of it."""
  for row in options.rows:
    if not 0 <= row < len(ROWS):
      raise ValueError(f"rows must be from 0 to {len(ROWS) - 1}, but one is {row}.")
  if len(options.rows) == 1:
    measure(*ROWS[options.rows[0]])
    return
  print("| distance | uses | n | D | time | CPU time | latents | peak of the process |")
  print("|---|---|---:|---:|---:|---:|---:|---:|", flush=True)
  for row in options.rows:
    subprocess.run([sys.executable, __file__, "--rows", str(row)], check=True)


if __name__ == "__main__":
  with user_errors():
    main(parse(Options))
