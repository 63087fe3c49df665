"""Data pipelines of users, compared with the same examples as arrays."""

import numpy as np
import pytest

from aejax import AejaxWarning, data
from aejax.data import LazyImages, read_once, sources

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (30, 4, 3, 1), np.uint8)
LABELS = np.arange(30) % 3


@pytest.fixture(scope="module")
def expected():
  return data.from_arrays(IMAGES, train_labels=LABELS)


def assert_equal(found, expected, *, labelled=True):
  np.testing.assert_array_equal(np.asarray(found.train), expected.train)
  np.testing.assert_array_equal(found.test, expected.test)
  if labelled:
    np.testing.assert_array_equal(found.train_labels, expected.train_labels)
    np.testing.assert_array_equal(found.test_labels, expected.test_labels)
  else:
    assert found.train_labels is None
    assert found.test_labels is None


class Source:
  """A source with random access that counts its reads."""

  def __init__(self, items):
    self.items, self.read = items, []

  def __len__(self):
    return len(self.items)

  def __getitem__(self, index):
    self.read.append(index)
    return self.items[index]


class BatchedSource(Source):
  def __getitems__(self, rows):
    assert isinstance(rows, list)
    return [self[row] for row in rows]


PAIRS = list(zip(IMAGES, LABELS.tolist(), strict=True))
DICTS = [{"id": k, "image": x, "label": y} for k, (x, y) in enumerate(PAIRS)]


@pytest.mark.parametrize("kind", [Source, BatchedSource, list])
@pytest.mark.parametrize("items", [PAIRS, DICTS], ids=["pairs", "dicts"])
def test_random_access_is_read_when_indexed(kind, items, expected):
  source = kind(items)
  found = data.from_source(source)
  assert isinstance(found.train, LazyImages)
  assert_equal(found, expected)
  if kind is list:
    return
  source.read.clear()
  rows = np.array([5, 2, 5])
  np.testing.assert_array_equal(found.train[rows], expected.train[rows])
  chosen = data.dataset.train_test_split(30, fraction=0.1)[0][rows]
  assert source.read == chosen.tolist()


def test_labels_may_be_names_or_missing(expected):
  names = [(x, f"class {y}") for x, y in PAIRS]
  found = data.from_source(names)
  assert found.train_labels.tolist() == [f"class {y}" for y in expected.train_labels]
  assert_equal(data.from_source([{"image": x} for x in IMAGES]), expected, labelled=False)
  assert_equal(data.from_source([(x, None) for x in IMAGES]), expected, labelled=False)


def test_digest_is_that_of_the_examples():
  found = data.from_source(PAIRS).digest
  assert found.startswith("items:")
  assert data.from_source(Source(DICTS)).digest == found
  assert data.from_source(PAIRS[::-1]).digest != found
  assert data.from_source([(x.astype(np.float32) / 255, y) for x, y in PAIRS]).digest != found


def test_examples_of_every_dtype_and_kind():
  rows = RNG.normal(size=(12, 5)) * 7
  assert_equal(data.from_source(Source(rows)), data.from_arrays(rows), labelled=False)
  signals = RNG.normal(size=(12, 6, 2))
  with pytest.warns(AejaxWarning, match=r"shape \[6, 2\] and is taken for one example"):
    found = data.from_source(Source(signals), kind=None)
  assert found.kind == "signals"
  grey = RNG.integers(0, 256, (12, 6, 5)) / 255
  found = data.from_source(Source(grey), kind="images")
  assert_equal(found, data.from_arrays(grey), labelled=False)
  assert found.train.dtype == np.uint8  # multiples of 1/255


def generator():
  yield from IMAGES


ITERABLES = {
  "generator function": (lambda: generator, {}),
  "generator": (lambda: generator(), {}),
  "batches": (lambda: iter(np.split(IMAGES, 6)), {"kind": "images"}),
  "uneven batches": (lambda: iter((IMAGES[:13], IMAGES[13:])), {"kind": "images"}),
  "random access to batches": (lambda: Source(np.split(IMAGES, 6)), {"kind": "images"}),
  "labelled": (lambda: iter(PAIRS), {}),
  "labelled batches": (
    lambda: ([x, y] for x, y in zip(np.split(IMAGES, 6), np.split(LABELS, 6), strict=True)),
    {},
  ),
  "batches of dicts": (lambda: iter([{"image": IMAGES, "label": LABELS}]), {}),
}


@pytest.mark.parametrize("name", ITERABLES)
def test_iterables_are_read_once(name, expected, tmp_path):
  make, options = ITERABLES[name]
  labelled = "dicts" in name or "labelled" in name
  found = data.from_source(make(), **options)
  assert isinstance(found.train, np.ndarray)
  assert_equal(found, expected, labelled=labelled)
  kept = data.from_source(make(), folder=tmp_path / "kept", **options)
  assert isinstance(kept.train, LazyImages)
  assert_equal(kept, expected, labelled=labelled)
  assert kept.digest == found.digest == expected.digest
  again = data.from_source(generator_that_fails, folder=tmp_path / "kept", **options)
  assert_equal(again, expected, labelled=labelled)
  names = {"examples.npy", "labels.npy"} if labelled else {"examples.npy"}
  assert {path.name for path in (tmp_path / "kept").iterdir()} == names


