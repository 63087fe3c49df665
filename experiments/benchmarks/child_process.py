"""Measurements in a process of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aejax

__all__ = ["run_module"]


def run_module(
  module: str, request: Mapping[str, Any], *, timeout: float, **variables: str
) -> list[dict[str, Any]]:
  """Runs a module of this package in a fresh process, and returns the JSON objects it prints.

  Args:
    module: name of the module; `python -m benchmarks.MODULE REQUEST` is run.
    request: argument of the module, passed as JSON.
    timeout: maximum number of seconds.
    variables: environment variables to set.

  Raises:
    RuntimeError: if the process fails or exceeds `timeout`.
  """
  # The child imports this package and the parent's aejax, wherever the parent was started. `-P`
  # keeps a package `benchmarks` in the working directory from hiding this one.
  folders = [str(Path(file).resolve().parents[1]) for file in (__file__, aejax.__file__)]
  environment = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([*folders, *filter(None, [os.environ.get("PYTHONPATH")])]),
    # A process that reserves a whole GPU leaves nothing for the next one.
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    **variables,
  }
  try:
    done = subprocess.run(
      [sys.executable, "-P", "-m", f"benchmarks.{module}", json.dumps(request)],
      capture_output=True,
      text=True,
      timeout=timeout,
      env=environment,
      check=False,
      start_new_session=True,  # Ctrl-C reaches only the parent, which stops after the task
    )
  except subprocess.TimeoutExpired:
    raise RuntimeError(f"its process took longer than {timeout:.0f} s") from None
  if done.returncode:
    last_line = (done.stderr.strip().splitlines() or ["killed"])[-1]
    raise RuntimeError(f"its process failed: {last_line}")
  return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
