"""Metrics for TensorBoard and Weights & Biases, with the real writers where they are installed."""

import importlib.util
import struct
import sys
import types

import pytest
from training.small_runs import SmallRuns, log

import aejax
from aejax._files import read_json
from aejax.training import trackers


def _needs(module):
  missing = importlib.util.find_spec(module) is None
  return pytest.mark.skipif(missing, reason=f"{module} is not installed: an extra of aejax")


def _records(path):
  """Yields the records of a TFRecord file: length, its checksum, content, its checksum."""
  content, start = path.read_bytes(), 0
  while start < len(content):
    (length,) = struct.unpack_from("<Q", content, start)
    yield content[start + 12 : start + 12 + length]
    start += 12 + length + 4


def _scalars(folder):
  from tensorboardX.proto.event_pb2 import Event

  events = [Event.FromString(r) for path in sorted(folder.iterdir()) for r in _records(path)]
  return [
    (event.step, value.tag, value.simple_value)
    for event in events
    for value in event.summary.value
    if value.WhichOneof("value") == "simple_value"
  ]


@_needs("tensorboardX")
def test_tensorboard_has_each_epoch_once_after_a_resume(tmp_path):
  runs = SmallRuns(tmp_path)
  run = runs.train(epochs=2, callback="tensorboard")
  runs.resume(run, epochs=3)
  found = _scalars(run.workdir / "tensorboard")
  expected = {
    (line["step"], name): value
    for line in log(run)
    for name, value in line.items()
    if name != "step"
  }
  assert len(expected) == 3 * 4
  assert len(found) == len(expected)
  assert {(step, name): value for step, name, value in found} == pytest.approx(expected, rel=1e-6)


@_needs("tensorboardX")
def test_each_seed_has_its_own_events(tmp_path):
  run = SmallRuns(tmp_path).train(seeds=2, callback="tensorboard")
  values = [_scalars(seed.workdir / "tensorboard") for seed in run.seeds]
  assert len(values[0]) == len(values[1]) == 4
  assert values[0] != values[1]


class _Wandb(types.ModuleType):
  """What aejax uses of wandb."""

  Error = RuntimeError

  def __init__(self):
    super().__init__("wandb")
    self.__spec__ = importlib.util.spec_from_loader("wandb", None)
    self.runs, self.lines, self.finished = [], [], 0

  def init(self, *, id, **options):
    if options["project"] == "refused":
      raise self.Error("no key\nat all")
    self.runs.append({"id": id, **options})
    self.id = id or "abc"
    return self

  def log(self, line, *, step):
    self.lines.append((step, line))

  def finish(self):
    self.finished += 1


@pytest.fixture
def wandb(monkeypatch):
  module = _Wandb()
  monkeypatch.setitem(sys.modules, "wandb", module)
  return module


def test_wandb_gets_each_epoch_once_after_a_kill(tmp_path, wandb):
  runs = SmallRuns(tmp_path)
  run = runs.train(epochs=2, callback="wandb")
  expected = [(line.pop("step"), line) for line in log(run)]
  assert wandb.lines == expected
  about = wandb.runs[0]
  assert (about["project"], about["name"], about["id"]) == ("aejax", "run-1", None)
  assert about["config"]["dataset"] == "noise.npz"  # no folders of the user's machine
  assert "data_dir" not in about["config"]
  # A killed run comes back to its last checkpoint, and takes the epochs after it again.
  tracker = trackers.make_tracker(run.workdir, run.configuration)
  tracker.update(log(run)[:1])
  tracker.update(log(run))
  tracker.close()
  assert wandb.lines == expected
  runs.resume(run, epochs=3)
  assert [step for step, _ in wandb.lines] == [5, 10, 15]
  assert [about["id"] for about in wandb.runs] == [None, "abc", "abc"]
  assert read_json(run.workdir / "wandb.json") == {"id": "abc", "step": 15}
  assert wandb.finished == 3


def test_wandb_that_does_not_start_is_one_sentence(tmp_path, wandb, monkeypatch):
  monkeypatch.setenv("WANDB_PROJECT", "refused")
  with pytest.raises(ValueError, match=r"^Weights & Biases does not start: no key"):
    SmallRuns(tmp_path).train(callback="wandb")


@pytest.mark.slow
@_needs("wandb")
def test_wandb_offline_writes_its_own_files(tmp_path, monkeypatch):
  monkeypatch.setenv("WANDB_MODE", "offline")
  monkeypatch.setenv("WANDB_SILENT", "true")
  runs = SmallRuns(tmp_path)
  run = runs.train(epochs=2, callback="wandb")
  runs.resume(run, epochs=3)
  files = sorted(run.workdir.glob("wandb/offline-run-*/*.wandb"))
  assert len(files) == 2
  assert len({path.name for path in files}) == 1  # one identity
  assert read_json(run.workdir / "wandb.json")["step"] == 15


def test_callback_without_its_extra_writes_nothing(tmp_path, monkeypatch):
  monkeypatch.setattr(trackers, "require", lambda extra, module: _missing(extra, module))
  with pytest.raises(ImportError, match=r"pip install 'aejax\[wandb\]'"):
    SmallRuns(tmp_path).train(callback="wandb", workdir=tmp_path / "run")
  assert not (tmp_path / "run").exists()


def _missing(extra, module):
  raise ImportError(f"This needs {module}: pip install 'aejax[{extra}]'")


def test_fit_takes_the_name_of_a_callback(tmp_path, wandb):
  seen = []
  images = SmallRuns(tmp_path).file
  options = dict(latent_dim=2, model="linear", batch_size=10, epochs=1, test_epochs=0)
  aejax.fit(
    "ae",
    images,
    workdir=tmp_path / "run",
    callbacks=["wandb", lambda metrics, state: seen.append(metrics["epoch"])],
    **options,
  )
  assert seen == [1]
  assert [step for step, _ in wandb.lines] == [2]
