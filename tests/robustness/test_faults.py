"""A disk that fills up or fails under a training, and what is lost: nothing."""

import json
import signal

import chex
import jax
import pytest
from subprocesses import epochs, finish, own_tracebacks, said, wait_until

import aejax

# Checkpoints in every call of the compiled loop.
OFTEN = ("--checkpoint-minutes", 0)
MANY = 100_000


def _stopped(process, workdir):
  process.send_signal(signal.SIGTERM)
  assert finish(process, workdir) == 128 + signal.SIGTERM, said(workdir)


def _log(workdir):
  return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["ENOSPC", "HALF"])
def test_a_full_disk_is_waited_for(start, faulty, tmp_path, fault):
  workdir, switch = tmp_path / "run", tmp_path / "switch"
  process = start(workdir, *OFTEN, "--epochs", MANY, environment=faulty(workdir, switch))
  wait_until(lambda: epochs(workdir) > 3, process, workdir)
  switch.write_text(fault)
  wait_until(lambda: "training waits for space" in said(workdir), process, workdir)
  before = epochs(workdir)
  good = aejax.load(workdir).step  # the last one is whole while the disk is full
  assert good > 0
  switch.unlink()
  wait_until(lambda: epochs(workdir) > before + 3, process, workdir)
  assert "There is space again: training goes on." in said(workdir)
  _stopped(process, workdir)
  assert [line["epoch"] for line in _log(workdir)] == list(range(1, epochs(workdir) + 1))
  assert own_tracebacks(workdir) == []

  # The same run on a disk that never failed.
  steps = aejax.load(workdir).step
  whole = tmp_path / "whole"
  last = epochs(workdir)
  other = start(whole, "--epochs", last)
  assert finish(other, whole) == 0, said(whole)
  assert _log(whole) == _log(workdir)
  assert steps // 10 in (last, last + 1)


def test_a_full_disk_and_a_signal_say_where_to_go_on(start, faulty, tmp_path):
  workdir, switch = tmp_path / "run", tmp_path / "switch"
  process = start(workdir, *OFTEN, "--epochs", MANY, environment=faulty(workdir, switch))
  wait_until(lambda: epochs(workdir) > 3, process, workdir)
  switch.write_text("ENOSPC")
  wait_until(lambda: "training waits for space" in said(workdir), process, workdir)
  _stopped(process, workdir)
  step = aejax.load(workdir).step
  assert f"not saved (No space left on device); --resume goes on from step {step:,}." in said(
    workdir
  )
  assert own_tracebacks(workdir) == []


def test_a_disk_that_errs_is_tried_again(start, faulty, tmp_path):
  workdir, switch = tmp_path / "run", tmp_path / "switch"
  process = start(workdir, *OFTEN, "--epochs", MANY, environment=faulty(workdir, switch))
  wait_until(lambda: epochs(workdir) > 3, process, workdir)
  switch.write_text("EIO")
  wait_until(lambda: said(workdir).count("tried again later") > 0, process, workdir)
  switch.unlink()
  before = epochs(workdir)
  wait_until(lambda: epochs(workdir) > before + 3, process, workdir)
  _stopped(process, workdir)
  assert [line["epoch"] for line in _log(workdir)] == list(range(1, epochs(workdir) + 1))
  assert own_tracebacks(workdir) == []


@pytest.mark.slow
def test_at_the_end_an_error_is_one_sentence_and_the_last_good_state_stays(start, faulty, tmp_path):
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
def test_short_writes_change_nothing(start, faulty, tmp_path):
  workdir, switch = tmp_path / "short", tmp_path / "switch"
  switch.write_text("SHORT")
  process = start(workdir, *OFTEN, "--epochs", 3, environment=faulty(workdir, switch))
  assert finish(process, workdir) == 0, said(workdir)
  whole = tmp_path / "whole"
  assert finish(start(whole, "--epochs", 3), whole) == 0, said(whole)
  assert (workdir / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
  one, other = (jax.tree.leaves(jax.device_get(aejax.load(w).model)) for w in (workdir, whole))
  chex.assert_trees_all_equal(one, other)
  for name in ("summary.json", "samples.png", "report.html"):
    assert (workdir / name).stat().st_size > 0


@pytest.mark.slow
def test_a_run_that_cannot_begin_leaves_nothing_behind(start, faulty, tmp_path):
  workdir, switch = tmp_path / "run", tmp_path / "switch"
  switch.write_text("ENOSPC")
  process = start(workdir, "--epochs", 2, environment=faulty(workdir, switch))
  assert finish(process, workdir) == 2
  assert said(workdir).splitlines()[-1].startswith("error: ")
  assert "No space left on device" in said(workdir)
  assert own_tracebacks(workdir) == []
  switch.unlink()
  assert finish(start(workdir, "--epochs", 2), workdir) == 0, said(workdir)
