"""Named data sets through tensorflow-datasets, without TensorFlow.

A data set is prepared once: its examples are written as array_record files to the folder of
tensorflow-datasets (TFDS_DATA_DIR, by default ~/tensorflow_datasets). Later calls read these files,
as `tfds.data_source("aejax_mnist", split="train")` does. Preparation writes to a temporary folder
and renames it at the end, so a data set in its final place is complete.
"""

import contextlib
import functools
import http.client
import io
import itertools
import math
import os
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from aejax import _checks
from aejax._extras import require
from aejax._messages import logger
from aejax.data.dataset import Dataset
from aejax.data.lazy import LazyImages
from aejax.data.spec import DatasetSpec, Example

__all__ = ["load_tfds", "make_builder"]

Labels = Int[np.ndarray, " n"] | None

# Number of records per read: enough for the threads of array_record, and small in memory.
_CHUNK = 2048
# Size of the images in one file: tensorflow-datasets holds the examples of a file in memory.
_SHARD_BYTES = 128 << 20


def load_tfds(
  spec: DatasetSpec, *, data_dir: str | os.PathLike[str] | None = None, in_memory: bool = True
) -> Dataset:
  """Loads a named data set, and prepares it first if necessary.

  Preparation looks for the original files in `data_dir`, in `downloads/manual` of
  tensorflow-datasets' folder, and where packages of the operating system install them. It downloads
  them if they are in none of these.

  Args:
    spec: specification of the data set.
    data_dir: folder with the original files, or with the prepared data set.
    in_memory: whether to read all training images now. If False, they are read when they are
      indexed, and have no labels.

  Raises:
    ValueError: if the original files are not found and cannot be downloaded, if they are not the
      published ones, or if the prepared data set is damaged.
    ImportError: if tensorflow-datasets or array_record is not installed.
  """
  _require_tfds()
  root = _prepared_root()
  for folder in (root,) if data_dir is None else (Path(data_dir), root):
    # Path.is_file raises for names that are too long.
    if os.path.isfile(folder / spec.stored_name / spec.version / "dataset_info.json"):
      return _read(spec, folder, in_memory)
  _prepare(spec, root, data_dir)
  return _read(spec, root, in_memory)


def make_builder(spec: DatasetSpec, *, data_dir: str | os.PathLike[str]) -> Any:
  """Returns a tensorflow-datasets builder for the data set.

  Its `download_and_prepare` takes the files from `DownloadConfig.manual_dir` if they are there, and
  downloads them otherwise.

  Args:
    spec: specification of the data set.
    data_dir: folder in which tensorflow-datasets stores prepared data sets.

  Raises:
    ImportError: if tensorflow-datasets or array_record is not installed.
  """
  _require_tfds()
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core import dataset_builder, units
  from tensorflow_datasets.core.download import checksums

  published = {
    file.url: checksums.UrlInfo(units.Size(file.size), file.sha256, file.filename)
    for file in spec.downloads
  }

  # GeneratorBasedBuilder, the usual base, shuffles, and above a gigabyte (CelebA) sorts on disk
  # with TensorFlow. The builder is not registered, so `tfds.load` does not find it by name.
  class Builder(dataset_builder.ShardBasedBuilder, skip_registration=True):
    name = spec.stored_name
    VERSION = tfds.core.Version(spec.version)
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put into one folder: {spec.required_files}."
    url_infos = published

    def _info(self) -> Any:
      # Raw bytes: the feature `Image` stores each image as a PNG and decodes it at every read.
      features: dict[str, Any] = {
        "image": tfds.features.Tensor(
          shape=spec.image_shape, dtype=np.uint8, encoding=tfds.features.Encoding.BYTES
        )
      }
      if spec.labels:
        features["label"] = tfds.features.ClassLabel(names=list(spec.labels))
      return tfds.core.DatasetInfo(
        builder=self,
        description=spec.description,
        homepage=spec.homepage,
        features=tfds.features.FeaturesDict(features),
        # Keep the published order, so that an index means the same image everywhere.
        disable_shuffling=True,
      )

    def _shard_iterators_per_split(self, dl_manager: Any) -> dict[str, list[Callable[[], Any]]]:
      files = None
      # `manual_dir` asserts that the folder exists and is not empty.
      with contextlib.suppress(AssertionError):
        files = spec.find(Path(dl_manager.manual_dir))
      if files is None:
        if not spec.downloads:
          raise ValueError(f"{spec.name} must be downloaded by hand: {spec.required_files}")
        paths = dl_manager.download({file.filename: file.url for file in spec.downloads})
        files = {name: Path(path) for name, path in paths.items()}
      return {split: _shards(spec, split, examples) for split, examples in spec.read(files).items()}

  return Builder(data_dir=os.fspath(data_dir), file_format="array_record")


def _require_tfds() -> None:
  require("data", "tensorflow_datasets", "array_record")


