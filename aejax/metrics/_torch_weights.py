"""Reads tensors from a file that torch wrote, without torch and without running code in it.

Such a file is a pickle, and a pickle is a program. The reader accepts only the instructions that a
state dict needs, and looks up every name in a table of its own.
"""

import io
import math
import pickle
import pickletools
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from aejax import _checks

__all__ = ["read_tensors"]

# The first two pickles of the format before torch 1.6, which is not a zip archive.
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001

_INSTRUCTIONS = (
  "PROTO STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE "
  "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS "
  "BINPUT LONG_BINPUT BINGET LONG_BINGET GLOBAL REDUCE BUILD BINPERSID"
)


class _Storage(NamedTuple):
  """A sequence of numbers: its dtype, the name it is stored under, its length."""

  dtype: str
  key: str
  size: int


class _Tensor(NamedTuple):
  """The part of a storage that is a tensor, before any check."""

  storage: Any
  offset: Any
  shape: Any
  strides: Any


class _State(dict):
  """Stand-in for `OrderedDict` (a plain dict is ordered); ignores the state that torch attaches."""

  def __setstate__(self, state: Any) -> None:
    pass


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
  return _Tensor(storage, offset, shape, strides)


def _parameter(tensor: Any, *_: Any) -> Any:
  return tensor


_NAMES: Mapping[tuple[str, str], Any] = {
  ("collections", "OrderedDict"): _State,
  ("torch._utils", "_rebuild_tensor_v2"): _tensor,
  ("torch._utils", "_rebuild_parameter"): _parameter,
  # Strings rather than classes: a hostile file can neither call nor change them.
  ("torch", "HalfStorage"): "<f2",
  ("torch", "FloatStorage"): "<f4",
  ("torch", "DoubleStorage"): "<f8",
  ("torch", "IntStorage"): "<i4",
  ("torch", "LongStorage"): "<i8",
}


class _Unpickler(pickle.Unpickler):
  """Unpickles with the names in `_NAMES` only."""

  def find_class(self, module: str, name: str) -> Any:
    if (module, name) not in _NAMES:
      raise ValueError(
        f"it asks for {_checks.short_repr(f'{module}.{name}')}, which no tensor needs."
      )
    return _NAMES[module, name]

  def persistent_load(self, pid: Any) -> _Storage:
    kind, dtype, key, _, count, *view = pid
    if kind != "storage" or dtype not in _NAMES.values() or not isinstance(key, str):
      raise ValueError("it refers to an object that is not a storage.")
    if any(part is not None for part in view):
      raise ValueError("it has storages that are parts of others, which are not supported.")
    return _Storage(dtype, key, _checks.integer("a storage's size", count, least=0))


def read_tensors(content: bytes) -> dict[str, np.ndarray]:
  """Reads the tensors of a state dict from the bytes of a file that torch.save wrote.

  Supports both formats of torch: the zip archive and the older one. Nothing in the bytes is
  executed. Sizes in the file are checked, so that memory is at most a few times the file's size.

  Args:
    content: bytes of the file.

  Returns:
    The tensors by name.

  Raises:
    ValueError: if the bytes are not a complete state dict of tensors.
  """
  try:
    read = _from_zip if content[:2] == b"PK" else _from_legacy
    state, numbers = read(content)
    if not isinstance(state, dict):
      raise ValueError(f"it holds {_checks.type_name(state)} and not a state dict.")
    return {name: _array(name, tensor, numbers) for name, tensor in state.items()}
  # The unpickler and zipfile raise nearly every built-in exception on damaged bytes.
  except Exception as error:
    raise ValueError(f"The file holds no tensors: {_checks.short_message(error)}") from error


