import contextlib
import dataclasses
import functools
import gzip
import http.server
import importlib.util
import itertools
import logging
import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

from aejax.data import prepare
from aejax.data.spec import Download, file_sha256


def _check(dataset, small):
  np.testing.assert_array_equal(dataset.train, small.images["train"])
  np.testing.assert_array_equal(dataset.test, small.images["test"])


@contextlib.contextmanager
def _served(folder):
  """Serves the files of a folder on this machine."""

  class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
      pass

  handler = functools.partial(Handler, directory=os.fspath(folder))
  with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
      yield f"http://127.0.0.1:{server.server_port}/"
    finally:
      server.shutdown()
      thread.join()


def _downloadable(small, folder, root):
  files = [folder / name for name in small.payloads]
  downloads = (Download(root + f.name, f.stat().st_size, file_sha256(f)) for f in files)
  return dataclasses.replace(small.spec, downloads=tuple(downloads))


@pytest.fixture
def notes(caplog):
  """Returns a function that gives the notes logged so far, and forgets them."""
  caplog.set_level(logging.INFO, logger="aejax")

  def take():
    messages = [record.getMessage() for record in caplog.records if record.name == "aejax"]
    caplog.clear()
    return messages

  return take


def test_load_tfds_prepares_once_and_logs_it(small_idx, tmp_path, notes, capfd):
  folder = small_idx.write(tmp_path / "files")
  _check(prepare.load_tfds(small_idx.spec, data_dir=folder), small_idx)
  assert notes() == ["Preparing small (once)…"]
  shutil.rmtree(folder)
  _check(prepare.load_tfds(small_idx.spec), small_idx)
  assert notes() == []
  assert capfd.readouterr() == ("", "")


def test_load_tfds_keeps_the_order_over_many_files(small_idx, tmp_path, prepared, monkeypatch):
  monkeypatch.setattr(prepare, "_SHARD_BYTES", 2 * 28 * 28)
  _check(prepare.load_tfds(small_idx.spec, data_dir=small_idx.write(tmp_path / "f")), small_idx)
  assert len(list(prepared.glob("aejax_small/1.0.0/*train*"))) == 4


def test_tensorflow_datasets_reads_a_prepared_set_by_name(small_idx, tmp_path, prepared):
  import tensorflow_datasets as tfds

  prepare.load_tfds(small_idx.spec, data_dir=small_idx.write(tmp_path / "files"))
  source = tfds.data_source("aejax_small", split="test", data_dir=prepared, download=False)
  np.testing.assert_array_equal(source[1]["image"], small_idx.images["test"][1])
  assert source[1]["label"] == small_idx.labels["test"][1]


def test_load_tfds_reads_a_set_prepared_in_data_dir(small_idx, tmp_path, prepared, monkeypatch):
  prepare.load_tfds(small_idx.spec, data_dir=small_idx.write(tmp_path / "files"))
  monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "empty"))
  _check(prepare.load_tfds(small_idx.spec, data_dir=prepared), small_idx)
  assert not (tmp_path / "empty").exists()


@pytest.mark.parametrize("where", ["manual", "packaged"])
def test_load_tfds_finds_files_without_data_dir(small_idx, tmp_path, prepared, where):
  spec = small_idx.spec
  if where == "manual":
    (prepared / "downloads").mkdir(parents=True)
    small_idx.write(prepared / "downloads" / "manual")
  else:
    spec = dataclasses.replace(spec, folders=(os.fspath(tmp_path / "packaged"),))
    small_idx.write(tmp_path / "packaged")
  _check(prepare.load_tfds(spec), small_idx)


def test_load_tfds_names_missing_files(small_idx, tmp_path):
  folder = small_idx.write(tmp_path / "files")
  (folder / "t10k-labels-idx1-ubyte.gz").unlink()
  with pytest.raises(
    ValueError, match=r"files of small are not in .*files, .*manual and must"
  ) as e:
    prepare.load_tfds(small_idx.spec, data_dir=folder)
  assert "t10k-labels-idx1-ubyte.gz" in str(e.value)
  assert "--data-dir" in str(e.value)


