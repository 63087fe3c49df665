"""Named data sets through tensorflow-datasets, without TensorFlow.

A recipe is prepared once, as array_record files in tensorflow-datasets' own folder (TFDS_DATA_DIR,
by default ~/tensorflow_datasets), and read from there ever after, as by
`tfds.data_source("aejax_mnist", split="train")`. Preparation writes to a temporary folder that is
renamed at the end: what is there is complete.
"""

import contextlib
import functools
import http.client
import io
import itertools
import math
import os
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from aejax import _checks
from aejax._messages import logger
from aejax.data.dataset import Dataset
from aejax.data.lazy import LazyImages
from aejax.data.spec import DatasetSpec, Example

__all__ = ["load_recipe", "make_builder"]

Labels = Int[np.ndarray, " n"] | None

# Records a read: enough to keep array_record's threads busy, little enough to hold twice.
_CHUNK = 2048
# Images a file, in bytes: tensorflow-datasets holds the examples of one file in memory.
_SHARD_BYTES = 128 << 20


def load_recipe(
  recipe: DatasetSpec, *, data_dir: str | os.PathLike[str] | None = None, in_memory: bool = True
) -> Dataset:
  """Loads a named data set, preparing it if this was never done.

  Its files are looked for in `data_dir`, in tensorflow-datasets' folder for files fetched by hand
  (`downloads/manual`), where the operating system's packages put them, and are downloaded if they
  are in none of these.

  Args:
    recipe: the data set.
    data_dir: a folder with the data set's files, or with the set as prepared before.
    in_memory: read all training images now, or each when it is asked for, then without labels.

  Raises:
    ValueError: if the files are nowhere to be had, or are not the published ones, or the prepared
      set is damaged.
  """
  root = _root()
  for folder in (root,) if data_dir is None else (Path(data_dir), root):
    # Not Path's own, which raises for names that are too long.
    if os.path.isfile(folder / recipe.stored_name / recipe.version / "dataset_info.json"):
      return _read(recipe, folder, in_memory)
  _prepare(recipe, root, data_dir)
  return _read(recipe, root, in_memory)


def make_builder(recipe: DatasetSpec, *, data_dir: str | os.PathLike[str]) -> Any:
  """The recipe as a tensorflow-datasets builder.

  Its `download_and_prepare` takes the files from `DownloadConfig.manual_dir` if they are there, and
  downloads them otherwise.

  Args:
    recipe: the data set.
    data_dir: where tensorflow-datasets keeps prepared data sets.
  """
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core import dataset_builder, units
  from tensorflow_datasets.core.download import checksums

  published = {
    file.url: checksums.UrlInfo(units.Size(file.size), file.sha256, file.filename)
    for file in recipe.downloads
  }

  # Not the usual GeneratorBasedBuilder: it shuffles, and beyond a gigabyte (CelebA) writes buckets
  # to disk with TensorFlow. Unregistered: these names are not asked for through `tfds.load`.
  class Builder(dataset_builder.ShardBasedBuilder, skip_registration=True):
    name = recipe.stored_name
    VERSION = tfds.core.Version(recipe.version)
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put into one folder: {recipe.wanted}."
    url_infos = published

    def _info(self):
      # Bytes as they are: as `Image`, every record would be a PNG, to be decoded at every read.
      features: dict[str, Any] = {
        "image": tfds.features.Tensor(
          shape=recipe.image_shape, dtype=np.uint8, encoding=tfds.features.Encoding.BYTES
        )
      }
      if recipe.labels:
        features["label"] = tfds.features.ClassLabel(names=list(recipe.labels))
      return tfds.core.DatasetInfo(
        builder=self,
        description=recipe.description,
        homepage=recipe.homepage,
        features=tfds.features.FeaturesDict(features),
        # In the published order, index i is everybody's image i.
        disable_shuffling=True,
      )

    def _shard_iterators_per_split(self, dl_manager):
      files = None
      with contextlib.suppress(AssertionError):  # There is no such folder, or nothing in it.
        files = recipe.find(Path(dl_manager.manual_dir))
      if files is None:
        if not recipe.downloads:
          raise ValueError(f"{recipe.name} has to be fetched by hand: {recipe.wanted}")
        paths = dl_manager.download({file.filename: file.url for file in recipe.downloads})
        files = {name: Path(path) for name, path in paths.items()}
      return {
        split: _shards(recipe, split, examples) for split, examples in recipe.read(files).items()
      }

  return Builder(data_dir=os.fspath(data_dir), file_format="array_record")


