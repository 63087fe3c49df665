"""Bad calls of what loads data sets, runs and their settings."""

import os
from pathlib import Path

import numpy as np
from robustness.cases import each

import aejax
from aejax import data, training
from aejax.data import arrays, folder, lazy

BYTES = np.zeros((4, 6, 6, 1), np.uint8)
NOT_PATHS = [None, 3, 2.5, [], {}, b"digits", ("a", "b"), True]
NOT_SIZES = [0, -1, 2.5, "big", True, np.nan]


def _load():
  load = data.load
  yield from each("load", "^name must be a name or a path, but is", load, NOT_PATHS)
  unknown = "^no data set .* there are digits, mnist"
  names = ["", "mnits", "DIGITS", "digits ", "mnist.tar", "celeb-a", "\n", "\0", "x" * 5000, "ディ"]
  yield from each("load", unknown, load, names)
  missing = "^no file or folder"
  names = [
    "a/b",
    "x.npy",
    "x.npz",
    Path("x"),
    "~/nowhere/x",
    "a\0b.npy",
    f"{'x' * 5000}.npy",
    "/\n/x",
  ]
  yield from each("load", missing, load, names)
  yield from each("load", missing, load, ["/" + "x/" * 3000])
  home = ["~nobody-of-this-name/x.npy", "~nobody-of-this-name"]
  yield from each("load", "^name is .*, but there is no such home", load, home)
  call = lambda v: load("digits", data_dir=v)  # noqa: E731
  yield from each("load", "^data_dir is .*, but there is no such home", call, home)
  yield "load", "is neither a folder of images nor a .npy or .npz file", lambda w: load(w.text)
  yield "load", "is neither a folder of images nor a .npy or .npz", lambda w: load(os.devnull)
  size = "^image_size must be a whole number from 1 up, but is|^image_size must be at most 16384"
  for kind in ("digits", "images"):
    for value in [*NOT_SIZES, 10**9, 2**70]:
      yield (
        "load",
        size,
        lambda w, v=value, k=kind: load("digits" if k == "digits" else w.images, image_size=v),
      )
  for value in ("yes", None, 1, 0):
    yield "load", "^in_memory must be True or", lambda w, v=value: load("digits", in_memory=v)
  for value in (3, [], b"x", True):
    yield "load", "^data_dir must be a path", lambda w, v=value: load("digits", data_dir=v)
  for value in ("nowhere", "", "a\0b", "x" * 5000):
    yield "load", "^data_dir must be a folder, ", lambda w, v=value: load("digits", data_dir=v)
  yield "load", "^data_dir must be a folder, ", lambda w: load("digits", data_dir=w.text)
  for make in (arrays.load_arrays, folder.load_folder):
    name = make.__name__
    yield name, "(no file|cannot be read)", lambda w, f=make: f(w.folder / "nowhere.npy")
  yield "load_arrays", "cannot be read", lambda w: arrays.load_arrays(w.folder)
  yield "load_folder", "cannot be read", lambda w: folder.load_folder(w.text)


NOT_IMAGES = [
  (r"must have shape \[n, height, width\]", np.zeros((6, 6), np.uint8)),
  (r"must have shape \[n, height, width\]", np.zeros(0, np.uint8)),
  (r"must have shape \[n, height, width\]", np.zeros((2, 3, 4, 4, 1), np.uint8)),
  ("is empty: shape", np.zeros((0, 6, 6), np.uint8)),
  ("is empty: shape", np.zeros((3, 0, 6), np.uint8)),
  ("looks like one image", np.zeros((6, 6, 3), np.uint8)),
  ("its channels come first: transpose", np.zeros((5, 3, 6, 6), np.uint8)),
  ("drop the alpha channel", np.zeros((5, 6, 6, 4), np.uint8)),
  ("the last axis must hold 1", np.zeros((5, 6, 6, 7), np.uint8)),
  (r"must be uint8, or floats in \[0, 1\], got int64 in", np.zeros((5, 6, 6), np.int64)),
  (r"must be uint8, or floats in \[0, 1\], got bool", np.zeros((5, 6, 6), bool)),
  (r"must be uint8, or floats in \[0, 1\], got complex", np.zeros((5, 6, 6), complex)),
  (r"must be uint8, or floats in \[0, 1\], got <U1", np.full((5, 6, 6), "a")),
  (r"must be uint8, or floats in \[0, 1\], got datetime64", np.zeros((5, 6, 6), "M8[s]")),
  (r"must be uint8, or floats in \[0, 1\], got \[..a", np.zeros((5, 6, 6), [("a", "f4")])),
  ("holds NaN or infinite", np.full((5, 6, 6), np.nan)),
  ("holds NaN or infinite", np.full((5, 6, 6), np.inf)),
  (r"holds floats in \[255, 255\]", np.full((5, 6, 6), 255.0)),
  (r"holds floats in \[-1, -1\]", np.full((5, 6, 6), -1.0)),
  ("holds one image; at least 2 are needed", np.zeros((1, 6, 6), np.uint8)),
]