def test_load_tfds_fails_at_once_without_network(small_idx, tmp_path, monkeypatch):
  monkeypatch.setenv("NO_PROXY", "127.0.0.1")
  with _served(tmp_path) as root:
    pass
  # The server has stopped: nothing listens at this address.
  spec = _downloadable(small_idx, small_idx.write(tmp_path / "files"), root)
  with pytest.raises(ValueError, match=r"cannot be downloaded \(.*refused.*\): put train-"):
    prepare.load_tfds(spec)


def test_load_tfds_downloads(small_idx, tmp_path, monkeypatch, notes, capfd):
  monkeypatch.setenv("NO_PROXY", "127.0.0.1")
  folder = small_idx.write(tmp_path / "files")
  with _served(folder) as root:
    spec = _downloadable(small_idx, folder, root)
    _check(prepare.load_tfds(spec), small_idx)
  assert notes() == ["Preparing small (once)…"]
  assert capfd.readouterr() == ("", "")


def test_load_tfds_rejects_a_wrong_download_and_removes_it(small_idx, tmp_path, monkeypatch):
  monkeypatch.setenv("NO_PROXY", "127.0.0.1")
  folder = small_idx.write(tmp_path / "files")
  with _served(folder) as root:
    spec = _downloadable(small_idx, folder, root)
    file = folder / "train-images-idx3-ubyte.gz"
    content = file.read_bytes()
    file.write_bytes(b"a page that asks to log in")
    with pytest.raises(ValueError, match=r"small cannot be prepared in .* has wrong checksum"):
      prepare.load_tfds(spec)
    file.write_bytes(content)
    _check(prepare.load_tfds(spec), small_idx)


