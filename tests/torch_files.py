"""Writes files in the formats of torch, without torch, so that tests can also make wrong ones."""

import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np

LAYERS = Path(__file__).parent / "golden/inception_layers.txt"
STORAGES = {"float32": "FloatStorage", "float64": "DoubleStorage", "int64": "LongStorage"}


def random_state(seed=0):
  """Returns random tensors of Inception whose activations neither vanish nor explode in 48 layers.

  Kernels have the variance 2/fan-in. The statistics of the batch normalisations are near those of
  the activations: means around 0, variances around 1.
  """
  rng, state = np.random.default_rng(seed), {}
  for line in LAYERS.read_text().splitlines():
    name, *shape = line.split()
    shape = [int(n) for n in shape]
    scale = np.sqrt(2 / np.prod(shape[1:]))
    parts = {
      "conv.weight": scale * rng.standard_normal(shape, np.float32),
      "bn.weight": rng.uniform(0.8, 1.2, shape[0]),
      "bn.bias": rng.normal(0, 0.1, shape[0]),
      "bn.running_mean": rng.normal(0, 0.1, shape[0]),
      "bn.running_var": rng.uniform(0.8, 1.2, shape[0]),
    }
    state |= {f"{name}.{part}": values.astype(np.float32) for part, values in parts.items()}
    state[f"{name}.bn.num_batches_tracked"] = np.array(0)
  return state | {"fc.weight": np.zeros((1008, 2048), np.float32), "fc.bias": np.zeros(1008, "f4")}


def text(value):
  """Returns the pickle instruction for a string."""
  return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def integer(value):
  """Returns the pickle instruction for an integer."""
  return b"J" + struct.pack("<i", value)


def integers(values):
  """Returns the pickle instructions for a tuple of integers."""
  return b"(" + b"".join(map(integer, values)) + b"t"


def tensor(key, values, *, offset=0, shape=None, strides=None, size=None, view=None):
  """Returns the pickle instructions for a tensor.

  In the older format, the description of a storage ends with `view`.
  """
  shape = values.shape if shape is None else shape
  if strides is None:
    strides = [n // values.itemsize for n in np.ascontiguousarray(values).strides][: len(shape)]
  storage = b"ctorch\n" + STORAGES[values.dtype.name].encode() + b"\n"
  storage = text("storage") + storage + text(key) + text("cpu")
  storage += integer(values.size if size is None else size) + (b"" if view is None else view)
  layout = integer(offset) + integers(shape) + integers(strides)
  hooks = b"ccollections\nOrderedDict\n)R"
  return (
    b"ctorch._utils\n_rebuild_tensor_v2\n((" + storage + b"tQ" + layout + b"\x89" + hooks + b"tR"
  )


def pickled(items):
  """Returns the pickle of a state dict of tensors, with the metadata that torch attaches."""
  entries = b"".join(text(name) + value for name, value in items.items())
  metadata = b"}(" + text("_metadata") + b"}ub"
  return b"\x80\x02ccollections\nOrderedDict\n)R(" + entries + b"u" + metadata + b"."


def zipped(pickle_bytes, storages, *, compression=zipfile.ZIP_STORED, **more):
  """Returns a file in the format since torch 1.6."""
  stream = io.BytesIO()
  with zipfile.ZipFile(stream, "w", compression) as archive:
    archive.writestr("weights/data.pkl", pickle_bytes)
    for key, values in storages.items():
      archive.writestr(f"weights/data/{key}", values.tobytes())
    for name, content in more.items():
      archive.writestr(f"weights/{name}", content)
  return stream.getvalue()


def legacy(pickle_bytes, storages, *, little_endian=True):
  """Returns a file in the format before torch 1.6."""
  head = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": little_endian}]
  parts = [pickle.dumps(value, 2) for value in head] + [pickle_bytes, pickle.dumps([*storages], 2)]
  for values in storages.values():
    parts += [struct.pack("<q", values.size), values.tobytes()]
  return b"".join(parts)


def file_of(state, form=zipped):
  """Returns a file with a state dict."""
  storages = {str(k): values for k, values in enumerate(state.values())}
  view = b"N" if form is legacy else None
  items = {
    name: tensor(str(k), values, view=view) for k, (name, values) in enumerate(state.items())
  }
  return form(pickled(items), storages)
