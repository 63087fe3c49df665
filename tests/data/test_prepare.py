import contextlib
import dataclasses
import functools
import gzip
import http.server
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
  """Serves a folder's files to this machine."""

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
  return dataclasses.replace(small.recipe, downloads=tuple(downloads))


def test_preparation_says_one_line_and_happens_once(small_idx, tmp_path, capfd):
  folder = small_idx.write(tmp_path / "files")
  _check(prepare.load_recipe(small_idx.recipe, data_dir=folder), small_idx)
  assert capfd.readouterr() == ("", "Preparing small (once)…\n")
  shutil.rmtree(folder)
  _check(prepare.load_recipe(small_idx.recipe), small_idx)
  assert capfd.readouterr() == ("", "")


def test_order_is_kept_over_many_files(small_idx, tmp_path, prepared, monkeypatch):
  monkeypatch.setattr(prepare, "_SHARD_BYTES", 2 * 28 * 28)
  _check(prepare.load_recipe(small_idx.recipe, data_dir=small_idx.write(tmp_path / "f")), small_idx)
  assert len(list(prepared.glob("aejax_small/1.0.0/*train*"))) == 4


def test_tensorflow_datasets_reads_it_by_name(small_idx, tmp_path, prepared):
  import tensorflow_datasets as tfds

  prepare.load_recipe(small_idx.recipe, data_dir=small_idx.write(tmp_path / "files"))
  source = tfds.data_source("aejax_small", split="test", data_dir=prepared, download=False)
  np.testing.assert_array_equal(source[1]["image"], small_idx.images["test"][1])
  assert source[1]["label"] == small_idx.labels["test"][1]


def test_a_set_prepared_elsewhere_is_used(small_idx, tmp_path, prepared, monkeypatch):
  prepare.load_recipe(small_idx.recipe, data_dir=small_idx.write(tmp_path / "files"))
  monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "empty"))
  _check(prepare.load_recipe(small_idx.recipe, data_dir=prepared), small_idx)
  assert not (tmp_path / "empty").exists()


@pytest.mark.parametrize("where", ["manual", "packaged"])
def test_files_are_found_without_being_told(small_idx, tmp_path, prepared, where):
  recipe = small_idx.recipe
  if where == "manual":
    (prepared / "downloads").mkdir(parents=True)
    small_idx.write(prepared / "downloads" / "manual")
  else:
    recipe = dataclasses.replace(recipe, folders=(os.fspath(tmp_path / "packaged"),))
    small_idx.write(tmp_path / "packaged")
  _check(prepare.load_recipe(recipe), small_idx)


def test_missing_files_are_asked_for(small_idx, tmp_path):
  folder = small_idx.write(tmp_path / "files")
  (folder / "t10k-labels-idx1-ubyte.gz").unlink()
  with pytest.raises(
    ValueError, match=r"files of small are not in .*files, .*manual and have to"
  ) as e:
    prepare.load_recipe(small_idx.recipe, data_dir=folder)
  assert "t10k-labels-idx1-ubyte.gz" in str(e.value)
  assert "--data-dir" in str(e.value)


def test_offline_fails_at_once(small_idx, tmp_path, monkeypatch):
  monkeypatch.setenv("NO_PROXY", "127.0.0.1")
  with _served(tmp_path) as root:
    pass
  # Nobody listens at this address any more.
  recipe = _downloadable(small_idx, small_idx.write(tmp_path / "files"), root)
  with pytest.raises(ValueError, match=r"cannot be downloaded \(.*refused.*\): put train-"):
    prepare.load_recipe(recipe)


def test_download(small_idx, tmp_path, monkeypatch, capfd):
  monkeypatch.setenv("NO_PROXY", "127.0.0.1")
  folder = small_idx.write(tmp_path / "files")
  with _served(folder) as root:
    recipe = _downloadable(small_idx, folder, root)
    _check(prepare.load_recipe(recipe), small_idx)
  assert capfd.readouterr() == ("", "Preparing small (once)…\n")


def test_a_wrong_download_is_refused_and_not_kept(small_idx, tmp_path, monkeypatch):
  monkeypatch.setenv("NO_PROXY", "127.0.0.1")
  folder = small_idx.write(tmp_path / "files")
  with _served(folder) as root:
    recipe = _downloadable(small_idx, folder, root)
    file = folder / "train-images-idx3-ubyte.gz"
    content = file.read_bytes()
    file.write_bytes(b"a page that asks to log in")
    with pytest.raises(ValueError, match=r"small cannot be prepared in .* has wrong checksum"):
      prepare.load_recipe(recipe)
    file.write_bytes(content)
    _check(prepare.load_recipe(recipe), small_idx)


