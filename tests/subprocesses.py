"""Helpers for tests that train in another process."""

import re
import signal
import subprocess
import time

LIMIT = 90.0  # seconds for each wait


def said(workdir):
  """Returns the messages of the process, which are in a file next to the work directory."""
  return workdir.with_name(f"{workdir.name}.txt").read_text()


def own_tracebacks(workdir):
  """Returns the lines of tracebacks through aejax; TensorStore prints others from its threads."""
  return [line for line in said(workdir).splitlines() if re.match(r'  File ".*/aejax/', line)]


def wait_until(condition, process, workdir):
  """Waits until the condition is true while the process runs."""
  end = time.monotonic() + LIMIT
  while not condition():
    assert process.poll() is None, said(workdir)
    assert time.monotonic() < end, said(workdir)
    time.sleep(0.02)


def epochs(workdir):
  """Returns the number of epochs in metrics.jsonl."""
  path = workdir / "metrics.jsonl"
  return path.read_bytes().count(b"\n") if path.exists() else 0


def finish(process, workdir):
  """Returns the exit code; if the process hangs, the error has the stack of every thread."""
  try:
    return process.wait(LIMIT)
  except subprocess.TimeoutExpired:
    process.send_signal(signal.SIGABRT)
    process.wait()
    raise AssertionError(said(workdir)) from None
