import json

import jax.numpy as jnp
import pytest

from aejax.training import Diverged
from aejax.training.epoch import Sums
from aejax.training.log import Log


def sums(loss, skipped=0, bad_step=-1):
  totals = {name: jnp.float32(loss) for name in ("loss", "reconstruction_error", "penalty")}
  return Sums(totals, jnp.int32(skipped), jnp.int32(bad_step))


def read(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


def test_log_writes_the_means_of_each_epoch(tmp_path):
  path = tmp_path / "metrics.jsonl"
  log = Log(path, 4, 0)
  log.add(4, sums(8.0))
  log.add(8, sums(6.0))
  assert path.read_text() == ""
  last = log.flush()
  means = dict.fromkeys(("loss", "reconstruction_error", "penalty"), 1.5)
  assert last == means
  assert [line["loss"] for line in read(path)] == [2.0, 1.5]
  assert read(path)[1] == {"step": 8, "epoch": 2, **means}
  assert log.flush() is None


def test_log_overwrites_what_a_failed_write_left(tmp_path):
  path = tmp_path / "metrics.jsonl"
  log = Log(path, 1, 0)
  log.add(1, sums(1.0))
  log.flush()
  with path.open("ab") as file:
    file.write(b'{"step": 2, "epo' * 100)
  log.add(2, sums(2.0))
  log.flush()
  assert [line["step"] for line in read(path)] == [1, 2]


def test_log_keeps_an_epoch_that_cannot_be_written(tmp_path):
  path = tmp_path / "metrics.jsonl"
  log = Log(path, 1, 0)
  log.add(1, sums(1.0))
  moved = path.rename(tmp_path / "away")
  for _ in range(2):
    with pytest.raises(OSError, match=r"metrics\.jsonl"):
      log.flush()
  moved.rename(path)
  log.flush()
  assert [line["step"] for line in read(path)] == [1]


def test_log_of_a_resumed_run_drops_later_epochs(tmp_path):
  path = tmp_path / "metrics.jsonl"
  log = Log(path, 2, 0)
  for epoch in (1, 2, 3):
    log.add(2 * epoch, sums(epoch))
  log.flush()
  again = Log(path, 2, 5)  # within the third epoch
  assert [line["epoch"] for line in read(path)] == [1, 2]
  again.add(6, sums(9.0))
  again.flush()
  assert [line["loss"] for line in read(path)] == [0.5, 1.0, 4.5]


def test_log_counts_or_rejects_skipped_steps(tmp_path):
  log = Log(tmp_path / "skips.jsonl", 4, 0, skips=True)
  log.add(4, sums(6.0, skipped=1, bad_step=2))
  means = log.flush()
  assert means is not None
  assert (means["loss"], means["skipped_steps"]) == (2.0, 1)
  log.add(8, sums(0.0, skipped=4, bad_step=2))
  with pytest.raises(Diverged):
    log.flush()
  other = Log(tmp_path / "stops.jsonl", 4, 0)
  other.add(4, sums(6.0, skipped=1, bad_step=2))
  with pytest.raises(Diverged) as error:
    other.flush()
  assert error.value.step == 2