def test_interrupted_preparation_leaves_no_files(small_idx, tmp_path, prepared, monkeypatch):
  folder = small_idx.write(tmp_path / "files")
  original = type(small_idx.spec).read

  def interrupted(spec, files):
    examples = original(spec, files)

    def first_two():
      yield from itertools.islice(examples["train"], 2)
      raise KeyboardInterrupt

    return {"test": examples["test"], "train": first_two()}

  with monkeypatch.context() as context:
    context.setattr(type(small_idx.spec), "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
      prepare.load_tfds(small_idx.spec, data_dir=folder)
  assert not list((prepared / "aejax_small").iterdir())
  _check(prepare.load_tfds(small_idx.spec, data_dir=folder), small_idx)


def test_preparation_ignores_files_of_a_killed_one(small_idx, tmp_path, prepared):
  left = prepared / "aejax_small" / "incomplete.ABCDEF_1.0.0"
  left.mkdir(parents=True)
  (left / "aejax_small-train.array_record-00000-of-00001").write_bytes(b"half a record")
  folder = small_idx.write(tmp_path / "files")
  _check(prepare.load_tfds(small_idx.spec, data_dir=folder), small_idx)


def test_preparation_accepts_the_result_of_a_faster_process(
  small_idx, tmp_path, prepared, monkeypatch
):
  folder = small_idx.write(tmp_path / "files")
  prepare.load_tfds(small_idx.spec, data_dir=folder)
  finished = prepared / "aejax_small" / "1.0.0"
  aside = finished.rename(tmp_path / "aside")
  original = type(small_idx.spec).read

  def slow(spec, files):
    aside.rename(finished)
    return original(spec, files)

  monkeypatch.setattr(type(small_idx.spec), "read", slow)
  _check(prepare.load_tfds(small_idx.spec, data_dir=folder), small_idx)


@pytest.mark.parametrize("damage", ["shortened", "flipped", "lost", "info"])
def test_load_tfds_rejects_a_damaged_prepared_set(small_idx, tmp_path, prepared, damage):
  spec = small_idx.spec
  prepare.load_tfds(spec, data_dir=small_idx.write(tmp_path / "files"))
  folder = prepared / "aejax_small" / "1.0.0"
  (records,) = folder.glob("*train*")
  content = records.read_bytes()
  if damage == "shortened":
    records.write_bytes(content[: len(content) // 2])
  elif damage == "flipped":
    middle = content.index(small_idx.images["train"][3].tobytes()[:16])
    records.write_bytes(content[:middle] + bytes(16) + content[middle + 16 :])
  elif damage == "lost":
    records.unlink()
  else:
    (folder / "dataset_info.json").write_text("{")
  with pytest.raises(ValueError, match=f"the prepared data set {folder} is damaged .*remove this"):
    prepare.load_tfds(spec)


def test_load_tfds_rejects_a_prepared_set_of_another_size(small_idx, tmp_path):
  prepare.load_tfds(small_idx.spec, data_dir=small_idx.write(tmp_path / "files"))
  spec = dataclasses.replace(small_idx.spec, sizes={"train": 8, "test": 3})
  with pytest.raises(ValueError, match=r"damaged \(7 train images, not 8\)"):
    prepare.load_tfds(spec)


def test_preparation_keeps_an_unknown_folder(small_idx, tmp_path, prepared):
  mine = prepared / "aejax_small" / "1.0.0" / "mine.txt"
  mine.parent.mkdir(parents=True)
  mine.write_text("precious")
  with pytest.raises(ValueError, match="is not a prepared data set: remove this folder"):
    prepare.load_tfds(small_idx.spec, data_dir=small_idx.write(tmp_path / "files"))
  assert mine.read_text() == "precious"


@pytest.mark.parametrize(("root", "message"), [("file", "TFDS_DATA_DIR"), ("gs://b", "local")])
def test_load_tfds_rejects_a_bad_root(small_idx, tmp_path, monkeypatch, root, message):
  (tmp_path / "file").write_text("")
  monkeypatch.setenv("TFDS_DATA_DIR", root if "://" in root else str(tmp_path / root))
  with pytest.raises(ValueError, match=message):
    prepare.load_tfds(small_idx.spec, data_dir=small_idx.write(tmp_path / "files"))


def test_make_builder_prepares(small_idx, tmp_path):
  import tensorflow_datasets as tfds

  config = tfds.download.DownloadConfig(manual_dir=small_idx.write(tmp_path / "files"))
  builder = prepare.make_builder(small_idx.spec, data_dir=tmp_path / "root")
  builder.download_and_prepare(download_config=config)
  assert len(builder.as_data_source(split="train")) == 7


def test_make_builder_names_missing_files(small_idx, tmp_path):
  builder = prepare.make_builder(small_idx.spec, data_dir=tmp_path / "root")
  with pytest.raises(ValueError, match="small must be downloaded by hand: train-images"):
    builder.download_and_prepare()


@pytest.mark.parametrize("missing", ["tensorflow_datasets", "array_record"])
def test_load_tfds_asks_for_its_packages(small_idx, tmp_path, monkeypatch, missing):
  found = importlib.util.find_spec
  monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == missing else found(n))
  sentence = rf"the package {missing}, which is not installed: pip install 'aejax\[data\]'"
  with pytest.raises(ImportError, match=sentence):
    prepare.load_tfds(small_idx.spec)
  with pytest.raises(ImportError, match=sentence):
    prepare.make_builder(small_idx.spec, data_dir=tmp_path)


def test_tensorflow_is_never_imported(small_idx, tmp_path):
  # In a fresh process: aejax.data imports no heavy package, and preparation no TensorFlow.
  folder = small_idx.write(tmp_path / "files")
  payloads = {name: gzip.compress(payload) for name, payload in small_idx.payloads.items()}
  assert set(payloads) == {path.name for path in folder.iterdir()}
  script = f"""
import dataclasses, sys
import aejax.data
from aejax.data import idx, prepare
heavy = {{"PIL", "sklearn", "tensorflow_datasets", "tensorflow"}} & sys.modules.keys()
assert not heavy, heavy
spec = dataclasses.replace(
  idx.MNIST, name="small", sizes={small_idx.spec.sizes!r}, downloads=(),
  payload_sha256={small_idx.spec.payload_sha256!r},
)
assert len(prepare.load_tfds(spec, data_dir={str(folder)!r}).train) == 7
assert "tensorflow_datasets" in sys.modules
assert not {{"tensorflow", "torch"}} & sys.modules.keys()
"""
  subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
