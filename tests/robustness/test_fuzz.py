"""Files with random damage: their readers either succeed or raise a ValueError of one line."""

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

# Number of damaged files per kind, in the suite and in the slow test.
NUM_FAST, NUM_SLOW = 60, 3000

pytestmark = pytest.mark.usefixtures("without_beartype")

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)


@st.composite
def damaged(draw, contents):
  """Draws one of the contents and changes it: flips bits, sets, cuts, inserts or copies bytes."""
  content = bytearray(draw(st.sampled_from(contents)))
  for _ in range(draw(st.integers(1, 4))):
    kind = draw(st.sampled_from(("bit", "byte", "number", "cut", "drop", "splice", "insert")))
    index = draw(st.integers(0, max(len(content) - 1, 0)))
    if kind == "bit" and content:
      content[index] ^= 1 << draw(st.integers(0, 7))
    elif kind == "byte" and content:
      content[index] = draw(st.integers(0, 255))
    elif kind == "number":  # extreme values where a file stores a length or an offset
      extremes = (b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\1\0")
      content[index : index + 4] = draw(st.sampled_from(extremes))
    elif kind == "cut":
      del content[index:]
    elif kind == "drop":
      del content[index : index + draw(st.integers(1, 64))]
    elif kind == "splice":
      other = draw(st.integers(0, max(len(content) - 1, 0)))
      content[index:index] = content[other : other + draw(st.integers(1, 64))]
    else:
      content[index:index] = draw(st.binary(min_size=1, max_size=16))
  return bytes(content)


def _npy(array):
  file = io.BytesIO()
  np.save(file, array)
  return file.getvalue()


def _npz(save=np.savez, **several):
  file = io.BytesIO()
  save(file, **several)
  return file.getvalue()


def _image(kind, mode="RGB", side=24):
  file = io.BytesIO()
  pixels = np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8)
  Image.fromarray(pixels).convert(mode).save(file, kind)
  return file.getvalue()


def _small_idx():
  payloads = {}
  for (images, labels), n in zip(idx._FILES.values(), (7, 3), strict=True):
    payloads[images] = struct.pack(">IIII", 0x803, n, 28, 28) + bytes(n * 784)
    payloads[labels] = struct.pack(">II", 0x801, n) + bytes(n)
  # Accept any checksum, so that damage reaches the reader.
  spec = dataclasses.replace(
    idx.MNIST, sizes={"train": 7, "test": 3}, payload_sha256=_AnyKey(), downloads=()
  )
  return spec, payloads


