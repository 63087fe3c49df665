"""Files of torch, damaged and hostile ones: read, or rejected with one sentence, never executed."""

import contextlib
import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch_files
from hypothesis import given, settings
from hypothesis import strategies as st

from aejax.metrics._torch_weights import read_tensors

STATE = {
  "weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
  "double": np.linspace(0, 1, 5),
  "steps": np.array(7),
  "none": np.zeros((0, 3), np.float32),
}
FORMS = (torch_files.zipped, torch_files.legacy)
VALUES = STATE["weight"]


def assert_rejected(content, reason):
  with pytest.raises(ValueError, match=reason) as error:
    read_tensors(content)
  assert str(error.value).startswith("The file holds no tensors: ")
  assert "\n" not in str(error.value)
  assert len(str(error.value)) < 300


def read_or_reject(content):
  """The tensors, or none if they are rejected with one sentence."""
  with contextlib.suppress(ValueError):
    return read_tensors(content)
  assert_rejected(content, "holds no tensors")
  return {}


def one(values=VALUES, form=torch_files.zipped, **wrong):
  """A file with one tensor and wrong properties."""
  return form(torch_files.pickled({"x": torch_files.tensor("0", values, **wrong)}), {"0": values})


@pytest.mark.parametrize("form", FORMS)
def test_read_tensors_reads_both_formats(form):
  found = read_tensors(torch_files.file_of(STATE, form))
  assert list(found) == list(STATE)
  for name, values in STATE.items():
    assert found[name].dtype == values.dtype
    np.testing.assert_array_equal(found[name], values, strict=True)
    assert found[name].flags.writeable
    assert found[name].flags.owndata


@pytest.mark.parametrize("newer", [True, False])
def test_read_tensors_reads_files_of_torch(newer):
  torch = pytest.importorskip("torch")
  state = {name: torch.tensor(values) for name, values in STATE.items()}
  state["turned"] = state["weight"].permute(2, 0, 1)
  state["part"] = state["weight"][1, 1:]
  state["half"] = state["double"].half()
  state["parameter"] = torch.nn.Parameter(state["double"])
  layer = torch.nn.BatchNorm1d(3)
  state |= layer.state_dict()
  stream = io.BytesIO()
  torch.save(state, stream, _use_new_zipfile_serialization=newer)
  found = read_tensors(stream.getvalue())
  assert list(found) == list(state)
  for name, values in state.items():
    np.testing.assert_array_equal(found[name], values.detach().numpy(), strict=True)
  stream = io.BytesIO()
  torch.save(layer.state_dict(), stream, _use_new_zipfile_serialization=newer)
  assert list(read_tensors(stream.getvalue())) == list(layer.state_dict())


class Command:
  """An object whose pickle runs a command when it is loaded."""

  def __init__(self, command):
    self.command = command

  def __reduce__(self):
    return os.system, (self.command,)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_read_tensors_does_not_run_a_hostile_pickle(form, protocol, tmp_path):
  proof = tmp_path / "ran"
  hostile = pickle.dumps({"x": Command(f"touch {proof}")}, protocol)
  assert_rejected(form(hostile, {}), "it asks for|it has the instruction")
  assert not proof.exists()
  pickle.loads(hostile)
  assert proof.exists()  # the pickle is hostile indeed


@pytest.mark.parametrize(
  ("pickle_bytes", "instruction"),
  [
    (pickle.dumps({"x": bytearray(b"x")}, 5), "FRAME"),
    (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "NEWOBJ"),
    (b"\x80\x02(icollections\nOrderedDict\n.", "INST"),
    (b"\x80\x02(ccollections\nOrderedDict\no.", "OBJ"),
    (b"\x80\x02\x82\x01.", "EXT1"),
    (b"\x80\x02I1\n.", "INT"),
  ],
)
def test_read_tensors_rejects_other_instructions(pickle_bytes, instruction):
  assert_rejected(torch_files.zipped(pickle_bytes, {}), f"it has the instruction ({instruction}),")


@pytest.mark.parametrize(
  "name",
  [
    "builtins eval",
    "builtins getattr",
    "os system",
    "torch load",
    "numpy load",
    "collections OrderedDict.fromkeys",
    "torch._utils _rebuild_tensor_v2.__globals__",
  ],
)
def test_read_tensors_rejects_other_names(name):
  module, attribute = name.split()
  asked = f"c{module}\n{attribute}\n(Vx\ntR.".encode()
  assert_rejected(torch_files.zipped(b"\x80\x02" + asked, {}), "it asks for|it has the instruction")
  asked = f"c{module}\n{attribute}\n(".encode() + torch_files.text("1 + 1") + b"tR."
  assert_rejected(torch_files.zipped(b"\x80\x02" + asked, {}), "it asks for '")


def test_read_tensors_allows_no_misuse_of_known_names():
  """Known names are called with, and changed by, objects that torch never writes."""
  for name in ("collections OrderedDict", "torch._utils _rebuild_parameter", "torch FloatStorage"):
    looked_up = f"c{name}\n".replace(" ", "\n").encode()
    for more in (b".", b")R.", b"}b.", b"(J\x01\0\0\0tR.", b"}(" + torch_files.text("f") + b"Nub."):
      found = read_or_reject(torch_files.zipped(b"\x80\x02" + looked_up + more, {}))
      assert not found


