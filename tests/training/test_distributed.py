"""Two processes as one run, over loopback, and what becomes of it when one of them is killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from aejax import data, load
from aejax.training.distributed import (
  all_reduce_max,
  processes,
  run_on_all_processes,
  run_on_process_zero_first,
)

TRAIN = Path(__file__).parents[2] / "experiments" / "train.py"
LIMIT = 120.0  # seconds for any of the waits below: a hang ends here


def start(workdir, *options, count=2, devices=1, seed=0):
  """Starts the processes of a run."""
  command = [TRAIN, "cwae", "--workdir", workdir, "--network", "linear", "--seed", seed, *options]

  def place(coordinator, index):
    together = ["--coordinator", coordinator, "--num-processes", count, "--process-id", index]
    return together if count > 1 else []

  return launch(workdir, command, place, count, devices)


def launch(workdir, command, place, count, devices):
  """Starts processes; each writes its messages to a file beside the work directory."""
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    coordinator = f"127.0.0.1:{free.getsockname()[1]}"
  environment = {
    **os.environ,
    "JAX_PLATFORMS": "cpu",
    "JAX_NUM_CPU_DEVICES": str(devices),
    "XLA_FLAGS": "--xla_backend_optimization_level=0",
  }
  started = []
  for index in range(count):
    arguments = [*command, *place(coordinator, index)]
    with workdir.with_name(f"{workdir.name}-{index}.txt").open("w") as messages:
      started.append(
        subprocess.Popen(
          [sys.executable, *map(str, arguments)], stdout=messages, stderr=messages, env=environment
        )
      )
  _started.extend(started)
  return started


@pytest.fixture(autouse=True)
def none_is_left():
  yield
  while _started:
    process = _started.pop()
    process.kill()
    process.wait()


_started = []


def said(workdir, index):
  return workdir.with_name(f"{workdir.name}-{index}.txt").read_text()


def finish(started, workdir):
  for index, process in enumerate(started):
    assert process.wait(LIMIT) == 0, said(workdir, index)


def log(workdir):
  path = workdir / "metrics.jsonl"
  return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_until(condition, started, workdir):
  end = time.monotonic() + LIMIT
  while not condition():
    for index, process in enumerate(started):
      assert process.poll() is None, said(workdir, index)
    assert time.monotonic() < end, said(workdir, 0)
    time.sleep(0.05)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """Two epochs on two processes with two devices each, and on one process with one."""
  folder = tmp_path_factory.mktemp("processes")
  finish(start(folder / "one", "--epochs", 2, count=1), folder / "one")
  finish(start(folder / "two", "--epochs", 2, devices=2), folder / "two")
  return folder


def test_two_processes_train_as_one(trained):
  one, two = log(trained / "one"), log(trained / "two")
  assert [line["epoch"] for line in two] == [1, 2]
  for a, b in zip(one, two, strict=True):
    np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-5)
  expected, found = (
    np.concatenate([v.ravel() for v in jax.tree.leaves(jax.device_get(load(run).model))])
    for run in (trained / "one", trained / "two")
  )
  assert np.linalg.norm(expected - found) < 1e-4 * np.linalg.norm(expected)


def test_the_first_process_alone_writes(trained):
  assert (trained / "two" / "samples.png").exists()
  assert "reconstruction_error" in said(trained / "two", 0)
  shown = [line for line in said(trained / "two", 1).splitlines() if "Gloo" not in line]
  assert shown == []
  summaries = [json.loads((trained / r / "summary.json").read_text()) for r in ("one", "two")]
  for name in ("reconstruction_error", "cramer_wold"):
    assert summaries[0][name] == pytest.approx(summaries[1][name], rel=1e-3)


def test_one_is_killed_the_other_ends_and_the_restart_resumes(trained, tmp_path):
  workdir = trained / "two"
  more = ("--resume", "--epochs", 100_000)
  started = start(workdir, *more)
  wait_until(lambda: len(log(workdir)) > 2, started, workdir)
  started[1].kill()
  assert started[0].wait(LIMIT) == 75, said(workdir, 0)
  assert "error: the connection to another process of the run is lost" in said(workdir, 0)

  before = log(workdir)
  started = start(workdir, *more)
  wait_until(lambda: len(log(workdir)) > 8, started, workdir)
  # A signal to one of them stops both at the same step.
  started[1].send_signal(signal.SIGTERM)
  assert [process.wait(LIMIT) for process in started] == [128 + signal.SIGTERM] * 2
  assert "--resume goes on from there" in said(workdir, 0)
  after = log(workdir)
  assert [line["epoch"] for line in after] == list(range(1, len(after) + 1))
  assert after[:2] == before[:2]
  # The last epoch's steps may not all have been taken.
  assert 0 <= load(workdir).step - after[-1]["step"] < after[0]["step"]


_READ = """
import sys

import numpy as np

from aejax import data
from aejax.training import devices, processes

with processes(False, sys.argv[1], 2, int(sys.argv[2])):
  images = data.load(sys.argv[3], in_memory=False).train
  read, one = [], images._read
  images._read = lambda rows: read.extend(rows) or one(rows)
  placed = devices.put_images(images, devices.devices_mesh())
  own = np.concatenate([shard.data for shard in placed.addressable_shards])
  print(read, own[:, 0, 0, 0].tolist())
"""


def test_each_process_reads_the_images_of_its_devices_only(tmp_path):
  path = tmp_path / "numbers.npy"
  np.save(path, np.broadcast_to(np.arange(20, dtype=np.uint8)[:, None, None], (20, 5, 5)))
  kept = data.load(path).train[:, 0, 0, 0].tolist()
  assert len(kept) == 18  # five a device, of the last 20 two are black
  started = launch(tmp_path / "run", ["-c", _READ], lambda where, index: [where, index, path], 2, 2)
  finish(started, tmp_path / "run")
  run_on_process_zero_first, second = (
    said(tmp_path / "run", index).splitlines()[-1] for index in (0, 1)
  )
  assert run_on_process_zero_first == f"{list(range(10))} {kept[:10]}"
  assert second == f"{list(range(10, 18))} {[*kept[10:], 0, 0]}"


def test_a_mistake_ends_both(tmp_path):
  workdir = tmp_path / "run"
  started = start(workdir, "--batch-size", 3)
  assert [process.wait(LIMIT) for process in started] == [2, 2]
  assert "error: batch_size must be a multiple of the 2 devices" in said(workdir, 0)
  assert "error: Another process of the run could not go on" in said(workdir, 1)
  assert not workdir.exists()


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (("host:1", 2, None), "must be given together"),
    ((None, None, 1), "must be given together"),
    (("host", 2, 0), "coordinator must be HOST:PORT, but is 'host'"),
    (("host:http", 2, 0), "coordinator must be HOST:PORT"),
    (("host:1", 2, 2), "process_id must be from 0 to num_processes − 1 = 1, but is 2"),
    (("host:1", 2, -1), "process_id must be from 0"),
  ],
)
def test_what_does_not_join(arguments, message):
  with pytest.raises(ValueError, match=message), processes(False, *arguments):
    pass


def test_alone_there_is_nothing_to_agree_on():
  with processes(False):
    assert all_reduce_max(3, 0) == (3, 0)
    assert run_on_process_zero_first(lambda: "done") == "done"
    with pytest.raises(OSError, match="full"):
      run_on_all_processes(_fail)


def _fail():
  raise OSError("the disk is full")
