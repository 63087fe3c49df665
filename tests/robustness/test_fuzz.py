"""Valid files with random damage: their readers succeed or raise a ValueError, and nothing else."""

import dataclasses
import functools
import gzip
import io
import json
import struct
import tarfile
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from flax import nnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from aejax.data import arrays, celeb_a, cifar10, folder, idx
from aejax.evaluation.report import write_report
from aejax.metrics import features
from aejax.training import Options, complete
from aejax.training.configuration import read, write

# Examples of each file's kind in the suite, and in the long run.
FEW, MANY = 60, 3000

pytestmark = pytest.mark.usefixtures("without_beartype")

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)


@st.composite
def damaged(draw, contents):
  """One of the contents with a few changes: bits turned, bytes cut, put in, or moved."""
  content = bytearray(draw(st.sampled_from(contents)))
  for _ in range(draw(st.integers(1, 4))):
    kind = draw(st.sampled_from(("bit", "byte", "number", "cut", "drop", "splice", "insert")))
    place = draw(st.integers(0, max(len(content) - 1, 0)))
    if kind == "bit" and content:
      content[place] ^= 1 << draw(st.integers(0, 7))
    elif kind == "byte" and content:
      content[place] = draw(st.integers(0, 255))
    elif kind == "number":  # where lengths and offsets are written, the worst there are
      worst = (b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\1\0")
      content[place : place + 4] = draw(st.sampled_from(worst))
    elif kind == "cut":
      del content[place:]
    elif kind == "drop":
      del content[place : place + draw(st.integers(1, 64))]
    elif kind == "splice":
      other = draw(st.integers(0, max(len(content) - 1, 0)))
      content[place:place] = content[other : other + draw(st.integers(1, 64))]
    else:
      content[place:place] = draw(st.binary(min_size=1, max_size=16))
  return bytes(content)


def _npy(array):
  file = io.BytesIO()
  np.save(file, array)
  return file.getvalue()


def _npz(save=np.savez, **several):
  file = io.BytesIO()
  save(file, **several)
  return file.getvalue()


def _picture(kind, mode="RGB", side=24):
  file = io.BytesIO()
  pixels = np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8)
  Image.fromarray(pixels).convert(mode).save(file, kind)
  return file.getvalue()


def _small_idx():
  payloads = {}
  for (images, labels), n in zip(idx._FILES.values(), (7, 3), strict=True):
    payloads[images] = struct.pack(">IIII", 0x803, n, 28, 28) + bytes(n * 784)
    payloads[labels] = struct.pack(">II", 0x801, n) + bytes(n)
  # Damage is to reach the reader, and not to end at the checksum: the checksum is that of anything.
  recipe = dataclasses.replace(
    idx.MNIST, sizes={"train": 7, "test": 3}, payloads=_Everything(), downloads=()
  )
  return recipe, payloads


class _Everything(dict):
  def __getitem__(self, key):
    return _Anything()


class _Anything(str):
  def __eq__(self, other):
    return True

  def __ne__(self, other):
    return False

  __hash__ = str.__hash__


