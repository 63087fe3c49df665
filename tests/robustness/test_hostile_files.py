"""Damaged and hostile image files: each is rejected in one sentence; none runs, hangs or writes."""

import contextlib
import io
import os
import pwd
import socket
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from robustness.rejection import assert_rejected

from aejax import AejaxWarning, data
from aejax._command_line import compilation_cache
from aejax.data import cifar10, idx, images

BYTES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), np.uint8)
FORMATS = ("png", "jpg", "webp", "bmp", "gif")


@pytest.fixture(autouse=True)
def prepared(tmp_path, monkeypatch, without_beartype):
  """Keeps prepared data sets in the folder of the test."""
  monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))


# Folders of images


def _folder(tmp_path, name="folder"):
  folder = tmp_path / name
  folder.mkdir()
  for k in range(3):
    Image.fromarray(BYTES[k, ..., 0]).save(folder / f"good{k}.png")
  return folder


def _png(width, height, content=b""):
  def chunk(kind, body):
    checksum = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + checksum

  header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
  return (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", header)
    + chunk(b"IDAT", zlib.compress(content))
    + chunk(b"IEND", b"")
  )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [12_000, 60_000, 2**31 - 1])
def test_load_folder_rejects_decompression_bombs(side, tmp_path):
  folder = _folder(tmp_path)
  (folder / "bomb.png").write_bytes(_png(side, side))
  assert_rejected(folder, "bomb.png cannot be read as an image")
  (folder / "bomb.png").unlink()
  side = min(side, 65535)
  header = b"GIF89a" + struct.pack("<HHBBB", side, side, 0, 0, 0)
  (folder / "bomb.gif").write_bytes(header + b"," + struct.pack("<HHHHB", 0, 0, side, side, 0))
  assert_rejected(folder, "bomb.gif cannot be read as an image")


def test_load_folder_survives_a_text_bomb(tmp_path):
  folder = _folder(tmp_path)
  plain = _png(8, 8, bytes(72))
  body = b"comment\0\0" + zlib.compress(bytes(200_000_000), 9)
  chunk = (
    struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
  )
  (folder / "text.png").write_bytes(plain[:33] + chunk + plain[33:])
  # Some versions of Pillow skip the text.
  with contextlib.suppress(ValueError):
    assert len(data.load(folder).train) == 3


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("kept", [0, 1, 10, 30, 0.5, 0.9])
def test_load_folder_rejects_truncated_images(suffix, kept, tmp_path):
  folder = _folder(tmp_path)
  path = folder / f"cut.{suffix}"
  pixels = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
  Image.fromarray(pixels).save(path)
  content = path.read_bytes()
  path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
  assert_rejected(folder, f"cut.{suffix} cannot be read as an image")


NOT_IMAGES = {
  "text": b"no image at all",
  "zeros": bytes(1000),
  "html": b"<html><img src=x></html>",
  "elf": b"\x7fELF" + bytes(100),
  "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(x) run\n%%EOF\n",
  "tiff": b"II*\0" + bytes(100),
  "npy": b"\x93NUMPY\x01\0v\0{}",
}


@pytest.mark.parametrize("name", NOT_IMAGES)
def test_load_folder_rejects_other_content(name, tmp_path):
  folder = _folder(tmp_path)
  for suffix in FORMATS:
    (folder / f"bad.{suffix}").write_bytes(NOT_IMAGES[name])
    assert_rejected(folder, f"bad.{suffix} cannot be read as an image")
    (folder / f"bad.{suffix}").unlink()


def test_read_header_does_not_recognise_postscript(tmp_path):
  # Pillow would run it in Ghostscript.
  (tmp_path / "x.png").write_bytes(NOT_IMAGES["postscript"])
  with Image.open(tmp_path / "x.png") as image:
    assert image.format == "EPS"
  with pytest.raises(ValueError, match="cannot identify image file"):
    images.read_header(tmp_path / "x.png", name="x.png")


