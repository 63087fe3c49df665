"""Runs one stage and prints its rows as JSON, or runs it in a process of its own.

python -m accelerator_checks.stages '{"stage": "tiles", "quick": false, "seconds": 90}'
"""

import dataclasses
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["STAGES", "Stage", "run_stage", "serve"]

# A stage looks at the clock between two rows; a row may take this much longer.
_GRACE = 30.0


@dataclasses.dataclass(frozen=True)
class Stage:
  """One part of the report.

  Attributes:
    title: its heading.
    share: its share of the time.
  """

  title: str
  share: float


STAGES: dict[str, Stage] = {
  "environment": Stage("Environment", 0.05),
  "distances": Stage("Distances: device against CPU", 0.28),
  "steps": Stage("Training steps: device against CPU", 0.2),
  "tiles": Stage("Sizes of tiles", 0.15),
  "speed": Stage("Speed", 0.2),
  "memory": Stage("Peak memory", 0.07),
  "alternatives": Stage("Alternatives", 0.05),
}
"""The stages in the order in which they run; each names a module with a function `rows`."""


def serve(stage: str, *, quick: bool, seconds: float) -> Iterator[dict[str, Any]]:
  """Yields the rows of a stage until its time is over; then says what was not reached."""
  rows = importlib.import_module(f"accelerator_checks.{stage}").rows(quick)
  end = time.monotonic() + seconds
  for row in rows:
    yield row
    if time.monotonic() > end:
      yield {"incomplete": f"stopped after {seconds:.0f} s"}
      return


def run_stage(stage: str, *, quick: bool, seconds: float) -> list[dict[str, Any]]:
  """Runs a stage in a process of its own, and returns its rows; the last may say what failed."""
  folder = str(Path(__file__).resolve().parents[1])
  paths = [folder, str(Path(folder).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
  variables = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(paths),
    # By default JAX reserves most of a GPU's memory, which leaves too little for the next process.
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
  }
  request = json.dumps({"stage": stage, "quick": quick, "seconds": seconds})
  # Files rather than pipes: what a process has written before its end counts.
  with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
    process = subprocess.Popen(
      [sys.executable, "-P", "-m", "accelerator_checks.stages", request],
      stdout=output,
      stderr=errors,
      env=variables,
    )
    try:
      code = process.wait(seconds + _GRACE)
    except subprocess.TimeoutExpired:
      code = None
    finally:
      process.kill()
      process.wait()
    output.seek(0)
    rows = [json.loads(line) for line in output if line.startswith("{") and line.endswith("}\n")]
    if code:
      errors.seek(0)
      last_line = (errors.read().strip().splitlines() or ["killed"])[-1]
      rows.append({"incomplete": f"its process failed: {last_line[:200]}"})
    elif code is None:
      rows.append({"incomplete": f"its process took longer than {seconds + _GRACE:.0f} s"})
  return rows


if __name__ == "__main__":
  for answer in serve(**json.loads(sys.argv[1])):
    print(json.dumps(answer), flush=True)
