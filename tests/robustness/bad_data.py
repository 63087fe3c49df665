"""Bad calls of the functions that load data sets, runs and settings.

One case for each argument and kind of mistake.
"""

import os

import numpy as np
from robustness.cases import each, integer, kinds

import aejax
from aejax import data, training
from aejax.data import arrays, folder, lazy

BYTES = np.full((4, 6, 6, 1), 99, np.uint8)


def _load():
  load = data.load
  yield from each("load", "^name must be a name or a path, but is", load, [None, b"digits"])
  unknown = "^no data set .* there are digits, mnist"
  yield from each("load", unknown, load, ["", "mnits", "\0", "x" * 5000])
  missing = "^no file or folder"
  yield from each("load", missing, load, ["a/b", "a\0b.npy", f"{'x' * 5000}.npy"])
  home = "^name is .*, but there is no such home"
  yield from each("load", home, load, ["~nobody-of-this-name/x.npy"])
  other = "is neither a folder of images nor a .npy or .npz file"
  yield "load", other, lambda w: load(w.text)
  yield "load", other, lambda w: load(os.devnull)
  call = lambda v: load("digits", image_size=v)  # noqa: E731
  yield from each("load", "^image_size must be a whole number from 1 up", call, [0, 2.5, "big"])
  yield from each("load", "^image_size must be at most 16384", call, [10**9])
  yield "load", "^image_size must be a whole number", lambda w: load(w.images, image_size=0)
  call = lambda v: load("digits", in_memory=v)  # noqa: E731
  yield from each("load", "^in_memory must be True or", call, ["yes"])
  call = lambda v: load("digits", cache=v)  # noqa: E731
  yield from each("load", "^cache must be True or", call, ["yes"])
  call = lambda v: load("digits", data_dir=v)  # noqa: E731
  yield from each("load", "^data_dir must be a path", call, [3])
  values = ["nowhere", "", "a\0b", "x" * 5000]
  yield from each("load", "^data_dir must be a folder, but there is none", call, values)
  yield from each("load", "^data_dir is .*, but there is no such home", call, ["~nobody-here"])
  yield "load", "^data_dir must be a folder, ", lambda w: load("digits", data_dir=w.text)


def _load_from_path():
  load_numpy, load_folder = arrays.load_numpy, folder.load_folder
  yield "load_numpy", "cannot be read", lambda w: load_numpy(w.folder / "nowhere.npy")
  yield "load_numpy", "cannot be read", lambda w: load_numpy(w.folder)
  yield "load_folder", "cannot be read", lambda w: load_folder(w.folder / "nowhere")
  yield "load_folder", "cannot be read", lambda w: load_folder(w.text)


NOT_IMAGES = [
  (r"must have shape \[n, d\], ", np.zeros(6, np.uint8)),
  ("is empty: shape", np.zeros((0, 6, 6), np.uint8)),
  ("looks like one image", np.full((6, 6, 3), 99, np.uint8)),
  ("its channels come first: transpose", np.full((5, 3, 6, 6), 99, np.uint8)),
  ("drop the alpha channel", np.full((5, 6, 6, 4), 99, np.uint8)),
  ("the last axis must hold 1", np.full((5, 6, 6, 7), 99, np.uint8)),
  (r"must be uint8, or floats in \[0, 1\], got int64 in", np.zeros((5, 6, 6), np.int64)),
  (r"must be uint8 or floats, got <U1", np.full((5, 6, 6), "a")),
  ("holds NaN or infinite", np.full((5, 6, 6), np.nan)),
  (r"holds whole numbers up to 255 as float64", np.full((5, 6, 6), 255.0)),
  ("holds bytes up to 1 only, but 255 is white", np.ones((5, 6, 6), np.uint8)),
  ("holds one image; at least 2 are needed", np.full((1, 6, 6), 99, np.uint8)),
]


