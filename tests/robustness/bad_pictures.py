"""Bad calls of what draws."""

import jax
import numpy as np
from robustness.bad_evaluation import BAD, HUGE, IMAGES, NOT_KEYS, NOT_WHOLE, Z

from aejax import evaluation
from aejax.evaluation import diagnostics


def path(w):
  return w.folder / "picture.png"


def _figures():
  calls = {
    "save_grid": lambda p, x: evaluation.save_grid(p, x),
    "save_reconstructions": lambda p, x: evaluation.save_reconstructions(p, x, x),
    "save_interpolations": lambda p, x: evaluation.save_interpolations(p, x),
    "save_decoded_plane": lambda p, x: evaluation.save_decoded_plane(p, x, (-1, 1, -1, 1)),
  }
  for name, f in calls.items():
    good = (
      IMAGES if name in ("save_grid", "save_reconstructions") else IMAGES.reshape(2, 2, 4, 4, 1)
    )
    shape = "^images must be a non-empty .*, but (has|have) shape"
    for bad in (Z, good[..., 0], good[:0], good[..., [0, 0]], np.float32(1)):
      yield name, shape, lambda w, f=f, x=bad: f(path(w), x)
    for bad in (None, "x", {}, [[1.0], [1.0, 2.0]]):
      yield name, "^images must be an array of numbers, but is", lambda w, f=f, x=bad: f(path(w), x)
    for bad in ((good * 255).astype(np.uint8), good > 0, good.astype(complex)):
      kind = "^images must be floating-point in .0, 1., but have"
      yield name, kind, lambda w, f=f, x=bad: f(path(w), x)
    for bad in (np.full_like(good, np.nan), np.full_like(good, np.inf)):
      yield name, "^images must be finite", lambda w, f=f, x=bad: f(path(w), x)
    for bad in ("a.jpg", "a", "a.png.txt", ""):
      yield name, "^path must end in .png, but", lambda w, f=f, x=good, b=bad: f(w.folder / b, x)
    for bad in (None, 3, b"x.png"):
      yield name, "^path must be a path, but is", lambda w, f=f, x=good, b=bad: f(b, x)
    yield (
      name,
      "^path must be that of a file, but .* is a folder",
      lambda w, f=f, x=good: f(w.subfolder, x),
    )
    yield name, "^path cannot be written: ", lambda w, f=f, x=good: f(w.file / "a.png", x)
  many = np.zeros((20_000, 1, 1, 1), np.float32)
  big = "^images are too many or too large for one picture"
  yield "save_grid", big, lambda w: evaluation.save_grid(path(w), many, columns=1)
  columns = "^columns must be a whole number from 1 up, but is"
  for bad in NOT_WHOLE:
    yield "save_grid", columns, lambda w, v=bad: evaluation.save_grid(path(w), IMAGES, columns=v)


def _reconstructions():
  name = "save_reconstructions"
  f = evaluation.save_reconstructions
  yield name, "must have one shape, but have", lambda w: f(path(w), IMAGES, IMAGES[:2])
  for bad in (None, "ab", ("a",), ("a", 3), ("a", "b", "c")):
    yield name, "^names must be two strings", lambda w, v=bad: f(path(w), IMAGES, IMAGES, names=v)


def _plane():
  name = "save_decoded_plane"
  f = evaluation.save_decoded_plane
  plane = IMAGES.reshape(2, 2, 4, 4, 1)
  bad_extents = [(1, -1, -1, 1), (-1, 1, 1, 1), (np.nan, 1, -1, 1), (-np.inf, 1, -1, 1)]
  for bad in [*bad_extents, None, 3, "abcd", (1, 2), ("a", "b", "c", "d"), ()]:
    extent = "^extent must be finite with left < right, bottom < top, but is"
    yield name, extent, lambda w, v=bad: f(path(w), plane, v)
  yield (
    name,
    "^images must be at least 2 rows of 2",
    lambda w: f(path(w), plane[:1], (-1, 1, -1, 1)),
  )


def _scatter():
  name = "save_latent_scatter"
  f = evaluation.save_latent_scatter
  for bad in (Z[0], Z[:, :1], Z[:0], np.eye(3), np.float32(1)):
    yield name, "^latents must be a non-empty .n, 2., but", lambda w, v=bad: f(path(w), v)
  for bad in ("x", None, {}, Z.astype(object)):
    yield name, "^latents must be an array of numbers", lambda w, v=bad: f(path(w), v)
  for bad in (BAD, HUGE):
    yield name, "^latents must be finite", lambda w, v=bad: f(path(w), v)
  yield name, "^latents must be floating-point", lambda w: f(path(w), Z.astype(complex))
  for bad in ([1, 2], "ab", 3, np.zeros((12, 2)), {}):
    yield name, "^labels must (have shape|be an array)", lambda w, v=bad: f(path(w), Z, v)


def _diagnostics():
  for name in ("save_marginals", "save_pairs", "save_quantiles"):
    f = getattr(diagnostics, name)
    rest = {"key": jax.random.key(0)} if name == "save_quantiles" else {}
    for bad in (Z[0], Z[:1], Z[:, :0], np.float32(1)):
      yield name, "^latents must .*n, d.*, but", lambda w, v=bad, f=f, r=rest: f(path(w), v, **r)
    for bad in ("x", None, {}, Z.astype(object)):
      yield name, "^latents must be an array", lambda w, v=bad, f=f, r=rest: f(path(w), v, **r)
    for bad in (BAD, HUGE):
      yield name, "^latents must be finite", lambda w, v=bad, f=f, r=rest: f(path(w), v, **r)
  yield (
    "save_pairs",
    "^latents must have two coordinates",
    lambda w: diagnostics.save_pairs(path(w), Z[:, :1]),
  )
  for bad in NOT_KEYS:
    yield (
      "save_quantiles",
      "^key must be",
      lambda w, v=bad: diagnostics.save_quantiles(path(w), Z, key=v),
    )
  line = {"epoch": 1, "reconstruction_error": 1.0, "penalty": 0.5}
  bad_logs = [[], None, 3, "epochs", [3], [{}], [line | {"penalty": "x"}], [line | {"epoch": None}]]
  bad_logs += [[{"epoch": 1, "penalty": 0.0}]]
  for bad in bad_logs:
    yield (
      "save_curves",
      "^epochs must (be|each have a number)",
      lambda w, v=bad: diagnostics.save_curves(path(w), v),
    )


PARTS = (_figures, _reconstructions, _plane, _scatter, _diagnostics)
CASES = [case for part in PARTS for case in part()]