def test_load_folder_skips_irregular_files(tmp_path):
  folder = _folder(tmp_path)
  elsewhere = _folder(tmp_path, "elsewhere")
  os.mkfifo(folder / "pipe.png")  # opening it would block for ever
  (folder / "device.png").symlink_to("/dev/zero")
  (folder / "link.png").symlink_to(elsewhere / "good0.png")
  (folder / "dangling.png").symlink_to("nowhere.png")
  (folder / "loop.png").symlink_to("loop.png")
  (folder / "out").symlink_to(elsewhere)
  (folder / "up").symlink_to(folder)
  (folder / "named.png").mkdir()
  connection = socket.socket(socket.AF_UNIX)
  previous = Path.cwd()
  os.chdir(folder)  # the path of a socket must be short
  try:
    connection.bind("socket.png")
  finally:
    os.chdir(previous)
    connection.close()
  with pytest.warns(AejaxWarning, match="passes over: 8 symbolic links or pipes"):
    assert len(data.load(folder).train) + 1 == 3
  only_pipe = tmp_path / "only-pipe"
  only_pipe.mkdir()
  os.mkfifo(only_pipe / "pipe.png")
  assert_rejected(only_pipe, "no images in .* .1 symbolic links or pipes skipped.")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make device files")
def test_load_folder_skips_devices(tmp_path):
  folder = _folder(tmp_path)
  try:
    os.mknod(folder / "zero.png", 0o600 | stat.S_IFCHR, os.makedev(1, 5))
  except PermissionError:
    pytest.skip("root cannot make device files here")
  with pytest.warns(AejaxWarning, match="passes over: 1 symbolic links or pipes"):
    assert len(data.load(folder).train) + 1 == 3


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_load_rejects_pipes_and_devices(suffix, tmp_path):
  os.mkfifo(tmp_path / f"pipe{suffix}")
  assert_rejected(tmp_path / f"pipe{suffix}", "is neither a folder of images nor")
  (tmp_path / f"zero{suffix}").symlink_to("/dev/zero")
  assert_rejected(tmp_path / f"zero{suffix}", "is neither a folder of images nor")
  (tmp_path / f"loop{suffix}").symlink_to(f"loop{suffix}")
  assert_rejected(tmp_path / f"loop{suffix}", "no file or folder")


@pytest.mark.parametrize("inside", [".", "below"])
@pytest.mark.parametrize(("real", "link"), [("train", "test"), ("test", "train")])
def test_load_folder_rejects_halves_that_share_a_folder(real, link, inside, tmp_path):
  folder = _folder(tmp_path)
  (folder / real / inside).mkdir(parents=True)
  Image.fromarray(BYTES[0, ..., 0]).save(folder / real / inside / "a.png")
  (folder / link).symlink_to(Path(real, inside))
  assert_rejected(folder, "must be two folders, but share one")


NAMES = [
  "ün ïcödé 画像",
  "a\nb",
  "x" * 250,
  " ",
  "-rf",
  "%s{}",
  "a\x1b[31mred",
  "bad-\udcff",
  "a.b.c",
]


@pytest.mark.parametrize("name", NAMES)
def test_load_accepts_unusual_names(name, tmp_path):
  folder = _folder(tmp_path, name)
  assert len(data.load(folder).train) == 2
  image = folder / f"{name}.png"
  image.write_bytes(b"no image")
  assert_rejected(folder, "cannot be read as an image")
  array = folder / f"{name}.npy"
  array.touch()
  assert_rejected(array, "cannot be read as a NumPy file")
  assert_rejected(folder / name / "nowhere.npy", "no file or folder")


# Named data sets


def test_idx_rejects_headers_that_declare_too_much(tmp_path):
  for name in (name for names in idx._FILES.values() for name in names):
    (tmp_path / name.removesuffix(".gz")).write_bytes(
      struct.pack(">IIII", 0x803, 2**32 - 1, 2**32 - 1, 2**32 - 1) + bytes(100)
    )
  message = assert_rejected("mnist", "cannot be prepared|must hold", data_dir=tmp_path)
  assert "declares [4294967295, 4294967295, 4294967295]" in message