def generator_that_fails():
  yield IMAGES[0]
  raise KeyError("lost connection")


def test_an_iterable_that_fails_leaves_no_examples(tmp_path):
  with pytest.raises(KeyError, match="lost connection"):
    data.from_source(generator_that_fails, folder=tmp_path / "kept")
  assert not [*(tmp_path / "kept").iterdir()]
  assert read_once.read_kept(tmp_path / "kept") is None


def test_loaders_may_use_the_memory_of_an_item_again(expected):
  def reuse():
    buffer = np.empty((4, 3, 1), np.uint8)
    for image in IMAGES:
      buffer[:] = image
      yield buffer

  assert_equal(data.from_source(reuse), expected, labelled=False)


def test_endless_iterables_are_refused(tmp_path, monkeypatch):
  def endless():
    while True:
      yield IMAGES[0]

  monkeypatch.setattr(read_once, "host_bytes", lambda: 12 * 200)
  with pytest.raises(ValueError, match="does not fit into memory, or does not end: more than"):
    data.from_source(endless)
  monkeypatch.setattr(read_once, "_FRACTION", 1e-8)
  with pytest.raises(ValueError, match="does not fit onto the disk, or does not end: more than"):
    data.from_source(endless, folder=tmp_path / "kept")
  assert not [*(tmp_path / "kept").iterdir()]


def test_damaged_files_are_refused(tmp_path):
  data.from_source(generator, folder=tmp_path)
  file = tmp_path / "examples.npy"
  file.write_bytes(file.read_bytes()[:150])
  with pytest.raises(ValueError, match="is damaged: "):
    data.from_source(generator, folder=tmp_path)


def test_grain(expected, caplog):
  grain = pytest.importorskip("grain")
  mapped = grain.MapDataset.source(DICTS)
  assert_equal(data.from_source(mapped), expected)
  loader = grain.DataLoader(
    data_source=DICTS,
    sampler=grain.samplers.IndexSampler(30, num_epochs=1, shuffle=False),
    operations=[grain.transforms.Batch(7)],
  )
  for iterable in (mapped.to_iter_dataset(), mapped.batch(8), loader):
    assert_equal(data.from_source(iterable), expected)
  with pytest.raises(ValueError, match="its length is endless: leave its repetition to epochs"):
    data.from_source(mapped.repeat())
  with pytest.raises(ValueError, match=r"data\[\d+\] is None: a source with random access cannot"):
    data.from_source(mapped.filter(lambda item: item["label"] == 0))
  filtered = mapped.filter(lambda item: item["label"] == 0).to_iter_dataset()
  assert len(data.from_source(filtered).train) == 9


def test_array_record(expected, tmp_path):
  array_record = pytest.importorskip("array_record.python.array_record_module")
  grain = pytest.importorskip("grain")
  path = str(tmp_path / "images.array_record")
  writer = array_record.ArrayRecordWriter(path, "group_size:1")
  for image in IMAGES:
    writer.write(image.tobytes())
  writer.close()
  source = grain.sources.ArrayRecordDataSource(path)
  decoded = grain.MapDataset.source(source).map(
    lambda record: np.frombuffer(record, np.uint8).reshape(4, 3, 1)
  )
  assert_equal(data.from_source(decoded), expected, labelled=False)
  with pytest.raises(ValueError, match=r"data\[0\] must be an array of numbers, but is a? ?bytes"):
    data.from_source(source)


def test_random_transformations_are_refused():
  class Random(Source):
    def __getitem__(self, index):
      return RNG.integers(0, 256, (4, 3, 1), np.uint8)

  with pytest.raises(ValueError, match=r"data\[0\] is another example each time it is read"):
    data.from_source(Random(PAIRS))


def test_is_source():
  assert all(map(sources.is_source, (Source(PAIRS), PAIRS, generator, generator(), iter([]))))
  others = (
    IMAGES,
    IMAGES.tolist(),
    "digits",
    {},
    3,
    None,
    [[1.0, 2.0]],
    [],
    (IMAGES, LABELS),
    list,
  )
  assert not any(map(sources.is_source, others))


@pytest.fixture
def mapped(tmp_path):
  np.save(tmp_path / "images.npy", IMAGES)
  return np.load(tmp_path / "images.npy", mmap_mode="r")


@pytest.mark.parametrize(
  "view", [lambda a: a, np.asarray, lambda a: a[:]], ids=["", "array", "view"]
)
def test_memory_mapped_arrays_stay_in_their_file(view, mapped, expected, caplog):
  found = data.from_arrays(view(mapped), train_labels=LABELS)
  assert isinstance(found.train, LazyImages)
  assert_equal(found, expected)
  assert found.digest == expected.digest
  both = data.from_arrays(view(mapped)[:27], IMAGES[27:])
  assert isinstance(both.train, LazyImages)
  np.testing.assert_array_equal(np.asarray(both.train), IMAGES[:27])
  copied = data.from_arrays(view(mapped).copy(), train_labels=LABELS)
  assert isinstance(copied.train, np.ndarray)