def _files():
  load = data.load
  for number, (pattern, array) in enumerate(NOT_IMAGES):
    yield "load", pattern, lambda w, a=array, k=number: load(w.save(f"bad{k}.npy", a))
  pattern, array = r"must have shape \[n, height, width\]", np.zeros((6, 6), np.uint8)
  yield "load", pattern, lambda w: load(w.save("bad.npz", images=array))
  for labels in (np.zeros(3, int), np.zeros(4)):  # wrong shape, wrong type
    pattern = "must be 4 integers or names, one label per image"
    yield "load", pattern, lambda w, v=labels: load(w.save("l.npz", images=BYTES, labels=v))
  pattern = "must hold the arrays train and test"
  yield "load", pattern, lambda w: load(w.save("two.npz", one=BYTES, two=BYTES))
  yield "load", f"{pattern}.*none", lambda w: load(w.save("none.npz", **{}))
  pattern = "train and test images must share one shape"
  yield "load", pattern, lambda w: load(w.save("sizes.npz", train=BYTES, test=BYTES[:, :5]))


def _dataset():
  make = data.Dataset
  wrong = r"must be uint8 or float32 of shape \[n, d\], .*, got"
  values = [BYTES[0, 0, 0], BYTES.astype(float), None]
  yield from each("Dataset", wrong, lambda v: make("x", v, BYTES), values)
  yield from each("Dataset", wrong, lambda v: make("x", BYTES, v), values)
  yield from each("Dataset", "is empty: shape", lambda v: make("x", v, BYTES), [BYTES[:0]])
  dtypes = "^train and test must share one dtype"
  yield from each("Dataset", dtypes, lambda v: make("x", v, BYTES), [BYTES.astype("f")])
  shapes = "^train and test (images|signals) must share one shape"
  yield from each("Dataset", shapes, lambda v: make("x", v, BYTES), [BYTES[:, :5], BYTES[..., 0]])
  labels = "_labels must have one label for each of 4 images, got"
  values = [np.zeros(3, int), "abcd"]
  yield from each("Dataset", labels, lambda v: make("x", BYTES, BYTES, v), values)
  yield from each("Dataset", labels, lambda v: make("x", BYTES, BYTES, None, v), values)
  name = "^name must be a string, but is"
  yield from each("Dataset", name, lambda v: make(v, BYTES, BYTES), [3])


def _from_arrays():
  name, make = "from_arrays", data.from_arrays
  table = np.zeros((4, 3))
  yield from each(name, "^array must be an array, but is", make, [None, 3, [[1.0]]])
  yield from each(name, "^array is a masked array", make, [np.ma.masked_equal(table, 0)])
  yield from each(name, "^test must be an array", lambda v: make(table, v), [3])
  labels = "_labels must be 4 integers or names"
  yield from each(name, labels, lambda v: make(table, train_labels=v), [3, [1.0] * 4, "abcd"])
  yield from each(name, labels, lambda v: make(table, table, test_labels=v), [[1]])
  yield from each(name, "^There is no kind", lambda v: make(table, kind=v), ["tables", 2])
  yield from each(name, "^name must be a string", lambda v: make(table, name=v), [3])


def _scaling():
  name, scaling = "Scaling", data.Scaling()
  json = '^scaling must be "unit", "none", or an object'
  yield from each(name, json, data.Scaling.from_json, [None, 3, "units", {"mean": [1.0]}])
  shape = r"^images must have shape \[n, 3\], but have shape"
  check = lambda v: scaling.check(v, (3,))  # noqa: E731
  yield from each(name, shape, check, [np.zeros((2, 4)), np.zeros(3)])
  values = [np.full((2, 3), 2.0), np.full((2, 3), np.nan), np.ones((2, 3), int)]
  yield from each(name, r"^images must be uint8, or floats in \[0, 1\], but", check, values)
  wide = data.Dataset("wide", *2 * [np.full((4, 6, 6, 1), 7, np.float32)])
  pattern = r"^the images of wide hold floats in \[7, 7\], not in \[0, 1\]"
  yield from each("choose_scaling", pattern, data.choose_scaling, [wide])


def _exported():
  load, missing = aejax.load_model, "^there is no file"
  yield from each("aejax.load_model", missing, load, ["nowhere", "", "a\0b", "x" * 5000])
  yield "aejax.load_model", "cannot be read as a safetensors file", lambda w: load(w.text)
  yield from each("aejax.load_model", "^path must be a path", load, [3])
  out = "x.safetensors"
  wrong = "^run_or_model must be a run, its work directory or a model"
  yield from each("aejax.export", wrong, lambda v: aejax.export(v, out), [3, None])
  suffix = r"^path must be that of a \.safetensors or \.onnx file"
  yield from each("aejax.export", suffix, lambda v: aejax.export("nowhere", v), ["x.bin", ""])
  yield "aejax.export", "holds no run", lambda w: aejax.export(w.folder, w.folder / out)


