"""Two processes as one run over loopback, also when one of them is killed."""

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
from aejax.training import distributed
from aejax.training.distributed import (
  all_reduce_max,
  processes,
  run_on_all_processes,
  run_on_process_zero_first,
)
from aejax.training.epoch import epoch_order

TRAIN = Path(__file__).parents[2] / "experiments" / "train.py"
LIMIT = 120.0  # seconds for each wait below


def start(workdir, *options, count=2, devices=1, seed=0):
  """Starts the processes of a run."""
  command = [TRAIN, "cwae", "--workdir", workdir, "--network", "linear", "--seed", seed, *options]

  def rank(coordinator, index):
    flags = ["--coordinator", coordinator, "--num-processes", count, "--process-id", index]
    return flags if count > 1 else []

  return launch(workdir, command, rank, count, devices)


def launch(workdir, command, rank, count, devices):
  """Starts processes; each writes its messages to a file next to the work directory."""
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    coordinator = f"127.0.0.1:{free.getsockname()[1]}"
  environment = {
    **os.environ,
    "JAX_PLATFORMS": "cpu",
    "JAX_NUM_CPU_DEVICES": str(devices),
  }
  started = []
  for index in range(count):
    arguments = [*command, *rank(coordinator, index)]
    with workdir.with_name(f"{workdir.name}-{index}.txt").open("w") as messages:
      started.append(
        subprocess.Popen(
          [sys.executable, *map(str, arguments)], stdout=messages, stderr=messages, env=environment
        )
      )
  _started.extend(started)
  return started


@pytest.fixture(autouse=True)
def kill_started():
  yield
  while _started:
    process = _started.pop()
    process.kill()
    process.wait()


_started = []


def messages_of(workdir, index):
  return workdir.with_name(f"{workdir.name}-{index}.txt").read_text()


def finish(started, workdir):
  for index, process in enumerate(started):
    assert process.wait(LIMIT) == 0, messages_of(workdir, index)


def log(workdir):
  path = workdir / "metrics.jsonl"
  return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_until(condition, started, workdir):
  end = time.monotonic() + LIMIT
  while not condition():
    for index, process in enumerate(started):
      assert process.poll() is None, messages_of(workdir, index)
    assert time.monotonic() < end, messages_of(workdir, 0)
    time.sleep(0.05)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, digits_run):
  """Two epochs on two processes with two devices each, and on one process with one."""
  folder = tmp_path_factory.mktemp("processes")
  (folder / "one").symlink_to(digits_run)
  finish(start(folder / "two", "--epochs", 2, "--latent-dim", 2, devices=2), folder / "two")
  return folder


def test_two_processes_train_as_one_process(trained):
  one, two = log(trained / "one"), log(trained / "two")
  assert [line["epoch"] for line in two] == [1, 2]
  for a, b in zip(one, two, strict=True):
    np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-5)
  expected, found = (
    np.concatenate([v.ravel() for v in jax.tree.leaves(jax.device_get(load(run).model))])
    for run in (trained / "one", trained / "two")
  )
  assert np.linalg.norm(expected - found) < 1e-4 * np.linalg.norm(expected)


def test_first_process_alone_writes(trained):
  assert (trained / "two" / "samples.png").exists()
  assert "reconstruction error" in messages_of(trained / "two", 0)
  shown = [line for line in messages_of(trained / "two", 1).splitlines() if "Gloo" not in line]
  assert shown == []
  summaries = [json.loads((trained / r / "summary.json").read_text()) for r in ("one", "two")]
  for name in ("reconstruction_error", "cramer_wold"):
    assert summaries[0][name] == pytest.approx(summaries[1][name], rel=1e-3)


@pytest.mark.slow
def test_run_resumes_after_one_process_is_killed(trained, tmp_path):
  workdir = trained / "two"
  more = ("--resume", "--epochs", 100_000)
  started = start(workdir, *more)
  wait_until(lambda: len(log(workdir)) > 2, started, workdir)
  started[1].kill()
  assert started[0].wait(LIMIT) == 75, messages_of(workdir, 0)
  assert "error: the connection to another process of the run is lost" in messages_of(workdir, 0)

  before = log(workdir)
  started = start(workdir, *more)
  wait_until(lambda: len(log(workdir)) > 8, started, workdir)
  # A signal to one of them stops both at the same step.
  started[1].send_signal(signal.SIGTERM)
  assert [process.wait(LIMIT) for process in started] == [128 + signal.SIGTERM] * 2
  assert "--resume goes on from there" in messages_of(workdir, 0)
  after = log(workdir)
  assert [line["epoch"] for line in after] == list(range(1, len(after) + 1))
  assert after[:2] == before[:2]
  # The last epoch may be incomplete.
  assert 0 <= load(workdir).step - after[-1]["step"] < after[0]["step"]


