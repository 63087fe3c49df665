"""Bad calls of `aejax.fit` with data pipelines, flips and networks of the user's own."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from robustness.cases import each

import aejax
from aejax import data
from aejax.training.augmentation import check_flip

TABLE = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
IMAGES = np.full((20, 6, 6, 1), 99, np.uint8)
SMALL = dict(latent_dim=2, batch_size=4, epochs=1)


def fit(value=TABLE, **options):
  return aejax.fit("cwae", value, **SMALL | options)


class _Endless(list):
  def __len__(self):
    return 2**40


def _needs_argument(path):
  yield path


def _data():
  name = "aejax.fit"
  yield from each(name, "^data must be an array of numbers, but is", fit, [None, 3, {"x": TABLE}])
  yield from each(
    name, "^data must be an array of numbers", fit, [(TABLE, TABLE[:3]), (TABLE, TABLE)]
  )
  images = r"^data\[0\] must be an array of numbers, but"
  yield from each(name, images, fit, [["a.png", "b.png"], [b"1", b"2"], iter([object()])])
  yield from each(name, r"^data\[1\] is None: a source", fit, [[TABLE[0], None]])
  yield from each(name, r"^data\[0\] must be an example, but is a single", fit, [iter([1.0, 2.0])])
  three = r"^data\[0\] must be an example or a pair \(example, label\), but is a tuple of 3"
  yield from each(name, three, fit, [[(TABLE[0], 1, 2)] * 3])
  entries = r"^data\[0\] must have one entry for the example, .* but has a, b"
  yield from each(name, entries, fit, [[{"a": TABLE[0], "b": TABLE[1]}] * 3])
  yield from each(name, "^data yields no items", fit, [iter([]), lambda: iter([])])
  length = "^data must have 2 to 2147483647 items, but its length is"
  yield from each(name, length, fit, [[TABLE[0]], _Endless([TABLE[0]])])
  shapes = r"^data\[3\] has shape \[4\], but data\[0\] \[5\]: all examples must share one"
  yield from each(name, shapes, fit, [[*TABLE[:3], TABLE[3, 1:]], iter([*TABLE[:3], TABLE[3, 1:]])])
  dtypes = r"^data\[1\] has dtype float64, but data\[0\] float32"
  yield from each(name, dtypes, fit, [[TABLE[0], TABLE[1].astype(float)]])
  labels = r"^data\[1\] has no label, but data\[0\] does the opposite"
  yield from each(name, labels, fit, [[(TABLE[0], 1), TABLE[1]]])
  label = r"^the label of data\[0\] must be a whole number or a name"
  yield from each(name, label, fit, [[(TABLE[0], v)] * 3 for v in (1.5, IMAGES[0], [1, 2, 3])])
  yield from each(name, "^data must be a function without arguments", fit, [_needs_argument])
  yield from each(name, "^data must be a function that returns an iterable", fit, [lambda: 3])
  yield from each(name, "holds NaN or infinite", fit, [iter(TABLE * np.nan), list(TABLE + np.inf)])


def _from_source():
  name, make = "from_source", data.from_source
  wrong = "^source must be a data source, an iterable or a function"
  yield from each(name, wrong, make, [None, 3, "digits", TABLE, {}, (TABLE, TABLE), [[1.0]]])
  yield from each(name, "^There is no kind", lambda v: make(list(TABLE), kind=v), ["tables", 2])
  yield from each(name, "^name must be a string", lambda v: make(list(TABLE), name=v), [3])
  yield from each(name, "^folder must be a path", lambda v: make(iter(TABLE), folder=v), [3])
  kind = r"^data holds vectors, which have shape \[n, d\]"
  yield name, kind, lambda w: make(list(IMAGES), kind="vectors")
  uneven = itertools.chain([(TABLE, [0, 1])])
  yield name, r"^the label of data\[0\] must be a whole number", lambda w: make(uneven)


def _flip():
  name, only = "aejax.fit", "flip is for images, but the data are vectors"
  yield from each(name, only, lambda v: fit(flip=v), [True])
  yield from each(name, "^flip must be True or False, but is", lambda v: fit(flip=v), ["yes", 2])
  yield "check_flip", "but the data are volumes", lambda w: check_flip(True, (3, 4, 5, 1))


class _Counts(nnx.Module):
  """A network that counts its calls in an attribute."""

  def __init__(self):
    self.layer = nnx.Linear(5, 2, rngs=nnx.Rngs(0))
    self.calls = 0

  def __call__(self, x):
    self.calls += 1
    return self.layer(x)


class _Remembers(_Counts):
  """A network that keeps its last result."""

  def __call__(self, x):
    self.calls = self.layer(x)
    return self.calls


def _fails(x):
  raise RuntimeError("no such device")


def _networks():
  name = "aejax.fit"
  decoder = nnx.Linear(2, 5, rngs=nnx.Rngs(0))
  fixed = jnp.ones((5, 2))
  model = lambda v: fit(model=v)  # noqa: E731
  broken = "own_broken:network cannot be imported: its module raises RuntimeError: no licence"
  yield from each(name, broken, model, ["own_broken:network"])
  yield (
    name,
    broken.partition(":")[0],
    lambda w: aejax.networks.build("own_broken:network", (5,), latent_dim=2, key=jax.random.key(0)),
  )
  state = "^The network model keeps a value of its own from one call to the next"
  yield from each(name, state, lambda v: model((v, decoder)), [_Counts(), _Remembers()])
  nothing = "^The network model holds no nnx.Param, so there is nothing to train"
  yield from each(name, nothing, model, [(lambda x: x @ fixed, lambda z: z @ fixed.T)])
  shapes = r"^The network model returns examples of shape \[6\], not \[5\]"
  yield from each(
    name, shapes, lambda v: model((_layer(), v)), [nnx.Linear(2, 6, rngs=nnx.Rngs(0))]
  )
  fails = r"^The network model does not take examples of shape \[5\]: no such device"
  yield from each(name, fails, lambda v: model((_layer(), v)), [_fails])


def _layer():
  return nnx.Linear(5, 2, rngs=nnx.Rngs(0))


PARTS = (_data, _from_source, _flip, _networks)
CASES = [case for part in PARTS for case in part()]
