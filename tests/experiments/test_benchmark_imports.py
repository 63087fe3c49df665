"""The benchmark of imports as a user runs it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.bench

SCRIPT = Path(__file__).parents[2] / "experiments" / "benchmark_imports.py"


def test_benchmark_imports_prints_a_table():
  command = [sys.executable, str(SCRIPT), "--repetitions", "1"]
  done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
  assert (done.returncode, done.stderr) == (0, "")
  header, rule, *rows = done.stdout.splitlines()
  assert header == "|  | CPU seconds | beyond jax | modules |"
  assert rule == "| --- | ---: | ---: | ---: |"
  patterns = [
    r"\| `import jax` \| \d+\.\d\d \|  \| \d+ \|",
    r"\| `import aejax\.distances` \| \d+\.\d\d \| -?\d+\.\d\d \| \d+ \|",
  ]
  for row, pattern in zip(rows, patterns, strict=True):
    assert re.fullmatch(pattern, row)
  counts = [int(row.split("|")[-2]) for row in rows]
  assert counts[1] > counts[0] > 300  # aejax.distances loads jax and more


@pytest.mark.parametrize("value", ["0", "-1"])
def test_benchmark_imports_rejects_repetitions(call, value):
  code, out, err = call("benchmark_imports", "--repetitions", value)
  assert (code, out) == (2, "")
  assert err == f"error: repetitions must be a whole number from 1 up, but is {value}.\n"
