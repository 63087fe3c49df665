"""Damaged and hostile NumPy files: each is rejected in one sentence; none runs or writes."""

import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from robustness.rejection import assert_rejected

from aejax import data

BYTES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), np.uint8)

pytestmark = pytest.mark.usefixtures("without_beartype")


class Payload:
  """An object that creates a file when it is unpickled."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return Path.touch, (self.path,)


def test_load_does_not_run_pickles(tmp_path):
  target = tmp_path / "it-ran"
  content = pickle.dumps(Payload(target))
  pickle.loads(content)
  assert target.exists()  # unpickling does create the file
  target.unlink()
  (tmp_path / "plain.npy").write_bytes(content)
  objects = np.empty((4, 8, 8), object)
  objects[...] = 0
  objects[0, 0, 0] = Payload(target)
  np.save(tmp_path / "objects.npy", objects, allow_pickle=True)
  np.savez(tmp_path / "objects.npz", images=objects)
  with zipfile.ZipFile(tmp_path / "plain.npz", "w") as archive:
    archive.writestr("images.npy", content)
    archive.writestr("images", content)
  for name in ("plain.npy", "objects.npy", "objects.npz", "plain.npz"):
    for in_memory in (True, False):
      assert_rejected(
        tmp_path / name, "cannot be read|must have shape|must be uint8", in_memory=in_memory
      )
  assert not target.exists()


def _npy(header, content=b"", version=1):
  text = header.encode("latin-1")
  length = struct.pack("<H" if version == 1 else "<I", len(text))
  return b"\x93NUMPY" + bytes([version, 0]) + length + text + content


def _header(shape, descr="'|u1'"):
  return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"


HEADERS = {
  "terabytes": _header("(10000000000, 100, 100)"),
  "beyond-64-bits": _header("(4294967296, 4294967296, 4294967296)"),
  "huge-integer": _header(f"({'9' * 400}, 8, 8)"),
  "overflow-to-zero": _header("(9223372036854775808, 2, 8)"),
  "negative": _header("(-4, 8, 8)"),
  "negatives": _header("(-4, -8, 8)"),
  "too-many-axes": _header("(" + "1, " * 70 + ")"),
  "no-tuple": _header("[4, 8, 8]"),
  "floats": _header("(4.0, 8.0, 8.0)"),
  "booleans": _header("(True, True, True)"),
  "no-shape": "{'descr': '|u1', 'fortran_order': False}\n",
  "code": _header("(__import__('os').getpid(), 8, 8)"),
  "deep": _header("(" * 3000 + ")" * 3000),
  "deep-list": "[" * 9000,
  "no-dtype": _header("(4, 8, 8)", "'nonsense'"),
  "object": _header("(4, 8, 8)", "'|O'"),
  "structured": _header("(4, 8, 8)", "[('a', '|u1'), ('b', '<f4')]"),
  "zero-bytes": _header("(4, 8, 8)", "'|S0'"),
  "void": _header("(4, 8, 8)", "'|V0'"),
  "wide-items": _header("(4, 8, 8)", "'|V2147483647'"),
  "nothing": "",
  "null": "\0" * 64,
}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", HEADERS)
def test_load_rejects_bad_headers(name, version, tmp_path):
  content = _npy(HEADERS[name], BYTES.tobytes(), version)
  (tmp_path / "x.npy").write_bytes(content)
  with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
    archive.writestr("images.npy", content)
  sentences = []
  for file in ("x.npy", "x.npz"):
    for in_memory in (True, False):
      try:
        loaded = data.load(tmp_path / file, in_memory=in_memory)
      except ValueError as error:
        sentences.append(str(error))
      else:  # NumPy infers an axis of length −4, as it does for −1
        assert name in ("negative", "negatives")
        assert loaded.image_shape == (8, 8, 1)
  assert all(sentence.isprintable() for sentence in sentences)


@pytest.mark.parametrize("version", [0, 3, 4, 255])
def test_load_rejects_unknown_format_versions(version, tmp_path):
  (tmp_path / "x.npy").write_bytes(_npy(_header("(6, 8, 8)"), BYTES.tobytes(), version))
  if version != 3:
    assert_rejected(tmp_path / "x.npy", "x.npy cannot be read")


def test_load_rejects_hostile_archives(tmp_path):
  good = io.BytesIO()
  np.save(good, BYTES)
  # Ten kilobytes that decompress to ten megabytes, under a header that declares terabytes.
  bomb = _npy(_header("(10000000000, 100, 100)"), bytes(10_000_000))
  for name, members in {
    "bomb": {"images.npy": bomb},
    "paths": {"../../../images.npy": good.getvalue(), "/etc/images.npy": good.getvalue()},
    "no-arrays": {"readme.txt": b"nothing"},
    "empty-member": {"images.npy": b""},
    "newline": {"ima\nges.npy": b"", "train\n.npy": b"\0"},
    "not-utf8": {"im\udcffages.npy".encode("utf-8", "surrogatepass").decode("latin-1"): b"x"},
  }.items():
    with zipfile.ZipFile(tmp_path / f"{name}.npz", "w", zipfile.ZIP_DEFLATED) as archive:
      for member, content in members.items():
        archive.writestr(member, content)
    assert_rejected(tmp_path / f"{name}.npz", f"{name}.npz")
  assert sorted(path.suffix for path in tmp_path.iterdir()) == [".npz"] * 6


def test_load_never_writes_members_that_are_named_like_paths(tmp_path):
  np.savez(tmp_path / "x.npz", **{"../../images": BYTES})
  assert len(data.load(tmp_path / "x.npz").train) == 5
  assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def _patched(content, offset, value):
  return content[:offset] + value + content[offset + len(value) :]


def test_load_rejects_unreadable_members(tmp_path):
  np.savez(tmp_path / "x.npz", images=BYTES)
  content = (tmp_path / "x.npz").read_bytes()
  central = content.index(b"PK\x01\x02")
  damaged = {
    "encrypted": _patched(_patched(content, 6, b"\x01"), central + 8, b"\x01"),
    "method": _patched(_patched(content, 8, b"\x63"), central + 10, b"\x63"),
    "checksum": _patched(_patched(content, 14, b"\0\0\0\0"), central + 16, b"\0\0\0\0"),
    "offset": _patched(content, central + 42, b"\xff\xff\xff\x7f"),
    "cut": content[: central + 10],
    "half": content[: central // 2],
  }
  for name, damage in damaged.items():
    (tmp_path / f"{name}.npz").write_bytes(damage)
    assert_rejected(tmp_path / f"{name}.npz", f"{name}.npz")


def test_load_rejects_labels_beyond_63_bits(tmp_path):
  labels = np.full(6, 2**64 - 1, np.uint64)
  np.savez(tmp_path / "x.npz", images=BYTES, labels=labels)
  assert_rejected(tmp_path / "x.npz", "must be less than 2.63")