def _shards(
  recipe: DatasetSpec, split: str, examples: Iterable[Example]
) -> list[Callable[[], Any]]:
  """One function a file, each of which returns the next of the split's records."""
  per_shard = max(1, _SHARD_BYTES // math.prod(recipe.image_shape))
  records = (
    (index, {"image": image} | ({} if label is None else {"label": label}))
    for index, (image, label) in enumerate(examples)
  )
  num_shards = math.ceil(recipe.sizes[split] / per_shard)
  return [functools.partial(itertools.islice, records, per_shard)] * num_shards


def _root() -> Path:
  """The folder of prepared data sets, asked anew each time: tfds reads it once, when imported."""
  root = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
  if "://" in root:
    raise ValueError(f"TFDS_DATA_DIR must be a local folder, got {root}")
  return _checks.path("TFDS_DATA_DIR", root)


def _prepare(recipe: DatasetSpec, root: Path, data_dir: str | os.PathLike[str] | None) -> None:
  final = root / recipe.stored_name / recipe.version
  if os.path.exists(final) and not os.path.isfile(final / "dataset_info.json"):
    raise ValueError(f"{final} is no prepared data set: remove this folder, and it is made anew")
  manual = root / "downloads" / "manual"
  folders = [Path(data_dir)] if data_dir is not None else []
  folders += [manual, *map(Path, recipe.folders)]
  source = None
  with contextlib.suppress(OSError):  # of names that are too long
    source = next((folder for folder in folders if recipe.find(folder)), None)
  if source is None:
    _check_downloadable(recipe, folders)

  import tensorflow_datasets as tfds
  from tensorflow_datasets.core.download import download_manager

  logger.info("Preparing %s (once)…", recipe.name)
  try:
    with _quiet():
      make_builder(recipe, data_dir=root).download_and_prepare(
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
    # Another process that prepared the same set may have been first.
    if not (final / "dataset_info.json").is_file():
      reason = " ".join(str(error).split())
      raise ValueError(
        f"{recipe.name} cannot be prepared in {root} (TFDS_DATA_DIR): {reason}"
      ) from error


def _check_downloadable(recipe: DatasetSpec, folders: list[Path]) -> None:
  """Fails at once where tensorflow-datasets would try ten times, for minutes."""
  reason = "and have to be fetched by hand"
  if recipe.downloads:
    try:
      for file in recipe.downloads:
        urllib.request.urlopen(file.url, timeout=20).close()
      return
    except (OSError, http.client.HTTPException) as error:
      reason = f"and cannot be downloaded ({error})"
  raise ValueError(
    f"the files of {recipe.name} are not in {', '.join(map(str, folders))} {reason}: put "
    f"{recipe.wanted} into a folder and name it with data_dir (--data-dir)"
  )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Silences tensorflow-datasets' progress bars and the sentences that it prints."""
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core.utils import tqdm_utils

  active = tqdm_utils._active
  tfds.display_progress_bar(False)
  try:
    with contextlib.redirect_stdout(io.StringIO()):
      yield
  finally:
    tfds.display_progress_bar(active)


def _read(recipe: DatasetSpec, root: Path, in_memory: bool) -> Dataset:
  folder = root / recipe.stored_name / recipe.version
  with _damage_named(folder):
    builder = make_builder(recipe, data_dir=root)
    sources = {split: builder.as_data_source(split=split) for split in ("train", "test")}
    for split, source in sources.items():
      if len(source) != recipe.sizes[split]:
        raise ValueError(f"{len(source)} {split} images, not {recipe.sizes[split]}")

  def read(split: str, rows: range) -> tuple[UInt8[np.ndarray, "n h w c"], Labels]:
    with _damage_named(folder):
      return _read_rows(recipe, sources[split], rows)

  test, test_labels = read("test", range(recipe.sizes["test"]))
  n = recipe.sizes["train"]
  if in_memory:
    train, train_labels = read("train", range(n))
  else:
    train, train_labels = (
      LazyImages((n, *recipe.image_shape), lambda r: read("train", r)[0]),
      None,
    )
  return Dataset(recipe.name, train, test, train_labels, test_labels)


@contextlib.contextmanager
def _damage_named(folder: Path) -> Iterator[None]:
  try:
    yield
  # Damaged files surface as nearly any exception of array_record, protobuf and NumPy.
  except Exception as error:
    raise ValueError(
      f"the prepared data set {folder} is damaged ({_checks.short_message(error)}): "
      "remove this folder, and it is made anew"
    ) from error


def _read_rows(
  recipe: DatasetSpec, source: Any, rows: range
) -> tuple[UInt8[np.ndarray, "n h w c"], Labels]:
  images = np.empty((len(rows), *recipe.image_shape), np.uint8)
  labels = np.empty(len(rows), np.int64) if recipe.labels else None
  for start in range(0, len(rows), _CHUNK):
    records = source.__getitems__(rows[start : start + _CHUNK])
    for index, record in enumerate(records, start):
      images[index] = record["image"]
      if labels is not None:
        labels[index] = record["label"]
  return images, labels
