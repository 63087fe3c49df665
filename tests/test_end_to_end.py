"""Twelve kinds of data, from the user's hands to an exported model.

Each is trained, interrupted after an epoch, resumed, scored, sampled, reported, exported and loaded
back. docs/data.md shows them as a table, of which this file checks every cell.
"""

import dataclasses
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import own_parts
import pytest
from flax import nnx
from PIL import Image

import aejax
from aejax import Autoencoder, cli, data
from aejax.data import LazyImages
from aejax.training import Interrupted
from aejax.training.augmentation import check_flip
from aejax.training.loop import Trainer

PAGE = Path(__file__).parents[1] / "docs" / "data.md"
KEY = jax.random.key(0)
N = 40


@dataclasses.dataclass(frozen=True)
class Brought:
  """One kind of data: a row of the table.

  Attributes:
    what: what the data are.
    form: what the user passes.
    make: function of a folder that returns it.
    shape: shape of one example.
    where: "path" if the run finds the data by their path, "run" if it keeps the examples of an
      iterable, "object" if they must be passed again.
    streamed: whether training reads them from disk.
    labels: whether they have labels.
    model: networks of the user, or the name of ours.
    options: further arguments of `fit`, or flags of the command.
  """

  what: str
  form: str
  make: Callable[[Path], Any]
  shape: tuple[int, ...]
  where: str = "path"
  streamed: bool = False
  labels: bool = False
  model: Any = "linear"
  options: dict[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def flips(self) -> bool:
    return len(self.shape) == 3

  def row(self) -> str:
    later = {"path": "its path", "run": "the work directory", "object": "`dataset=`"}[self.where]
    yes = {True: "yes", False: "no"}
    cells = [self.what, self.form, yes[self.where == "path"], yes[self.streamed]]
    return "| " + " | ".join([*cells, yes[self.labels], yes[self.flips], later]) + " |"


def numbers(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=(N, *shape)) * 9 + 30


def pixels(*shape):
  return np.random.default_rng(0).integers(0, 256, (N, *shape), np.uint8)


def saved(name, **arrays):
  def make(folder):
    path = folder / name
    np.savez(path, **arrays) if name.endswith("z") else np.save(path, *arrays.values())
    return path

  return make


def pictures(values, classes=False):
  def make(folder):
    for index, image in enumerate(values):
      place = folder / "pictures" / ("ab"[index % 2] if classes else "")
      place.mkdir(parents=True, exist_ok=True)
      Image.fromarray(image).save(place / f"{index:02}.png")
    return folder / "pictures"

  return make


def mapped(folder):
  return np.load(saved("mapped.npy", values=pixels(5, 6, 1))(folder), mmap_mode="r")


def stream(_):
  def examples():
    for index, row in enumerate(numbers(5)):
      yield {"x": row.astype(np.float32), "label": index % 2}

  return examples


def own_networks():
  rngs = nnx.Rngs(0)
  encoder = nnx.Sequential(lambda x: x.reshape(x.shape[0], -1), nnx.Linear(60, 2, rngs=rngs))
  decoder = nnx.Sequential(nnx.Linear(2, 60, rngs=rngs), lambda x: x.reshape(-1, 6, 10, 1))
  return Autoencoder(encoder, decoder, latent_dim=2)


DEEP = np.random.default_rng(0).integers(0, 65536, (N, 6, 6)).astype(np.uint16)

ROWS = [
  Brought("grey images", "`.npy` file", saved("grey.npy", x=pixels(6, 6)), (6, 6, 1)),
  Brought(
    "colour images",
    "`.npz` file",
    saved("colour.npz", images=pixels(6, 6, 3), labels=np.arange(N) % 3),
    (6, 6, 3),
    labels=True,
    options={"flip": True},
  ),
  Brought(
    "images that are not square",
    "array",
    lambda _: pixels(6, 10, 1),
    (6, 10, 1),
    where="object",
    model=own_networks(),
  ),
  Brought("16-bit images", "folder", pictures(DEEP), (6, 6, 1)),
  Brought(
    "vectors in [0, 1]",
    "`.npy` file",
    saved("unit.npy", x=numbers(5) / 100 % 1),
    (5,),
    model="own_parts:plain",
  ),
  Brought("standardised vectors", "array", lambda _: numbers(5), (5,), where="object"),
  Brought("signals", "`.npz` file", saved("signals.npz", signals=numbers(12, 2)), (12, 2)),
  Brought("volumes", "array", lambda _: numbers(3, 4, 5, 1), (3, 4, 5, 1), where="object"),
  Brought(
    "images in classes",
    "folder of folders",
    pictures(pixels(6, 6, 3), classes=True),
    (6, 6, 3),
    labels=True,
  ),
  Brought("memory-mapped images", "`np.memmap`", mapped, (5, 6, 1), where="object", streamed=True),
  Brought(
    "a file larger than memory",
    "`.npy` file, `--data stream`",
    saved("large.npy", x=pixels(6, 6, 1)),
    (6, 6, 1),
    streamed=True,
    options={"data": "stream"},
  ),
  Brought(
    "an iterable",
    "generator function",
    stream,
    (5,),
    where="run",
    streamed=True,
    labels=True,
    model=own_parts.normalised,
  ),
]
ORDINARY = ("images that are not square", "16-bit images")
SETTINGS = dict(latent_dim=2, batch_size=12, epochs=2)
HEAD = "| data | brought as | command line | streamed | labels | `--flip` | scored later from |"


def test_page_has_the_table():
  table = "\n".join([HEAD, "|---|---|---|---|---|---|---|", *(each.row() for each in ROWS)])
  assert len(ROWS) == 12
  assert table in PAGE.read_text(encoding="utf-8"), table


@pytest.fixture
def interrupt(monkeypatch):
  """Returns a function that sends SIGTERM to this process after an epoch of the next run."""

  def arm():
    finish_epoch = Trainer.finish_epoch

    def finish_and_kill(self, *arguments):
      monkeypatch.setattr(Trainer, "finish_epoch", finish_epoch)
      state = finish_epoch(self, *arguments)
      os.kill(os.getpid(), signal.SIGTERM)
      return state

    monkeypatch.setattr(Trainer, "finish_epoch", finish_and_kill)

  return arm


@pytest.mark.filterwarnings("ignore:.*summary:aejax.AejaxWarning")
@pytest.mark.parametrize(
  "brought",
  [
    pytest.param(each, id=each.what, marks=() if each.what in ORDINARY else pytest.mark.slow)
    for each in ROWS
  ],
)
def test_data_are_trained_resumed_scored_sampled_reported_and_exported(
  brought, tmp_path, interrupt, capsys
):
  given, workdir = brought.make(tmp_path), tmp_path / "run"
  interrupt()
  (_by_command if brought.where == "path" else _by_python)(brought, given, workdir, tmp_path)

  summary = json.loads((workdir / "summary.json").read_text())
  assert np.isfinite(summary["reconstruction_error"])
  assert ("knn_accuracy" in summary) == brought.labels
  assert (tmp_path / "page.html").stat().st_size > 10_000
  own = {"model": brought.model} if isinstance(brought.model, Autoencoder) else {}
  run = aejax.load(workdir, **own)
  assert run.step == 2 * 3
  assert [line["epoch"] for line in run.history] == [1, 2]
  _check_data_of_loaded_run(brought, run, given)
  assert run.configuration.image_shape == brought.shape

  # The interrupted run is one without a break, and the exported model that of the run.
  expected = _without_a_break(brought, given)
  assert run.history == expected.history
  dataset = expected.dataset
  np.testing.assert_array_equal(run.encode(dataset.test), expected.encode(dataset.test))
  own = {} if brought.model == "linear" else {"model": run.model}
  exported = aejax.load_model(tmp_path / "model.safetensors", **own)
  np.testing.assert_array_equal(exported.encode(dataset.test), run.encode(dataset.test))
  samples = run.generate(KEY, 3)
  assert samples.shape == (3, *brought.shape)
  np.testing.assert_array_equal(exported.generate(KEY, 3), samples)


def _by_command(brought, path, workdir, folder):
  command = ["train", "cwae", "--dataset", str(path), "--workdir", str(workdir)]
  settings = SETTINGS | {"network": brought.model} | brought.options
  for name, value in settings.items():
    command += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
  with pytest.raises(SystemExit) as stopped:
    cli.main(command)
  assert stopped.value.code == 128 + signal.SIGTERM
  cli.main([*command, "--resume"])
  cli.main(["sample", str(workdir), "--num", "4", "--out", str(folder / "samples.png")])
  assert (folder / "samples.png").stat().st_size > 100
  cli.main(["report", str(workdir), "--out", str(folder / "page.html")])
  cli.main(["export", str(workdir), "--out", str(folder / "model.safetensors")])


def _by_python(brought, given, workdir, folder):
  options = SETTINGS | {"model": brought.model, "workdir": workdir} | brought.options
  with pytest.raises(Interrupted):
    aejax.fit("cwae", given, **options)
  # An iterable is not read again.
  given = _fails if brought.where == "run" else given
  run = aejax.fit("cwae", given, resume=True, **options)
  run.report(folder / "page.html")
  aejax.export(run, folder / "model.safetensors")


def _fails():
  raise AssertionError("the examples are in the work directory")


def _without_a_break(brought, given):
  options = {name: value for name, value in brought.options.items() if name != "data"}
  return aejax.fit("cwae", given, **SETTINGS | {"model": brought.model} | options)


def _check_data_of_loaded_run(brought, run, given):
  """Checks where the data of a run are found later, and whether they are streamed and labelled."""
  if brought.where == "object":
    with pytest.raises(ValueError, match="given as an object: pass them as dataset="):
      _ = run.dataset
    found = data.from_arrays(given)
    assert run._with(found).dataset is found
  else:
    found = run.dataset
  assert isinstance(found.train, LazyImages) == brought.streamed
  # A file that is streamed has no labels, but an iterable does.
  assert (found.train_labels is not None) == brought.labels
  if brought.flips:
    check_flip(True, brought.shape)
  else:
    with pytest.raises(ValueError, match="flip is for images"):
      check_flip(True, brought.shape)