def test_an_interrupted_preparation_leaves_nothing(small_idx, tmp_path, prepared, monkeypatch):
  folder = small_idx.write(tmp_path / "files")
  original = type(small_idx.recipe).read

  def interrupted(recipe, files):
    examples = original(recipe, files)

    def first_two():
      examples_left = iter(examples["train"])
      yield next(examples_left)
      yield next(examples_left)
      raise KeyboardInterrupt

    return {"test": examples["test"], "train": first_two()}

  with monkeypatch.context() as context:
    context.setattr(type(small_idx.recipe), "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
      prepare.load_recipe(small_idx.recipe, data_dir=folder)
  assert not list((prepared / "aejax_small").iterdir())
  _check(prepare.load_recipe(small_idx.recipe, data_dir=folder), small_idx)


def test_what_a_killed_preparation_leaves_does_no_harm(small_idx, tmp_path, prepared):
  left = prepared / "aejax_small" / "incomplete.ABCDEF_1.0.0"
  left.mkdir(parents=True)
  (left / "aejax_small-train.array_record-00000-of-00001").write_bytes(b"half a record")
  folder = small_idx.write(tmp_path / "files")
  _check(prepare.load_recipe(small_idx.recipe, data_dir=folder), small_idx)


def test_a_process_that_was_faster_is_welcome(small_idx, tmp_path, prepared, monkeypatch):
  folder = small_idx.write(tmp_path / "files")
  prepare.load_recipe(small_idx.recipe, data_dir=folder)
  finished = prepared / "aejax_small" / "1.0.0"
  aside = finished.rename(tmp_path / "aside")
  original = type(small_idx.recipe).read

  def slow(recipe, files):
    aside.rename(finished)
    return original(recipe, files)

  monkeypatch.setattr(type(small_idx.recipe), "read", slow)
  _check(prepare.load_recipe(small_idx.recipe, data_dir=folder), small_idx)


@pytest.mark.parametrize("damage", ["shortened", "flipped", "lost", "info"])
def test_a_damaged_prepared_set_is_refused(small_idx, tmp_path, prepared, damage):
  recipe = small_idx.recipe
  prepare.load_recipe(recipe, data_dir=small_idx.write(tmp_path / "files"))
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
    prepare.load_recipe(recipe)


def test_a_prepared_set_of_another_size_is_refused(small_idx, tmp_path):
  prepare.load_recipe(small_idx.recipe, data_dir=small_idx.write(tmp_path / "files"))
  recipe = dataclasses.replace(small_idx.recipe, sizes={"train": 8, "test": 3})
  with pytest.raises(ValueError, match=r"damaged \(7 train images, not 8\)"):
    prepare.load_recipe(recipe)


def test_a_folder_in_the_way_is_not_touched(small_idx, tmp_path, prepared):
  mine = prepared / "aejax_small" / "1.0.0" / "mine.txt"
  mine.parent.mkdir(parents=True)
  mine.write_text("precious")
  with pytest.raises(ValueError, match="is no prepared data set: remove this folder"):
    prepare.load_recipe(small_idx.recipe, data_dir=small_idx.write(tmp_path / "files"))
  assert mine.read_text() == "precious"


@pytest.mark.parametrize(("root", "message"), [("file", "TFDS_DATA_DIR"), ("gs://b", "local")])
def test_a_root_that_cannot_hold_it_is_refused(small_idx, tmp_path, monkeypatch, root, message):
  (tmp_path / "file").write_text("")
  monkeypatch.setenv("TFDS_DATA_DIR", root if "://" in root else str(tmp_path / root))
  with pytest.raises(ValueError, match=message):
    prepare.load_recipe(small_idx.recipe, data_dir=small_idx.write(tmp_path / "files"))


def test_builder_is_used_as_any_other(small_idx, tmp_path):
  import tensorflow_datasets as tfds

  config = tfds.download.DownloadConfig(manual_dir=small_idx.write(tmp_path / "files"))
  builder = prepare.make_builder(small_idx.recipe, data_dir=tmp_path / "root")
  builder.download_and_prepare(download_config=config)
  assert len(builder.as_data_source(split="train")) == 7


def test_builder_without_files_asks_for_them(small_idx, tmp_path):
  builder = prepare.make_builder(small_idx.recipe, data_dir=tmp_path / "root")
  with pytest.raises(ValueError, match="small has to be fetched by hand: train-images"):
    builder.download_and_prepare()


def test_tensorflow_is_never_imported(small_idx, tmp_path):
  """In a fresh process: importing is light, and preparing and reading need no TensorFlow."""
  folder = small_idx.write(tmp_path / "files")
  payloads = {name: gzip.compress(payload) for name, payload in small_idx.payloads.items()}
  assert set(payloads) == {path.name for path in folder.iterdir()}
  script = f"""
import dataclasses, sys
import aejax.data
from aejax.data import idx, prepare
heavy = {{"PIL", "sklearn", "tensorflow_datasets", "tensorflow"}} & sys.modules.keys()
assert not heavy, heavy
recipe = dataclasses.replace(
  idx.MNIST, name="small", sizes={small_idx.recipe.sizes!r}, downloads=(),
  payloads={small_idx.recipe.payloads!r},
)
assert len(prepare.load_recipe(recipe, data_dir={str(folder)!r}).train) == 7
assert "tensorflow_datasets" in sys.modules
assert not {{"tensorflow", "torch"}} & sys.modules.keys()
"""
  subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
