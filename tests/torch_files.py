"""Files such as torch writes, made without torch: by hand, so that they can also be made wrong."""

import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np

LAYERS = Path(__file__).parent / "golden/inception_layers.txt"
STORAGES = {"float32": "FloatStorage", "float64": "DoubleStorage", "int64": "LongStorage"}


def random_state(seed=0):
  """Inception's tensors at random; activations neither vanish nor explode in its 48 layers.

  Each kernel has the variance 2/fan-in, and what normalises it statistics that are near those of
  its result: means around 0, variances around 1.
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
  """A string, as an instruction of a pickle."""
  return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def whole(value):
  """A whole number, likewise."""
  return b"J" + struct.pack("<i", value)


def several(values):
  """A tuple of whole numbers, likewise."""
  return b"(" + b"".join(map(whole, values)) + b"t"


def tensor(key, values, *, offset=0, shape=None, strides=None, size=None, view=None):
  """A tensor, likewise; `view` stands at the end of what the older format says of a storage."""
  shape = values.shape if shape is None else shape
  if strides is None:
    strides = [n // values.itemsize for n in np.ascontiguousarray(values).strides][: len(shape)]
  storage = b"ctorch\n" + STORAGES[values.dtype.name].encode() + b"\n"
  storage = text("storage") + storage + text(key) + text("cpu")
  storage += whole(values.size if size is None else size) + (b"" if view is None else view)
  places = whole(offset) + several(shape) + several(strides)
  hooks = b"ccollections\nOrderedDict\n)R"
  return (
    b"ctorch._utils\n_rebuild_tensor_v2\n((" + storage + b"tQ" + places + b"\x89" + hooks + b"tR"
  )


def pickled(items):
  """A state dict of such, as a pickle, with what torch hangs onto it."""
  entries = b"".join(text(name) + value for name, value in items.items())
  metadata = b"}(" + text("_metadata") + b"}ub"
  return b"\x80\x02ccollections\nOrderedDict\n)R(" + entries + b"u" + metadata + b"."


def zipped(pickle_bytes, storages, *, compression=zipfile.ZIP_STORED, **more):
  """The format since torch 1.6."""
  stream = io.BytesIO()
  with zipfile.ZipFile(stream, "w", compression) as archive:
    archive.writestr("weights/data.pkl", pickle_bytes)
    for key, values in storages.items():
      archive.writestr(f"weights/data/{key}", values.tobytes())
    for name, content in more.items():
      archive.writestr(f"weights/{name}", content)
  return stream.getvalue()


def legacy(pickle_bytes, storages, *, little_endian=True):
  """The format before."""
  head = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": little_endian}]
  parts = [pickle.dumps(value, 2) for value in head] + [pickle_bytes, pickle.dumps([*storages], 2)]
  for values in storages.values():
    parts += [struct.pack("<q", values.size), values.tobytes()]
  return b"".join(parts)


def file_of(state, form=zipped):
  """A whole file of a state dict."""
  storages = {str(k): values for k, values in enumerate(state.values())}
  view = b"N" if form is legacy else None
  items = {
    name: tensor(str(k), values, view=view) for k, (name, values) in enumerate(state.items())
  }
  return form(pickled(items), storages)