def _shards(spec: DatasetSpec, split: str, examples: Iterable[Example]) -> list[Callable[[], Any]]:
  """Returns one function per file; each call returns an iterator over the next records."""
  per_shard = max(1, _SHARD_BYTES // math.prod(spec.image_shape))
  records = (
    (index, {"image": image} | ({} if label is None else {"label": label}))
    for index, (image, label) in enumerate(examples)
  )
  num_shards = math.ceil(spec.sizes[split] / per_shard)
  return [functools.partial(itertools.islice, records, per_shard)] * num_shards


def _prepared_root() -> Path:
  """Returns the folder of prepared data sets.

  Reads TFDS_DATA_DIR at every call; tensorflow-datasets reads it only when it is imported.
  """
  root = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
  if "://" in root:
    raise ValueError(f"TFDS_DATA_DIR must be a local folder, got {root}")
  return _checks.path("TFDS_DATA_DIR", root)


def _prepare(spec: DatasetSpec, root: Path, data_dir: str | os.PathLike[str] | None) -> None:
  final = root / spec.stored_name / spec.version
  if os.path.exists(final) and not os.path.isfile(final / "dataset_info.json"):
    raise ValueError(
      f"{final} is not a prepared data set: remove this folder, and it will be prepared again"
    )
  manual = root / "downloads" / "manual"
  folders = [Path(data_dir)] if data_dir is not None else []
  folders += [manual, *map(Path, spec.folders)]
  source = None
  with contextlib.suppress(OSError):  # from names that are too long
    source = next((folder for folder in folders if spec.find(folder)), None)
  if source is None:
    _check_downloadable(spec, folders)

  import tensorflow_datasets as tfds
  from tensorflow_datasets.core.download import download_manager

  logger.info("Preparing %s (once)…", spec.name)
  try:
    with _quiet():
      make_builder(spec, data_dir=root).download_and_prepare(
        file_format="array_record",
        download_config=tfds.download.DownloadConfig(
          manual_dir=manual if source is None else source, try_download_gcs=False
        ),
      )
  except (
    OSError,
    tfds.download.DownloadError,
    download_manager.NonMatchingChecksumError,
  ) as error:
    # Another process may have prepared the same data set in the meantime.
    if not (final / "dataset_info.json").is_file():
      reason = " ".join(str(error).split())
      raise ValueError(
        f"{spec.name} cannot be prepared in {root} (TFDS_DATA_DIR): {reason}"
      ) from error


def _check_downloadable(spec: DatasetSpec, folders: list[Path]) -> None:
  """Raises at once if an address cannot be reached; tensorflow-datasets retries for minutes."""
  reason = "and must be downloaded by hand"
  if spec.downloads:
    try:
      for file in spec.downloads:
        urllib.request.urlopen(file.url, timeout=20).close()
      return
    except (OSError, http.client.HTTPException) as error:
      reason = f"and cannot be downloaded ({error})"
  raise ValueError(
    f"the files of {spec.name} are not in {', '.join(map(str, folders))} {reason}: put "
    f"{spec.required_files} into a folder and name it with data_dir (--data-dir)"
  )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Silences the progress bars and the printed messages of tensorflow-datasets."""
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core.utils import tqdm_utils

  active = tqdm_utils._active
  tfds.display_progress_bar(False)
  try:
    with contextlib.redirect_stdout(io.StringIO()):
      yield
  finally:
    tfds.display_progress_bar(active)


def _read(spec: DatasetSpec, root: Path, in_memory: bool) -> Dataset:
  folder = root / spec.stored_name / spec.version
  with _naming_damage(folder):
    builder = make_builder(spec, data_dir=root)
    sources = {split: builder.as_data_source(split=split) for split in ("train", "test")}
    for split, source in sources.items():
      if len(source) != spec.sizes[split]:
        raise ValueError(f"{len(source)} {split} images, not {spec.sizes[split]}")

  def read(split: str, rows: Sequence[int]) -> tuple[UInt8[np.ndarray, "n h w c"], Labels]:
    with _naming_damage(folder):
      return _read_rows(spec, sources[split], rows)

  n = spec.sizes["train"]
  # Preparation has verified the published checksums.
  source = f"published:{spec.stored_name}-{spec.version}"
  test, test_labels = read("test", range(spec.sizes["test"]))
  if not in_memory:
    train = LazyImages((n, *spec.image_shape), lambda rows: read("train", rows)[0])
    return Dataset(spec.name, train, test, None, test_labels, source)
  train, train_labels = read("train", range(n))
  return Dataset(spec.name, train, test, train_labels, test_labels, source)


@contextlib.contextmanager
def _naming_damage(folder: Path) -> Iterator[None]:
  """Turns any error into a ValueError that names the folder of the prepared data set."""
  try:
    yield
  # On damaged files, array_record, protobuf and NumPy raise nearly every exception.
  except Exception as error:
    raise ValueError(
      f"the prepared data set {folder} is damaged ({_checks.short_message(error)}): "
      "remove this folder, and it will be prepared again"
    ) from error


def _read_rows(
  spec: DatasetSpec, source: Any, rows: Sequence[int]
) -> tuple[UInt8[np.ndarray, "n h w c"], Labels]:
  images = np.empty((len(rows), *spec.image_shape), np.uint8)
  labels = np.empty(len(rows), np.int64) if spec.labels else None
  for start in range(0, len(rows), _CHUNK):
    records = source.__getitems__(rows[start : start + _CHUNK])
    for index, record in enumerate(records, start):
      images[index] = record["image"]
      if labels is not None:
        labels[index] = record["label"]
  return images, labels