def _small_cifar():
  batches = {"train": {"a.bin": _Anything()}, "test": {"b.bin": _Anything()}}
  recipe = dataclasses.replace(cifar10.CIFAR10, sizes={"train": 3, "test": 3}, batches=batches)
  contents = []
  for mode in ("w:gz", "w"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
      for name in ("folder/a.bin", "folder/b.bin"):
        member = tarfile.TarInfo(name)
        member.size = 3 * 3073
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    contents.append(file.getvalue())
  return recipe, contents


def _small_celeb_a():
  picture = io.BytesIO()
  Image.new("RGB", (178, 218), "grey").save(picture, "JPEG", quality=20)
  file = io.BytesIO()
  with zipfile.ZipFile(file, "w") as archive:
    for number in range(1, 5):
      archive.writestr(f"img_align_celeba/{number:06d}.jpg", picture.getvalue())
  recipe = dataclasses.replace(
    celeb_a.CELEB_A, sizes={"train": 2, "test": 2}, num_images=4, sha256=_Anything()
  )
  return recipe, file.getvalue(), picture.getvalue()


def _all_of(examples):
  for split in examples.values():
    for image, _ in split:
      np.asarray(image)


# What reads each kind of file, in a folder.


def _read_npy(path, content):
  (path / "x.npy").write_bytes(content)
  np.asarray(arrays.load_arrays(path / "x.npy").train)
  np.asarray(arrays.load_arrays(path / "x.npy", in_memory=False).train)


def _read_npz(path, content):
  (path / "x.npz").write_bytes(content)
  arrays.load_arrays(path / "x.npz")


def _read_pictures(path, content, *, kind):
  own = path / "pictures"
  own.mkdir(exist_ok=True)
  for number in range(2):
    (own / f"{number}.png").write_bytes(_picture("PNG"))
  (own / f"2.{kind}").write_bytes(content)
  folder.load_folder(own, image_size=16)


def _read_idx(path, content):
  recipe, payloads = _small_idx()
  for name, payload in payloads.items():
    (path / name).write_bytes(gzip.compress(payload))
  (path / next(iter(payloads))).write_bytes(content)
  found = recipe.find(path)
  _all_of(recipe.read(found))


def _read_cifar(path, content):
  (path / "cifar-10-binary.tar.gz").write_bytes(content)
  recipe, _ = _small_cifar()
  _all_of(recipe.read(recipe.find(path)))


def _read_celeb_a(path, content):
  (path / "img_align_celeba.zip").write_bytes(content)
  recipe, *_ = _small_celeb_a()
  _all_of(recipe.read(recipe.find(path)))


def _read_face(path, content):
  own = path / "img_align_celeba"
  own.mkdir(exist_ok=True)
  recipe, _, picture = _small_celeb_a()
  for number in range(2, 5):
    (own / f"{number:06d}.jpg").write_bytes(picture)
  (own / "000001.jpg").write_bytes(content)
  _all_of(recipe.read(recipe.find(path)))


def _read_configuration(path, content):
  (path / "config.json").write_bytes(content)
  read(path).make_objective()


def _read_summary(path, content):
  write(path, CONFIGURATION)
  (path / "summary.json").write_bytes(content)
  write_report(path / "report.html", [path])


def _read_classifier(path, content):
  (path / "x.npz").write_bytes(content)
  features.read_classifier(path / "x.npz")


CONFIGURATION = complete(
  "cwae", {}, Options(), dataset="digits", image_shape=(8, 8, 1), num_images=200
)
SETTINGS = json.dumps(dataclasses.asdict(CONFIGURATION), indent=2)
SUMMARY = {"method": "cwae", "dataset": "digits", "test_images": 3, "normal_latents": {"mmd": 0.1}}


def _classifier():
  model = features.Classifier((4, 4, 1), 2, rngs=nnx.Rngs(0))
  with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "x.npz"
    features.write_classifier(path, model, accuracy=0.5)
    return path.read_bytes()


FILES = {
  "npy": (_read_npy, [_npy(PIXELS), _npy(PIXELS[..., 0] / np.float32(255))]),
  "npz": (
    _read_npz,
    [
      _npz(images=PIXELS),
      _npz(np.savez_compressed, images=PIXELS, labels=np.arange(6)),
      _npz(train=PIXELS, test=PIXELS, train_labels=np.arange(6)),
    ],
  ),
  "png": (
    functools.partial(_read_pictures, kind="png"),
    [_picture("PNG", mode) for mode in ("RGB", "L", "P", "RGBA", "1", "I;16")],
  ),
  "jpg": (
    functools.partial(_read_pictures, kind="jpg"),
    [_picture("JPEG", mode) for mode in ("RGB", "L", "CMYK")],
  ),
  "webp": (functools.partial(_read_pictures, kind="webp"), [_picture("WEBP")]),
  "gif": (functools.partial(_read_pictures, kind="gif"), [_picture("GIF", "P")]),
  "bmp": (
    functools.partial(_read_pictures, kind="bmp"),
    [_picture("BMP", mode) for mode in ("RGB", "L", "P", "1")],
  ),
  "idx": (_read_idx, [gzip.compress(next(iter(_small_idx()[1].values())))]),
  "cifar": (_read_cifar, _small_cifar()[1]),
  "celeb_a": (_read_celeb_a, [_small_celeb_a()[1]]),
  "face": (_read_face, [_small_celeb_a()[2]]),
  "config": (_read_configuration, [SETTINGS.encode()]),
  "summary": (_read_summary, [json.dumps(SUMMARY).encode()]),
  "classifier": (_read_classifier, [_classifier()]),
}


def _survives(kind, content, path):
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Pillow and NumPy warn of what they read nevertheless
    try:
      FILES[kind][0](path, content)
      return
    except ValueError as error:
      refusal = error
  # Said by the reader itself, on one line.
  assert type(refusal) is ValueError, repr(refusal)
  assert "\n" not in str(refusal)
  assert len(str(refusal)) < 1000


def _fuzz(kind, factory, examples):
  folder = factory.mktemp(kind)

  @settings(
    max_examples=examples,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
  )
  @given(damaged(FILES[kind][1]))
  def run(content):
    _survives(kind, content, folder)

  run()


@pytest.mark.parametrize("kind", FILES)
def test_valid_files_are_read(kind, tmp_path):
  """Else the fuzzing would begin with files that are refused as they are."""
  for number, content in enumerate(FILES[kind][1]):
    path = tmp_path / str(number)
    path.mkdir()
    FILES[kind][0](path, content)


@pytest.mark.parametrize("kind", FILES)
def test_damaged_files(kind, tmp_path_factory):
  _fuzz(kind, tmp_path_factory, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_many_damaged_files(kind, tmp_path_factory):
  _fuzz(kind, tmp_path_factory, MANY)
