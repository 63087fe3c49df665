"""A disk that fills up or fails during training: the run goes on, and no finished work is lost."""

import json
import signal

import chex
import jax
import pytest
from subprocesses import epochs, finish, own_tracebacks, said, wait_until

import aejax

# Save after every call of the compiled loop.
OFTEN = ("--checkpoint-minutes", 0)
MANY = 100_000


def _stop(process, workdir):
  process.send_signal(signal.SIGTERM)
  assert finish(process, workdir) == 128 + signal.SIGTERM, said(workdir)


def _log(workdir):
  return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["ENOSPC", "HALF"])
def test_training_waits_while_the_disk_is_full(start, faulty, tmp_path, fault):
  workdir, switch = tmp_path / "run", tmp_path / "switch"
  process = start(workdir, *OFTEN, "--epochs", MANY, environment=faulty(workdir, switch))
  wait_until(lambda: epochs(workdir) > 3, process, workdir)
  switch.write_text(fault)
  wait_until(lambda: "training waits for space" in said(workdir), process, workdir)
  before = epochs(workdir)
  assert aejax.load(workdir).step > 0  # the newest checkpoint is complete all the while
  switch.unlink()
  wait_until(lambda: epochs(workdir) > before + 3, process, workdir)
  assert "There is space again: training goes on." in said(workdir)
  _stop(process, workdir)
  assert [line["epoch"] for line in _log(workdir)] == list(range(1, epochs(workdir) + 1))
  assert own_tracebacks(workdir) == []

  # The same run on a disk that never failed.
  step, last_epoch = aejax.load(workdir).step, epochs(workdir)
  reference = tmp_path / "reference"
  assert finish(start(reference, "--epochs", last_epoch), reference) == 0, said(reference)
  assert _log(reference) == _log(workdir)
  assert step // 10 in (last_epoch, last_epoch + 1)


def test_signal_while_the_disk_is_full_names_the_saved_step(start, faulty, tmp_path):
  workdir, switch = tmp_path / "run", tmp_path / "switch"
  process = start(workdir, *OFTEN, "--epochs", MANY, environment=faulty(workdir, switch))
  wait_until(lambda: epochs(workdir) > 3, process, workdir)
  switch.write_text("ENOSPC")
  wait_until(lambda: "training waits for space" in said(workdir), process, workdir)
  _stop(process, workdir)
  step = aejax.load(workdir).step
  assert f"not saved (No space left on device); --resume goes on from step {step:,}." in said(
    workdir
  )
  assert own_tracebacks(workdir) == []


def test_training_tries_a_failing_disk_again(start, faulty, tmp_path):
  workdir, switch = tmp_path / "run", tmp_path / "switch"
  process = start(workdir, *OFTEN, "--epochs", MANY, environment=faulty(workdir, switch))
  wait_until(lambda: epochs(workdir) > 3, process, workdir)
  switch.write_text("EIO")
  wait_until(lambda: said(workdir).count("tried again later") > 0, process, workdir)
  switch.unlink()
  before = epochs(workdir)
  wait_until(lambda: epochs(workdir) > before + 3, process, workdir)
  _stop(process, workdir)
  assert [line["epoch"] for line in _log(workdir)] == list(range(1, epochs(workdir) + 1))
  assert own_tracebacks(workdir) == []


@pytest.mark.slow
def test_signal_while_the_disk_fails_keeps_the_last_good_state(start, faulty, tmp_path):
  workdir, switch = tmp_path / "run", tmp_path / "switch"
  process = start(workdir, *OFTEN, "--epochs", MANY, environment=faulty(workdir, switch))
  wait_until(lambda: epochs(workdir) > 3, process, workdir)
  switch.write_text("EIO")
  wait_until(lambda: "tried again later" in said(workdir), process, workdir)
  process.send_signal(signal.SIGTERM)
  assert finish(process, workdir) == 128 + signal.SIGTERM, said(workdir)
  assert "not saved (Input/output error); --resume goes on from step" in said(workdir)
  assert own_tracebacks(workdir) == []
  assert aejax.load(workdir).step > 0


@pytest.mark.slow
def test_short_writes_do_not_change_the_files(start, faulty, tmp_path):
  workdir, switch = tmp_path / "short", tmp_path / "switch"
  switch.write_text("SHORT")
  process = start(workdir, *OFTEN, "--epochs", 3, environment=faulty(workdir, switch))
  assert finish(process, workdir) == 0, said(workdir)
  reference = tmp_path / "reference"
  assert finish(start(reference, "--epochs", 3), reference) == 0, said(reference)
  assert (workdir / "metrics.jsonl").read_bytes() == (reference / "metrics.jsonl").read_bytes()
  found, expected = (
    jax.tree.leaves(jax.device_get(aejax.load(folder).model)) for folder in (workdir, reference)
  )
  chex.assert_trees_all_equal(found, expected)
  for name in ("summary.json", "samples.png", "report.html"):
    assert (workdir / name).stat().st_size > 0


@pytest.mark.slow
def test_run_on_a_full_disk_leaves_no_files(start, faulty, tmp_path):
  workdir, switch = tmp_path / "run", tmp_path / "switch"
  switch.write_text("ENOSPC")
  process = start(workdir, "--epochs", 2, environment=faulty(workdir, switch))
  assert finish(process, workdir) == 2
  assert said(workdir).splitlines()[-1].startswith("error: ")
  assert "No space left on device" in said(workdir)
  assert own_tracebacks(workdir) == []
  switch.unlink()
  assert finish(start(workdir, "--epochs", 2), workdir) == 0, said(workdir)
