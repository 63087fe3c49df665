"""What the tests ask of a training in a process of its own."""

import re
import signal
import subprocess
import time

LIMIT = 90.0  # seconds for any of the waits: a hang ends here


def said(workdir):
  return workdir.with_name(f"{workdir.name}.txt").read_text()


def own_tracebacks(workdir):
  """Lines of tracebacks through our code; TensorStore prints its own, of writes in its threads."""
  return [line for line in said(workdir).splitlines() if re.match(r'  File ".*/aejax/', line)]


def wait_until(condition, process, workdir):
  end = time.monotonic() + LIMIT
  while not condition():
    assert process.poll() is None, said(workdir)
    assert time.monotonic() < end, said(workdir)
    time.sleep(0.02)


def epochs(workdir):
  path = workdir / "metrics.jsonl"
  return path.read_bytes().count(b"\n") if path.exists() else 0


def finish(process, workdir):
  """Waits for the exit code; of a process that hangs, every thread's stack is in the message."""
  try:
    return process.wait(LIMIT)
  except subprocess.TimeoutExpired:
    process.send_signal(signal.SIGABRT)
    process.wait()
    raise AssertionError(said(workdir)) from None
