"""Runs a module of this package in a process of its own, with a request in JSON."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["run_module"]

_EXPERIMENTS = Path(__file__).parents[1]


def run_module(
  name: str,
  request: Mapping[str, Any],
  *,
  timeout: float,
  environment: Mapping[str, str] | None = None,
) -> list[str]:
  """Returns the lines that `python -m name REQUEST` prints.

  Args:
    name: module to run, such as benchmarks.memory.
    request: argument of the module, passed as JSON.
    timeout: number of seconds after which the process is killed.
    environment: variables added to those of this process.

  Raises:
    RuntimeError: if the process fails or takes longer than `timeout` seconds.
  """
  path = os.pathsep.join(filter(None, [str(_EXPERIMENTS), os.environ.get("PYTHONPATH")]))
  try:
    done = subprocess.run(
      [sys.executable, "-m", name, json.dumps(request)],
      capture_output=True,
      text=True,
      timeout=timeout,
      env={
        **os.environ,
        # A process that reserves a whole GPU when it starts leaves no memory to the next.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        **(environment or {}),
        "PYTHONPATH": path,
      },
      check=False,
      start_new_session=True,  # Ctrl-C reaches only the parent, which stops after the cell
    )
  except subprocess.TimeoutExpired:
    raise RuntimeError(f"its process took longer than {timeout:.0f} s") from None
  if done.returncode:
    last_line = (done.stderr.strip().splitlines() or ["killed"])[-1]
    raise RuntimeError(f"its process failed: {last_line}")
  return done.stdout.splitlines()