def _lazy_images():
  shape = "^shape must be two to five whole numbers, but is"
  make = lambda v: lazy.LazyImages(v, lambda rows: BYTES)  # noqa: E731
  yield from each("LazyImages", shape, make, [(4,), 3, (4, 6, 6, -1), (4, 6.5, 6, 1)])
  images = lazy.LazyImages((4, 6, 6, 1), lambda rows: BYTES[rows.start : rows.stop])
  yield from each(
    "LazyImages", "^rows must be a slice or indices, but is", lambda v: images[v], [0]
  )
  yield from each("LazyImages", "^rows must be from 0 to 3", lambda v: images[v], [np.array([4])])


def _runs():
  values = ["nowhere", "", "a\0b", "x" * 5000, os.devnull]
  yield from each("aejax.load", "holds no run: there is no config.json", aejax.load, values)
  read = training.configuration.read
  yield "aejax.load", "holds no run", lambda w: read(w.folder)


def _complete(method="cwae", objective=None, **options):
  return training.complete(
    method,
    {} if objective is None else objective,
    training.Options(**{"batch_size": 50} | options),
    dataset="digits",
    image_shape=(8, 8, 1),
    num_images=100,
  )


def _settings():
  name = "complete"
  yield from each(name, "^There is no method", _complete, ["cwea", "", "cwae+", None])
  yield name, "^A sum names each method once", lambda w: _complete("ae+ae")
  for option in ("latent_dim", "epochs", "batch_size", "seeds", "accumulate", "keep_checkpoints"):
    call = lambda v, o=option: _complete(**{o: v})  # noqa: E731
    yield from each(name, f"^{option} must be a whole number from 1 up", call, [0, 2.5, "ten"])
  epochs = "^checkpoint_epochs must be a whole number from 0 up, but is"
  yield from each(name, epochs, lambda v: _complete(checkpoint_epochs=v), [-1, "ten"])
  minutes = "^checkpoint_minutes must be finite and not negative, but is"
  yield from each(name, minutes, lambda v: _complete(checkpoint_minutes=v), [-1.0, np.nan, "ten"])
  rate = "^learning_rate must be positive and finite, but is"
  yield from each(name, rate, lambda v: _complete(learning_rate=v), [0.0, np.nan, "fast"])
  skip = "^skip_nonfinite must be True or False, but is"
  yield from each(name, skip, lambda v: _complete(skip_nonfinite=v), ["no"])
  seed = "^seed must be a whole number from 0 to 2.32 − 1, but is"
  yield from each(name, seed, lambda v: _complete(seed=v), [-1, 2**32, "a"])
  for option in ("network", "schedule", "precision"):
    call = lambda v, o=option: _complete(**{o: v})  # noqa: E731
    yield from each(name, f"^There is no {option} ", call, ["?", 3])
  schedule = "^weight_schedule must be constant, warmup:EPOCHS or cyclic:EPOCHS, but is"
  names = ["", "warmup", "warmup:0", "cyclic:nan", "constant:1", None, 3]
  yield from each(name, schedule, lambda v: _complete(weight_schedule=v), names[:-2])
  yield from each("weight_schedule", schedule, lambda v: training.weight_schedule(v, 10), names)
  yield from kinds(
    "weight_schedule",
    integer("steps_per_epoch"),
    lambda v: training.weight_schedule("warmup:1", v),
  )
  yield from each(
    name, "^There is no callback", lambda v: _complete(callback=v), ["tensorbord", ""]
  )
  too_large = "^batch_size is 101, but the training set has 100"
  yield name, too_large, lambda w: _complete(batch_size=101)
  field = "^There is no field of cwae 'wieght': did you mean weight"
  yield name, field, lambda w: _complete(objective={"wieght": 1.0})
  weight = "^The weight of the penalty must be finite and not negative, but is"
  yield from each(name, weight, lambda v: _complete(objective={"weight": v}), [-1.0, np.nan, "a"])


PARTS = (
  _load,
  _load_from_path,
  _files,
  _dataset,
  _from_arrays,
  _scaling,
  _exported,
  _lazy_images,
  _runs,
  _settings,
)
CASES = [case for part in PARTS for case in part()]