HUGE = 2**31 - 1


@pytest.mark.parametrize(
  ("wrong", "reason"),
  [
    (dict(shape=(2, 3, 5)), "'x' reaches beyond its 24 numbers"),
    (dict(offset=1), "'x' reaches beyond its 24 numbers"),
    (dict(offset=-1), "its offset, sizes and strides must be a whole number from 0 up"),
    (dict(shape=(-1, 2), strides=(1, 1)), "must be a whole number from 0 up"),
    (dict(shape=(2, 3), strides=(-1, 1)), "must be a whole number from 0 up"),
    (dict(shape=(HUGE, HUGE), strides=(0, 0)), "'x' reaches beyond its 24 numbers"),
    (dict(shape=(HUGE,) * 64, strides=(0,) * 64), "'x' reaches beyond its 24 numbers"),
    (dict(shape=(2,), strides=(HUGE,)), "'x' reaches beyond its 24 numbers"),
    (dict(shape=(2, 3), strides=(1,)), "'x' is not a tensor"),
    (dict(size=23), "'x' has 24 of its 23 numbers"),
    (dict(size=HUGE), f"'x' has 24 of its {HUGE} numbers"),
    (dict(size=-1), "a storage's size must be a whole number from 0 up"),
    (dict(view=torch_files.text("other")), "storages that are parts of others"),
  ],
)
def test_read_tensors_rejects_wrong_sizes(wrong, reason):
  assert_rejected(one(**wrong), reason)


def test_read_tensors_rejects_other_contents():
  zipped = torch_files.zipped
  assert_rejected(zipped(b"\x80\x02N.", {}), "it holds None and not a state dict")
  assert_rejected(zipped(b"\x80\x02](J\1\0\0\0e.", {}), "it holds a list and not a state dict")
  assert_rejected(
    zipped(torch_files.pickled({"x": b"J\1\0\0\0"}), {}), "'x' is an int and not a tensor"
  )
  assert_rejected(
    zipped(b"\x80\x02}J\1\0\0\0" + torch_files.tensor("0", VALUES) + b"s.", {}), "1 is a"
  )
  assert_rejected(zipped(torch_files.pickled({"x": torch_files.tensor("1", VALUES)}), {}), "data/1")
  with zipfile.ZipFile(stream := io.BytesIO(), "w") as archive:
    archive.writestr("notes.txt", "no tensors")
  assert_rejected(stream.getvalue(), "the archive must have one data.pkl")
  for content in (b"", b"PK", b"PK\3\4 not really", b"\x80\x02N.", b"<html>", bytes(1000)):
    assert_rejected(content, "holds no tensors")


def test_read_tensors_rejects_big_endian_numbers():
  assert read_tensors(one_with_order(b"little"))["x"].shape == VALUES.shape
  assert_rejected(one_with_order(b"big"), "big-endian")
  items = {"x": torch_files.tensor("0", VALUES, view=b"N")}
  pickled = torch_files.pickled(items)
  assert_rejected(torch_files.legacy(pickled, {"0": VALUES}, little_endian=False), "big-endian")


def one_with_order(order):
  pickled = torch_files.pickled({"x": torch_files.tensor("0", VALUES)})
  return torch_files.zipped(pickled, {"0": VALUES}, byteorder=order)


def test_read_tensors_rejects_bombs():
  """Small files that would need much memory."""
  zeros = np.zeros(10**6, np.float32)
  pickled = torch_files.pickled({"x": torch_files.tensor("0", zeros)})
  packed = torch_files.zipped(pickled, {"0": zeros}, compression=zipfile.ZIP_DEFLATED)
  assert_rejected(packed, "is compressed, which torch never does")
  memo = b"\x80\x02}r" + struct.pack("<I", 2**32 - 1) + b"."
  assert_rejected(torch_files.zipped(memo, {}), "it numbers more objects than it has bytes")
  long = b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x."
  assert_rejected(torch_files.zipped(long, {}), "holds no tensors")
  assert_rejected(
    torch_files.zipped(b"\x80\x02" + b"(" * 10**5 + b"t" * 10**5 + b".", {}), "not a state dict"
  )


@pytest.mark.parametrize("form", FORMS)
def test_read_tensors_rejects_truncated_files(form):
  content = torch_files.file_of(STATE, form)
  # The older format ends with the count of an empty tensor, which may be missing.
  for kept in range(0, len(content) - 8, 7):
    assert_rejected(content[:kept], "holds no tensors")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_read_tensors_bounds_memory_for_damaged_files(data):
  """A file with changed bytes is rejected, or gives no more numbers than it has."""
  content = bytearray(torch_files.file_of(STATE, data.draw(st.sampled_from(FORMS))))
  for _ in range(data.draw(st.integers(1, 3))):
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
  found = read_or_reject(bytes(content))
  assert all(values.nbytes <= len(content) for values in found.values())
