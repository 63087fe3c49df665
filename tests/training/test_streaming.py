"""Streamed data: the numbers of resident data, bit for bit."""

import logging
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from aejax import data
from aejax.evaluation.generation import fit_samplers, nearest
from aejax.training import Options, prepare, streaming
from aejax.training.configuration import read


@pytest.fixture
def train(tmp_path, monkeypatch):
  """Returns a function that trains on 30 images and returns log and trained parameters."""
  images = np.random.default_rng(0).integers(0, 256, (33, 4, 3, 1), np.uint8)
  path = tmp_path / "images.npy"
  np.save(path, images)
  # Seven steps in an epoch, of which three are sent at a time.
  monkeypatch.setattr(streaming, "_CHUNK_BYTES", 3 * 4 * 12)

  def call(name, **options):
    settings = dict(dataset=str(path), network="linear", latent_dim=2, batch_size=4, epochs=3)
    run = prepare("cwae", {}, Options(workdir=tmp_path / name, **(settings | options)))
    run.train()
    return run

  return call


def _parameters(run):
  return jax.tree.leaves(run.load().model)


def _assert_equal(first, second):
  for one, other in zip(first.seeds, second.seeds, strict=True):
    assert one.history == other.history
    for a, b in zip(_parameters(one), _parameters(other), strict=True):
      np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("options", [{}, {"seeds": 2}], ids=str)
def test_streamed_data_give_the_numbers_of_resident_data(train, options):
  resident = train("resident", **options)
  streamed = train("stream", data="stream", **options)
  assert isinstance(streamed.dataset.train, data.LazyImages)
  assert read(streamed.workdir).data == "stream"
  _assert_equal(resident, streamed)


@pytest.mark.slow
def test_streamed_standardised_data_give_the_numbers_of_resident_data(train, tmp_path):
  path = tmp_path / "table.npy"
  np.save(path, np.random.default_rng(0).normal(size=(40, 5)) * 7 + 3)
  _assert_equal(train("a", dataset=str(path)), train("b", dataset=str(path), data="stream"))


def test_placement_may_change_on_resume(train):
  resident = train("resident", epochs=4)
  train("both", epochs=2, data="stream")
  resumed = train("both", epochs=4, data="resident", resume=True)
  _assert_equal(resident, resumed)


def test_data_that_do_not_fit_are_streamed(train, monkeypatch):
  placed = []

  def place(*arguments, **options):
    placed.append(original(*arguments, **options))
    return placed[-1]

  original = streaming.place
  monkeypatch.setattr("aejax.training.setup.place", place)
  train("resident", epochs=1)
  monkeypatch.setattr(streaming, "available_bytes", lambda: 500)
  train("devices", epochs=1)
  monkeypatch.setattr(streaming, "available_bytes", lambda: 1e9)
  monkeypatch.setattr(streaming, "host_bytes", lambda: 500)
  run = train("host", epochs=1)
  assert isinstance(run.dataset.train, data.LazyImages)
  train("chosen", epochs=1, data="resident")
  names = [type(each).__name__ for each in placed]
  assert names == ["Resident", "Stream", "Stream", "Resident"]


def test_several_processes_never_read_all_data(monkeypatch):
  monkeypatch.setattr(jax, "process_count", lambda: 2)
  assert not any(streaming.in_memory("digits", each) for each in (None, "stream", "resident"))


@pytest.mark.usefixtures("without_beartype")
def test_other_placements_are_refused(train):
  with pytest.raises(ValueError, match="There is no placement of data 'disk'"):
    train("disk", data="disk")