_READ = """
import sys

import jax
import numpy as np

from aejax import data
from aejax.training import processes, sharding, streaming
from aejax.training.epoch import epoch_order

with processes(False, sys.argv[1], 2, int(sys.argv[2])):
  images = data.load(sys.argv[3], in_memory=False).train
  rows_read, read = [], images._read
  images._read = lambda rows: rows_read.extend(rows) or read(rows)
  sharded = sharding.shard_images(images, sharding.devices_mesh())
  local = np.concatenate([shard.data for shard in sharded.addressable_shards])
  print(rows_read, local[:, 0].tolist())

  rows_read.clear()
  mesh, key = sharding.devices_mesh(), jax.random.key(0)
  order = sharding.replicate(epoch_order(key, 0, len(images)), mesh)
  stream = streaming.place(images, "stream", batch_size=4, runs=1, mesh=mesh)
  stream._steps = 2
  for sent, rows, taken in stream.calls(order, 1, 3):
    local = np.concatenate([shard.data for shard in sent.addressable_shards])
    print(taken, np.asarray(rows).tolist(), local[:, 0].tolist())
  print(rows_read)
  print(type(streaming.place(images, None, batch_size=4, runs=1, mesh=mesh)).__name__)
  streaming.available_bytes = lambda: 10.0 if int(sys.argv[2]) else 1e9
  print(type(streaming.place(images, None, batch_size=4, runs=1, mesh=mesh)).__name__)
"""


def test_processes_read_the_images_of_their_devices_only(tmp_path):
  path = tmp_path / "numbers.npy"
  np.save(path, np.broadcast_to(10 * np.arange(20, dtype=np.uint8)[:, None, None], (20, 5, 5)))
  kept = data.load(path).train[:, 0, 0, 0].tolist()
  assert len(kept) == 18  # five per device: the last two of 20 are black
  command = ["-c", _READ]
  started = launch(tmp_path / "run", command, lambda address, index: [address, index, path], 2, 2)
  finish(started, tmp_path / "run")
  said = [messages_of(tmp_path / "run", index).splitlines() for index in (0, 1)]
  lines = [[line for line in each if "Gloo" not in line][-6:] for each in said]
  assert lines[0][0] == f"{list(range(10))} {kept[:10]}"
  assert lines[1][0] == f"{list(range(10, 18))} {[*kept[10:], 0, 0]}"
  _check_streamed(kept, lines)


def _check_streamed(kept, lines):
  """Two calls send eight rows each, of which a process reads four, in the order of the epoch."""
  order = np.asarray(epoch_order(jax.random.key(0), 0, 18)).tolist()
  sent = [*order[4:12], *order[12:16], *[0] * 4]
  values = [kept[row] for row in sent]
  for index in (0, 1):
    mine = slice(4 * index, 4 * index + 4), slice(8 + 4 * index, 12 + 4 * index)
    for call, taken in enumerate((2, 1)):
      places = np.clip(np.arange(18) - (4, 12)[call], 0, 7).tolist()
      assert lines[index][1 + call] == f"{taken} {places} {values[mine[call]]}"
    assert lines[index][3] == f"{sent[mine[0]] + sent[mine[1]]}"
    # The memory of one process decides for both.
    assert lines[index][4:] == ["Resident", "Stream"]


@pytest.mark.slow
def test_streaming_processes_train_as_resident_ones(trained):
  options = ["--epochs", 2, "--data", "stream"]
  finish(start(trained / "streamed", *options, devices=2), trained / "streamed")
  assert log(trained / "streamed") == log(trained / "two")
  two, streamed = (
    jax.tree.leaves(jax.device_get(load(trained / run).model)) for run in ("two", "streamed")
  )
  for a, b in zip(two, streamed, strict=True):
    np.testing.assert_array_equal(a, b)


def test_mistake_ends_both_processes(tmp_path):
  workdir = tmp_path / "run"
  started = start(workdir, "--batch-size", 3)
  assert [process.wait(LIMIT) for process in started] == [2, 2]
  assert "error: batch_size must be a multiple of the 2 devices" in messages_of(workdir, 0)
  assert "error: Another process of the run failed; its own message says why." in messages_of(
    workdir, 1
  )
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
def test_processes_rejects_bad_arguments(arguments, message):
  with pytest.raises(ValueError, match=message), processes(False, *arguments):
    pass


def test_single_process_needs_no_others():
  with processes(False):
    assert all_reduce_max(3, 0) == (3, 0)
    assert run_on_all_processes(lambda: None) is None
    assert run_on_process_zero_first(lambda: "done") == "done"
    with pytest.raises(OSError, match="full"):
      run_on_all_processes(_fail)


@pytest.mark.parametrize("index", [0, 1])
def test_run_on_process_zero_first_orders_the_processes(index, monkeypatch):
  calls = []
  monkeypatch.setattr(jax, "process_index", lambda: index)
  monkeypatch.setattr(distributed, "all_reduce_max", lambda failed: (calls.append("wait"), (0,))[1])
  assert run_on_process_zero_first(lambda: calls.append("action") or "done") == "done"
  assert calls == (["action", "wait", "wait"] if index == 0 else ["wait", "action", "wait"])


def test_run_on_all_processes_reports_failures(monkeypatch):
  reported = []

  def all_reduce(failed):
    reported.append(failed)
    return (1,)

  monkeypatch.setattr(distributed, "all_reduce_max", all_reduce)
  with pytest.raises(OSError, match="the disk is full"):
    run_on_all_processes(_fail)
  with pytest.raises(ValueError, match=r"^Another process of the run failed; its own message says"):
    run_on_all_processes(lambda: "done")
  assert reported == [1, 0]


def _fail():
  raise OSError("the disk is full")