def _tar(path, members):
  with tarfile.open(path, "w:gz") as archive:
    for member, content in members:
      member.size = len(content)
      archive.addfile(member, io.BytesIO(content))


def test_cifar10_ignores_links_and_paths_in_an_archive(tmp_path):
  names = [name for batches in cifar10.CIFAR10.batches.values() for name in batches]
  outside = tmp_path / "outside"
  members = []
  for k, name in enumerate(names):
    member = tarfile.TarInfo(name if k else f"../../{outside.name}/{name}")
    if k == 1:
      member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    if k == 2:
      member.type, member.linkname = tarfile.LNKTYPE, "../../etc/passwd"
    if k == 3:
      member.name = f"{tmp_path}/absolute/{name}"
    members.append((member, b"" if k in (1, 2) else b"x"))
  archive = tmp_path / "cifar-10-binary.tar.gz"
  _tar(archive, members)
  assert_rejected("cifar10", f"does not hold {names[1]}, {names[2]}", data_dir=tmp_path)
  before = {"cifar-10-binary.tar.gz", "prepared"}
  assert {path.name for path in tmp_path.iterdir()} <= before
  archive.write_bytes(archive.read_bytes()[:50])
  assert_rejected("cifar10", "is truncated or damaged", data_dir=tmp_path)


def test_celeb_a_rejects_another_archive(tmp_path):
  with zipfile.ZipFile(tmp_path / "img_align_celeba.zip", "w") as archive:
    archive.writestr("../../000001.jpg", b"x")
    archive.writestr("/000002.jpg", b"x")
  assert_rejected("celeb_a", "is not the published archive", data_dir=tmp_path)
  assert {path.name for path in tmp_path.iterdir()} <= {"img_align_celeba.zip", "prepared"}


@pytest.mark.parametrize("where", ["{file}/below", "{file}", "/proc/nowhere", "{long}"])
def test_load_rejects_an_unusable_tfds_data_dir(where, tmp_path, monkeypatch):
  (tmp_path / "file").touch()
  where = where.format(file=tmp_path / "file", long=tmp_path / ("x" * 300))
  monkeypatch.setenv("TFDS_DATA_DIR", where)
  assert_rejected("celeb_a", "celeb_a|TFDS_DATA_DIR")


# A user without a home folder


@pytest.fixture
def homeless(tmp_path, monkeypatch):
  """A user without a name or a home folder, as in a container that runs under a bare user id."""

  def unknown(*_):
    raise KeyError("no entry")

  for name in ("getpwuid", "getpwnam"):
    monkeypatch.setattr(pwd, name, unknown)
  for name in ("HOME", "TFDS_DATA_DIR", "XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"):
    monkeypatch.delenv(name, raising=False)
  monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("homeless")
def test_load_without_a_home_folder(tmp_path):
  before = jax.config.jax_compilation_cache_dir
  compilation_cache()
  assert jax.config.jax_compilation_cache_dir == before
  sentence = "TFDS_DATA_DIR is '~/tensorflow_datasets', but there is no such home."
  assert assert_rejected("mnist") == sentence
  assert assert_rejected("~/mine.npz") == "name is '~/mine.npz', but there is no such home."
  assert len(data.load("digits").train) == 1438
  assert list(tmp_path.iterdir()) == []  # no folder is called "~"


@pytest.mark.parametrize("cache", ["{file}", "{file}/below", "relative", "/proc/nowhere", "{long}"])
def test_compilation_cache_ignores_an_unusable_folder(cache, tmp_path, monkeypatch):
  (tmp_path / "file").touch()
  monkeypatch.chdir(tmp_path)
  monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
  cache = cache.format(file=tmp_path / "file", long=tmp_path / ("x" * 300))
  monkeypatch.setenv("XDG_CACHE_HOME", cache)
  before = jax.config.jax_compilation_cache_dir
  compilation_cache()
  assert jax.config.jax_compilation_cache_dir == before
  assert [path.name for path in tmp_path.iterdir()] == ["file"]