def _files():
  for number, (pattern, array) in enumerate(NOT_IMAGES):
    yield "load", pattern, lambda w, a=array, k=number: data.load(w.save(f"bad{k}.npy", a))
    yield "load", pattern, lambda w, a=array, k=number: data.load(w.save(f"a{k}.npz", images=a))
  for labels in (np.zeros(3, int), np.zeros(4), np.zeros((4, 2), int), np.array("abcd")):
    pattern = "must be 4 integers, one label an image"
    yield "load", pattern, lambda w, v=labels: data.load(w.save("l.npz", images=BYTES, labels=v))
  yield (
    "load",
    "must hold the arrays train and test",
    lambda w: data.load(w.save("two.npz", one=BYTES, two=BYTES)),
  )
  yield (
    "load",
    "must hold the arrays train and test.*none",
    lambda w: data.load(w.save("no.npz", **{})),
  )
  yield (
    "load",
    "train and test images must share one shape",
    lambda w: data.load(w.save("sizes.npz", train=BYTES, test=BYTES[:, :5])),
  )


def _dataset():
  make = data.Dataset
  wrong = "must be uint8 of shape .n, height, width, channels., got"
  values = [BYTES[..., 0], BYTES.astype(float), BYTES > 0, [1, 2], None, "digits", 3]
  yield from each("Dataset", wrong, lambda v: make("x", v, BYTES), values)
  yield from each("Dataset", wrong, lambda v: make("x", BYTES, v), values)
  yield from each("Dataset", "is empty: shape", lambda v: make("x", v, BYTES), [BYTES[:0]])
  shapes = "^train and test images must share one shape"
  yield from each("Dataset", shapes, lambda v: make("x", v, BYTES), [BYTES[:, :5]])
  labels = "_labels must have one label for each of 4 images, got"
  values = [np.zeros(3, int), np.zeros((4, 1), int), [0, 1, 2, 3], "abcd", 3]
  yield from each("Dataset", labels, lambda v: make("x", BYTES, BYTES, v), values)
  yield from each("Dataset", labels, lambda v: make("x", BYTES, BYTES, None, v), values)
  name = "^name must be a string, but is"
  yield from each("Dataset", name, lambda v: make(v, BYTES, BYTES), [None, 3, Path("x")])
  shape = "^shape must be four whole numbers, but is"
  make_stored = lambda v: lazy.LazyImages(v, lambda rows: BYTES)  # noqa: E731
  values = [(4, 6, 6), None, 3, "abcd", (4, 6, 6, -1), (4, 6.5, 6, 1)]
  yield from each("StoredImages", shape, make_stored, values)
  images = lazy.LazyImages((4, 6, 6, 1), lambda rows: BYTES[rows.start : rows.stop])
  index = "^rows must be a slice, but is"
  yield from each("StoredImages", index, lambda v: images[v], [0, None, "a", [1, 2], (slice(1), 2)])


def _runs():
  values = ["nowhere", "", "a\0b", "x" * 5000, "/dev/null"]
  yield from each("aejax.load", "holds no run: there is no config.json", aejax.load, values)
  read = training.configuration.read
  yield "aejax.load", "holds no run", lambda w: read(w.folder)
  resolve = training.complete

  def settle(method="cwae", objective=None, dataset="digits", **options):
    return resolve(
      method,
      {} if objective is None else objective,
      training.Options(**{"batch_size": 50} | options),
      dataset=dataset,
      image_shape=(8, 8, 1),
      num_images=100,
    )

  yield from each("resolve", "^There is no method", settle, ["cwea", "", "cwae+", None, 3])
  yield "resolve", "^A sum names each method once", lambda w: settle("ae+ae")
  for name in ("latent_dim", "epochs", "batch_size", "seeds", "accumulate"):
    call = lambda v, n=name: settle(**{n: v})  # noqa: E731
    pattern = f"^{name} must be a whole number from 1 up, but is"
    yield from each("resolve", pattern, call, [0, -1, 2.5, "ten", np.nan, True])
  rate = "^learning_rate must be positive and finite, but is"
  values = [0.0, -1.0, np.nan, np.inf, "fast", 1j]
  yield from each("resolve", rate, lambda v: settle(learning_rate=v), values)
  seed = "^seed must be a whole number from 0 to 2.32 − 1, but is"
  yield from each("resolve", seed, lambda v: settle(seed=v), [-1, 2**32, 0.5, "a", True])
  for name in ("network", "schedule", "precision"):
    values = ["?", "", 3, ["mlp"]]
    call = lambda v, n=name: settle(**{n: v})  # noqa: E731
    yield from each("resolve", f"^There is no {name} ", call, values)
  yield (
    "resolve",
    "^batch_size is 101, but the training set has 100",
    lambda w: settle(batch_size=101),
  )
  yield (
    "resolve",
    "^There is no field of cwae 'wieght': did you mean weight",
    lambda w: settle(objective={"wieght": 1.0}),
  )
  weight = "^The weight of the penalty must be finite and not negative, but is"
  yield from each("resolve", weight, lambda v: settle(objective={"weight": v}), [-1.0, "a", None])


CASES = [case for part in (_load, _files, _dataset, _runs) for case in part()]
