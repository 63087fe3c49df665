"""Data as objects, and where a run keeps those of an iterable."""

import logging

import numpy as np
import pytest
from flax import nnx

import aejax
from aejax import data
from aejax.data import LazyImages
from aejax.training import given_data

ROWS = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
SMALL = dict(latent_dim=2, batch_size=12, epochs=1, model="linear")


def test_a_path_is_read_once_with_networks_of_the_user(tmp_path, monkeypatch):
  np.save(tmp_path / "rows.npy", ROWS)
  read, load = [], data.load
  monkeypatch.setattr(data, "load", lambda *a, **k: read.append(a) or load(*a, **k))
  rngs = nnx.Rngs(0)
  pair = nnx.Linear(5, 2, rngs=rngs), nnx.Linear(2, 5, rngs=rngs)
  options = SMALL | {"model": pair, "workdir": tmp_path / "run"}
  run = aejax.fit("ae", tmp_path / "rows.npy", **options)
  assert len(read) == 1
  assert run.configuration.dataset == str(tmp_path / "rows.npy")
  aejax.fit("ae", tmp_path / "rows.npy", **options | {"resume": True})
  assert len(read) == 2
  assert aejax.load(tmp_path / "run", model=pair).dataset.digest == run.dataset.digest


@pytest.mark.parametrize("kind", ["array", "mapped", "source"])
def test_the_numbers_do_not_depend_on_where_data_lie(kind, tmp_path):
  np.save(tmp_path / "rows.npy", ROWS)
  mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
  given = {"array": ROWS, "mapped": mapped, "source": list(ROWS)}[kind]
  run = aejax.fit("cwae", given, **SMALL)
  assert isinstance(run.dataset.train, LazyImages) == (kind != "array")
  expected = EXPECTED.setdefault("run", run)
  assert run.history == expected.history
  np.testing.assert_array_equal(run.encode(ROWS), expected.encode(ROWS))


EXPECTED = {}


def test_an_iterable_is_kept_for_the_run_that_begins(tmp_path, caplog):
  """What a call that failed has read is read again; what a run has read is not."""
  with pytest.raises(ValueError, match="batch_size is 99, but the training set has 36"):
    aejax.fit("ae", iter(ROWS + 1), workdir=tmp_path / "run", **SMALL | {"batch_size": 99})
  assert [path.name for path in (tmp_path / "run").iterdir()] == ["examples"]
  with caplog.at_level(logging.INFO, "aejax"):
    run = aejax.fit("ae", iter(ROWS), workdir=tmp_path / "run", **SMALL)
  assert f"Reading data once, into {tmp_path / 'run' / 'examples'}" in caplog.text
  assert run.dataset.digest == data.from_arrays(ROWS).digest
  with pytest.raises(ValueError, match="exists already"):
    aejax.fit("ae", iter(ROWS), workdir=tmp_path / "run", **SMALL)
  opened = aejax.load(tmp_path / "run")
  assert opened.dataset.digest == run.dataset.digest
  kept = tmp_path / "run" / "examples" / "examples.npy"
  np.save(kept, ROWS[::-1])
  with pytest.raises(ValueError, match="does not hold the data that"):
    _ = aejax.load(tmp_path / "run").dataset


def test_folders_of_others_are_left_alone(tmp_path):
  (tmp_path / "examples").mkdir()
  (tmp_path / "examples" / "mine.txt").touch()
  with pytest.raises(ValueError, match="exists already"):
    given_data.check_new(tmp_path)
  (tmp_path / "examples" / "mine.txt").rename(tmp_path / "examples" / ".a.partial.npy")
  given_data.check_new(tmp_path)
  (tmp_path / "notes.txt").touch()
  with pytest.raises(ValueError, match="exists already"):
    given_data.check_new(tmp_path)
  with pytest.raises(ValueError, match="exists already"):
    given_data.check_new(tmp_path / "notes.txt")