def test_stream_sends_the_rows_of_the_order():
  examples = np.arange(20, dtype=np.float32)[:, None]
  stream = streaming.Stream(examples, batch_size=3, runs=2, mesh=None)
  stream._steps = 2
  order = jax.numpy.asarray(np.stack([np.random.default_rng(k).permutation(20) for k in (0, 1)]))
  seen, shapes = [[], []], set()
  for images, rows, taken in stream.calls(order, 1, 5):
    shapes.add((images.shape, rows.shape))
    for run in (0, 1):
      start = 3 * (1 + len(seen[run]) // 3)
      seen[run] += images[rows[run, start : start + 3 * taken], 0].tolist()
  assert len(shapes) == 1
  assert seen == [order[run, 3:18].tolist() for run in (0, 1)]


def test_few_rows_wait_on_the_device(train, monkeypatch):
  """Before the rows of a call are gathered, all calls but the last are done."""
  monkeypatch.setattr(streaming, "_CHUNK_BYTES", 1)  # one step
  sent, waited, wait = [], [], jax.block_until_ready

  def shard(images, mesh):
    sent.append(len(waited))
    return original(images, mesh)

  original = streaming.shard_images
  monkeypatch.setattr(streaming, "shard_images", shard)
  monkeypatch.setattr(jax, "block_until_ready", lambda tree: waited.append(tree) or wait(tree))
  train("stream", data="stream", epochs=1)
  assert len(sent) == 7
  assert np.all(np.diff(sent) >= 1)


def test_a_folder_is_decoded_once(train, tmp_path, monkeypatch, caplog):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  folder = tmp_path / "folder"
  folder.mkdir()
  for index in range(22):
    pixels = np.random.default_rng(index).integers(0, 256, (6, 6, 3), np.uint8)
    Image.fromarray(pixels).save(folder / f"{index:02}.png")
  with caplog.at_level(logging.INFO, "aejax"):
    resident = train("a", dataset=str(folder))
    _assert_equal(resident, train("b", dataset=str(folder), data="stream"))
    assert caplog.text.count("Decoding 20 images once") == 1
    data.load(folder, in_memory=False, cache=True)
    assert caplog.text.count("Decoding 20 images once") == 1
    data.load(folder, in_memory=False, cache=True, image_size=3)
    assert caplog.text.count("Decoding 20 images once") == 2
  cached = list((tmp_path / "cache" / "aejax" / "images").iterdir())
  assert len(cached) == 2
  assert all(file.suffix == ".npy" for file in cached)


def test_densities_are_fitted_to_streamed_data(train):
  run = train("stream", data="stream", epochs=1)
  assert nearest(jax.numpy.zeros((2, 4, 3, 1)), run.dataset) is None
  key = jax.random.key(0)
  found, expected = (
    fit_samplers(run.load(), dataset, key=key)["gaussian"].sample(key, 5)
    for dataset in (run.dataset, data.load(run.configuration.dataset))
  )
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


_LARGE = """
import resource
import sys
from pathlib import Path

import jax
import numpy as np

import aejax
from aejax.training import streaming

streaming._CHUNK_BYTES = 16 << 20  # a part of the data as small as it is of larger ones
path, form = sys.argv[1:]
jax.numpy.zeros(3).block_until_ready()
status = Path("/proc/self/status").read_text().splitlines()
used = next(int(line.split()[1]) for line in status if line.startswith("VmData")) << 10
resource.setrlimit(resource.RLIMIT_DATA, (used + (700 << 20), resource.RLIM_INFINITY))
try:
  np.load(path)
except MemoryError:
  print("too large")
array = np.load(path, mmap_mode="r")
given = {"mapped": array, "source": [row for row in array], "iterable": lambda: iter(array)}[form]
options = dict(latent_dim=2, batch_size=20, epochs=1, model="linear", workdir=f"{path}-{form}")
run = aejax.fit("ae", given, **options)
print(run.step, run.history[0]["loss"])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are those of Linux")
@pytest.mark.parametrize("form", ["mapped", "source", "iterable"])
def test_data_larger_than_the_memory_limit(form, tmp_path):
  """One gigabyte of vectors is trained on with 700 MB of memory beside that of the libraries."""
  rows = np.random.default_rng(0).integers(0, 256, (100, 100_000), np.uint8)
  path = tmp_path / "large.npy"
  file = np.lib.format.open_memmap(path, "w+", np.uint8, (10_000, 100_000))
  for start in range(0, len(file), len(rows)):
    file[start : start + len(rows)] = rows
  file.flush()
  command = [sys.executable, "-c", _LARGE, str(path), form]
  found = subprocess.run(command, capture_output=True, text=True, timeout=600)
  assert found.returncode == 0, found.stderr
  first, last = found.stdout.splitlines()
  assert first == "too large"
  assert last.startswith("450 ")