class _AnyKey(dict):
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
  spec = dataclasses.replace(cifar10.CIFAR10, sizes={"train": 3, "test": 3}, batches=batches)
  contents = []
  for mode in ("w:gz", "w"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
      for name in ("folder/a.bin", "folder/b.bin"):
        member = tarfile.TarInfo(name)
        member.size = 3 * 3073
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    contents.append(file.getvalue())
  return spec, contents


def _small_celeb_a():
  face = io.BytesIO()
  Image.new("RGB", (178, 218), "grey").save(face, "JPEG", quality=20)
  file = io.BytesIO()
  with zipfile.ZipFile(file, "w") as archive:
    for number in range(1, 5):
      archive.writestr(f"img_align_celeba/{number:06d}.jpg", face.getvalue())
  spec = dataclasses.replace(
    celeb_a.CELEB_A, sizes={"train": 2, "test": 2}, num_images=4, sha256=_Anything()
  )
  return spec, file.getvalue(), face.getvalue()


def _read_all(examples):
  for split in examples.values():
    for image, _ in split:
      np.asarray(image)


# Readers: each writes one damaged file into a folder and reads it.


def _read_npy(path, content):
  (path / "x.npy").write_bytes(content)
  np.asarray(arrays.load_numpy(path / "x.npy").train)
  np.asarray(arrays.load_numpy(path / "x.npy", in_memory=False).train)


def _read_npz(path, content):
  (path / "x.npz").write_bytes(content)
  arrays.load_numpy(path / "x.npz")


def _read_images(path, content, *, kind):
  images = path / "images"
  images.mkdir(exist_ok=True)
  for number in range(2):
    (images / f"{number}.png").write_bytes(_image("PNG"))
  (images / f"2.{kind}").write_bytes(content)
  folder.load_folder(images, image_size=16)


def _read_idx(path, content):
  spec, payloads = _small_idx()
  for name, payload in payloads.items():
    (path / name).write_bytes(gzip.compress(payload))
  (path / next(iter(payloads))).write_bytes(content)
  _read_all(spec.read(spec.find(path)))


def _read_cifar(path, content):
  (path / "cifar-10-binary.tar.gz").write_bytes(content)
  spec, _ = _small_cifar()
  _read_all(spec.read(spec.find(path)))


def _read_celeb_a(path, content):
  (path / "img_align_celeba.zip").write_bytes(content)
  spec, *_ = _small_celeb_a()
  _read_all(spec.read(spec.find(path)))


def _read_face(path, content):
  faces = path / "img_align_celeba"
  faces.mkdir(exist_ok=True)
  spec, _, face = _small_celeb_a()
  for number in range(2, 5):
    (faces / f"{number:06d}.jpg").write_bytes(face)
  (faces / "000001.jpg").write_bytes(content)
  _read_all(spec.read(spec.find(path)))


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
SUMMARY = {"method": "cwae", "dataset": "digits", "test_images": 3, "normal_latents": {"mmd": 0.1}}


def _configuration():
  with tempfile.TemporaryDirectory() as folder:
    write(Path(folder), CONFIGURATION)
    return (Path(folder) / "config.json").read_bytes()


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
    functools.partial(_read_images, kind="png"),
    [_image("PNG", mode) for mode in ("RGB", "L", "P", "RGBA", "1", "I;16")],
  ),
  "jpg": (
    functools.partial(_read_images, kind="jpg"),
    [_image("JPEG", mode) for mode in ("RGB", "L", "CMYK")],
  ),
  "webp": (functools.partial(_read_images, kind="webp"), [_image("WEBP")]),
  "gif": (functools.partial(_read_images, kind="gif"), [_image("GIF", "P")]),
  "bmp": (
    functools.partial(_read_images, kind="bmp"),
    [_image("BMP", mode) for mode in ("RGB", "L", "P", "1")],
  ),
  "idx": (_read_idx, [gzip.compress(next(iter(_small_idx()[1].values())))]),
  "cifar": (_read_cifar, _small_cifar()[1]),
  "celeb_a": (_read_celeb_a, [_small_celeb_a()[1]]),
  "face": (_read_face, [_small_celeb_a()[2]]),
  "config": (_read_configuration, [_configuration()]),
  "summary": (_read_summary, [json.dumps(SUMMARY).encode()]),
  "classifier": (_read_classifier, [_classifier()]),
}


def _check_survives(kind, content, path):
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Pillow and NumPy warn about some files that they read
    try:
      FILES[kind][0](path, content)
      return
    except ValueError as error:
      rejection = error
  # A subclass, such as UnicodeDecodeError, would come from a library.
  assert type(rejection) is ValueError, repr(rejection)
  assert "\n" not in str(rejection)
  assert len(str(rejection)) < 1000


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
    _check_survives(kind, content, folder)

  run()


@pytest.mark.parametrize("kind", FILES)
def test_readers_accept_valid_files(kind, tmp_path):
  # Otherwise the fuzzing would start from files that are rejected undamaged.
  for number, content in enumerate(FILES[kind][1]):
    path = tmp_path / str(number)
    path.mkdir()
    FILES[kind][0](path, content)


@pytest.mark.parametrize("kind", FILES)
def test_readers_survive_damaged_files(kind, tmp_path_factory):
  _fuzz(kind, tmp_path_factory, NUM_FAST)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_readers_survive_many_damaged_files(kind, tmp_path_factory):
  _fuzz(kind, tmp_path_factory, NUM_SLOW)