def _from_zip(content: bytes) -> tuple[Any, Callable[[_Storage], bytes]]:
  """Returns the object pickled in an archive, and a function that reads a storage's bytes."""
  archive = zipfile.ZipFile(io.BytesIO(content))
  pickled = [name for name in archive.namelist() if name.endswith("/data.pkl")]
  if len(pickled) != 1:
    raise ValueError("the archive must have one data.pkl.")
  folder = pickled[0].removesuffix("data.pkl")

  def member(name: str) -> bytes:
    # Torch stores members without compression. A compressed one may grow a thousandfold.
    if archive.getinfo(folder + name).compress_type != zipfile.ZIP_STORED:
      raise ValueError(f"{_checks.short_repr(name)} is compressed, which torch never does.")
    return archive.read(folder + name)

  if f"{folder}byteorder" in archive.namelist() and member("byteorder") != b"little":
    raise ValueError("its numbers are big-endian, which is not supported.")
  return _unpickle(io.BytesIO(member("data.pkl"))), lambda storage: member(f"data/{storage.key}")


def _from_legacy(content: bytes) -> tuple[Any, Callable[[_Storage], bytes]]:
  """Returns the same from the older format: five pickles, followed by the numbers."""
  stream = io.BytesIO(content)
  if (_unpickle(stream), _unpickle(stream)) != (_MAGIC, _PROTOCOL):
    raise ValueError("it does not begin like a file of torch.")
  system, state, keys = (_unpickle(stream) for _ in range(3))
  if not system["little_endian"]:
    raise ValueError("its numbers are big-endian, which is not supported.")
  tensors = state.values() if isinstance(state, dict) else ()
  sizes = {
    tensor.storage.key: np.dtype(tensor.storage.dtype).itemsize
    for tensor in tensors
    if isinstance(tensor, _Tensor) and isinstance(tensor.storage, _Storage)
  }
  view, start, storages = memoryview(content), stream.tell(), {}
  for key in keys:
    count = int.from_bytes(view[start : start + 8], "little")
    end = start + 8 + count * sizes[key]
    storages[key] = view[start + 8 : end]
    start = end
  return state, lambda storage: storages[storage.key]


def _unpickle(stream: io.BytesIO) -> Any:
  """Unpickles the next pickle of a stream after a check of its instructions."""
  start = stream.tell()
  size, allowed = len(stream.getbuffer()), _INSTRUCTIONS.split()
  for instruction, argument, _ in pickletools.genops(stream):
    if instruction.name not in allowed:
      raise ValueError(f"it has the instruction {instruction.name}, which no tensor needs.")
    # The unpickler allocates a memo as large as the largest index.
    if instruction.name == "LONG_BINPUT" and int(argument or 0) > size:
      raise ValueError("it numbers more objects than it has bytes.")
  stream.seek(start)
  return _Unpickler(stream).load()


def _array(name: Any, tensor: Any, numbers: Callable[[_Storage], bytes]) -> np.ndarray:
  """Returns a copy of a tensor's numbers, after checks of its offset, shape and strides."""
  if not isinstance(name, str) or not isinstance(tensor, _Tensor):
    raise ValueError(f"{_checks.short_repr(name)} is {_checks.type_name(tensor)} and not a tensor.")
  storage, offset, shape, strides = tensor
  if not isinstance(storage, _Storage) or len(shape) != len(strides):
    raise ValueError(f"{_checks.short_repr(name)} is not a tensor.")
  for number in (offset, *shape, *strides):
    _checks.integer(f"{_checks.short_repr(name)}: its offset, sizes and strides", number, least=0)
  values = np.frombuffer(numbers(storage), storage.dtype)
  if len(values) != storage.size:
    raise ValueError(f"{_checks.short_repr(name)} has {len(values)} of its {storage.size} numbers.")
  last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
  count = math.prod(shape)
  # Strides of zero would turn a few numbers into a large array.
  if count > storage.size or (count and last >= storage.size):
    raise ValueError(f"{_checks.short_repr(name)} reaches beyond its {storage.size} numbers.")
  steps = [step * values.itemsize for step in strides]
  view = np.lib.stride_tricks.as_strided(values[offset:] if count else values, shape, steps)
  return np.array(view)
