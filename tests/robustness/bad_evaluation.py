"""Bad calls of the metrics, samplers and figures."""

import jax
import jax.numpy as jnp
import numpy as np

from aejax import evaluation, networks, objectives
from aejax.evaluation import diagnostics, features, report

Z = np.linspace(-1, 1, 24, dtype=np.float32).reshape(12, 2)
IMAGES = np.linspace(0, 1, 4 * 16, dtype=np.float32).reshape(4, 4, 4, 1)
BYTES = (IMAGES * 255).astype(np.uint8)
NOT_KEYS = [0, None, "seed", np.zeros(3)]
NOT_WHOLE = [0, -3, 2.5, "many", None, True, np.nan]
BAD = Z.copy()
BAD[3, 1] = np.nan
HUGE = Z.copy()
HUGE[0, 0] = np.inf


def _each(name, pattern, call, values):
  for value in values:
    yield name, pattern, lambda w, v=value: call(v)


def _key():
  return jax.random.key(0)


def _not_features(name, argument, call, *, least=2):
  """What no set of features or latents may be, for a function that takes one as `argument`."""
  shape = rf"^{argument} must (have shape|be) .*n, d.*, but has? "
  yield from _each(name, shape, call, [Z[0], Z[None], Z[:0], Z[:, :0], np.float32(3)])
  if least > 1:
    yield from _each(name, shape, call, [Z[: least - 1]])
  kind = f"^{argument} must be an array of numbers, but is"
  yield from _each(name, kind, call, ["z.npy", None, {}, [[1.0], [1.0, 2.0]]])
  yield from _each(name, f"^{argument} must be an array of num", call, [Z.astype(object)])
  dtype = f"^{argument} must (be floating-point|have a floating-point dtype), but (is|has)"
  yield from _each(name, dtype, call, [Z.astype(np.int32), Z > 0, Z.astype(np.complex64)])
  yield from _each(name, f"^{argument} must be finite, but", call, [BAD, HUGE, jnp.asarray(BAD)])


def _metrics():
  e = evaluation
  for name in ("mardia_skewness", "mardia_kurtosis"):
    yield from _not_features(name, "z", getattr(e, name))
  yield from _not_features("latent_metrics", "z", lambda z: e.latent_metrics(z, key=_key()))
  call = lambda k: e.latent_metrics(Z, key=k)  # noqa: E731
  yield from _each("latent_metrics", "^key must be", call, NOT_KEYS)
  name = "frechet_distance"
  yield from _not_features(name, "first", lambda x: e.frechet_distance(x, Z))
  yield from _not_features(name, "second", lambda x: e.frechet_distance(Z, x))
  yield (
    name,
    "^first and second must have one dimension",
    lambda _: e.frechet_distance(Z, np.eye(3)),
  )
  yield (
    name,
    "^A covariance needs at least 2 vectors",
    lambda _: e.frechet_distance(e.Moments.of(Z[:1]), Z),
  )
  yield from _not_features("Moments", "features", e.Moments.of, least=1)
  moments = e.Moments.of(Z)
  added = "^What is added to Moments must be Moments, but"
  yield from _each("Moments", added, lambda m: moments + m, [None, 1, Z])
  yield "Moments", "^Moments must be of one dimension", lambda _: moments + e.Moments.of(np.eye(3))
  yield "Moments", "^A covariance needs at least 2", lambda _: e.Moments.of(Z[:1]).covariance
  for name in ("kernel_distance", "kernel_distance_in_blocks"):
    rest = {"key": _key()} if name.endswith("blocks") else {}
    f = getattr(e, name)
    least = 4 if rest else 2
    yield from _not_features(name, "first", lambda x, f=f, r=rest: f(x, Z, **r), least=least)
    yield from _not_features(name, "second", lambda x, f=f, r=rest: f(Z, x, **r), least=least)
    yield name, "must have one dimension", lambda _, f=f, r=rest: f(Z, np.eye(4), **r)
  blocks = e.kernel_distance_in_blocks
  for argument in ("block_size", "blocks"):
    at_least = f"^{argument} must be a whole number from 2 up, but is"
    call = lambda v, a=argument: blocks(Z, Z, key=_key(), **{a: v})  # noqa: E731
    yield from _each("kernel_distance_in_blocks", at_least, call, [1, *NOT_WHOLE])
  call = lambda k: blocks(Z, Z, key=k)  # noqa: E731
  yield from _each("kernel_distance_in_blocks", "^key must be", call, NOT_KEYS)
  name = "coverage_metrics"
  yield from _not_features(name, "real", lambda x: e.coverage_metrics(x, Z), least=6)
  yield from _not_features(name, "generated", lambda x: e.coverage_metrics(Z, x), least=4)
  yield name, "must have one dimension", lambda _: e.coverage_metrics(Z, np.eye(6))
  for argument in ("precision_neighbours", "coverage_neighbours"):
    call = lambda v, a=argument: e.coverage_metrics(Z, Z, **{a: v})  # noqa: E731
    yield from _each(name, f"^{argument} must be a whole number from 1 up", call, NOT_WHOLE)
    yield from _each(name, r"^real must have shape \[n, d\] with n at least", call, [12, 10**6])
  name = "normal_references"
  for argument, least in (("n", 2), ("d", 1), ("draws", 2)):
    call = lambda v, a=argument: e.normal_references(  # noqa: E731
      **{"n": 4, "d": 2, "key": _key(), a: v}
    )
    pattern = f"^{argument} must be a whole number from {least} up, but is"
    yield from _each(name, pattern, call, NOT_WHOLE)
    yield from _each(name, f"^{argument} must be less than 2.31", call, [2**40])
  call = lambda k: e.normal_references(4, 2, key=k)  # noqa: E731
  yield from _each(name, "^key must be", call, NOT_KEYS)


def _of_images():
  name, f = "reconstruction_error", evaluation.reconstruction_error
  numbers = "^(images|reconstructions) must be an array of numbers, but is"
  for value in ("x", None, {}):
    yield name, numbers, lambda _, v=value: f(v, IMAGES)
    yield name, numbers, lambda _, v=value: f(IMAGES, v)
  yield name, "^images and reconstructions must have one shape", lambda _: f(IMAGES, IMAGES[:3])
  yield name, "^images must be a non-empty", lambda _: f(IMAGES[:0], IMAGES[:0])
  yield name, "^images must be a non-empty", lambda _: f(Z[0], Z[0])
  yield name, "^images must be floating-point in .0, 1., but have uint8", lambda _: f(BYTES, BYTES)
  yield name, "^reconstructions must be floating-point", lambda _: f(IMAGES, BYTES)
  for bad in (np.nan, np.inf):
    yield name, "must be finite, but hold NaN", lambda _, b=bad: f(IMAGES, np.full_like(IMAGES, b))


def _neighbours():
  name = "nearest_training_images"
  f = evaluation.nearest_training_images
  for value in ("x", None, {}, [[1.0], [2.0, 3.0]]):
    yield name, "^generated must be an array of numbers, but is", lambda _, v=value: f(v, IMAGES)
    yield name, "^training must be an array of numbers, but is", lambda _, v=value: f(IMAGES, v)
  for value in (Z[0], IMAGES[:0], np.float32(1)):
    yield name, "^generated must be a non-empty", lambda _, v=value: f(v, IMAGES)
    yield name, "^training must be a non-empty", lambda _, v=value: f(IMAGES, v)
  yield name, "^generated must be uint8, or floats", lambda _: f(IMAGES.astype(int), IMAGES)
  yield name, "^training must be uint8, or floats", lambda _: f(IMAGES, IMAGES > 0)
  yield name, "must hold images of one shape", lambda _: f(IMAGES, IMAGES[:, :3])
  num = "^num must be (a whole number from 1 up|between 1 and 4), but is"
  yield from _each(name, num, lambda v: f(IMAGES, IMAGES, num=v), [*NOT_WHOLE, 5])
  yield name, "^generated must be finite", lambda _: f(IMAGES * np.nan, IMAGES)
  yield name, "^training must be finite", lambda _: f(IMAGES, np.full_like(IMAGES, np.inf))
  yield name, "^training must hold two different", lambda _: f(IMAGES, IMAGES[[0, 0]])


def _likelihood():
  name = "importance_weighted_bound"
  vae = objectives.VAE()

  def bound(model=None, images=IMAGES, **options):
    options = {"objective": vae, "key": _key(), "samples": 2} | options
    model = _model(gaussian=True) if model is None else model
    return evaluation.importance_weighted_bound(model, images, **options)

  yield from _each(name, "^model must be an Autoencoder, but", bound, ["model", 3, networks])
  yield name, "^model must have a Gaussian encoder", lambda _: bound(_model())
  shape = "^images must be a non-empty .n, h, w, c., but have"
  yield from _each(name, shape, lambda v: bound(images=v), [IMAGES[0], IMAGES[:0], Z])
  numbers = "^images must be an array of numbers, but is"
  yield from _each(name, numbers, lambda v: bound(images=v), ["x", None, {}])
  kinds = "^images must be uint8, or floats"
  yield from _each(name, kinds, lambda v: bound(images=v), [IMAGES.astype(int), IMAGES > 0])
  yield name, "^The bounds must be finite", lambda _: bound(images=IMAGES * np.nan)
  samples = "^samples must be a whole number from 1 up, but is"
  yield from _each(name, samples, lambda v: bound(samples=v), NOT_WHOLE)
  yield from _each(name, "^key must be", lambda v: bound(key=v), NOT_KEYS)
  wrong = "^objective must be a VAE, but is"
  values = [objectives.CWAE(), None, "vae", objectives.VAE]
  yield from _each(name, wrong, lambda v: bound(objective=v), values)
  zero = objectives.VAE(beta=0.0)
  yield name, "^objective must have a positive beta", lambda _: bound(objective=zero)
  binary = objectives.VAE(reconstruction="binary_cross_entropy")
  yield (
    name,
    "^model must have the output .sigmoid",
    lambda _: bound(_model("linear", gaussian=True), objective=binary),
  )


def _model(architecture="mlp", **options):
  return networks.build(architecture, (4, 4, 1), latent_dim=2, key=_key(), **options)


def _samplers():
  e = evaluation
  for name in ("PriorSampler", "GaussianSampler", "MixtureSampler"):
    kind = getattr(e, name)
    rest = {"components": 1} if name == "MixtureSampler" else {}
    fit = lambda x, k=kind, r=rest: k.fit(x, key=_key(), **r)  # noqa: E731
    yield from _not_features(name, "latents", fit, least=1 if kind is e.PriorSampler else 2)
    yield from _each(name, "^key must be", lambda k, f=fit: f(Z).sample(k, 3), NOT_KEYS)
    num = "^num must be (a whole number from 1 up|less than 2.31), but is"
    yield from _each(name, num, lambda v, f=fit: f(Z).sample(_key(), v), [*NOT_WHOLE, 2**40])
  mixture = e.MixtureSampler
  components = "^components must be a whole number from 1 up, but is"
  call = lambda v: mixture.fit(Z, key=_key(), components=v)  # noqa: E731
  yield from _each("MixtureSampler", components, call, NOT_WHOLE)
  yield "MixtureSampler", "^latents must have shape .* n at least 20", lambda _: call(10)
  yield from _each("MixtureSampler", "^key must be", lambda k: mixture.fit(Z, key=k), NOT_KEYS)
  dim = "^dim must be (a whole number from 1 up|less than 2.31), but is"
  yield from _each("PriorSampler", dim, e.PriorSampler, [*NOT_WHOLE, 2**40])


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
    rest = {"key": _key()} if name == "save_quantiles" else {}
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


def _inception():
  f, name = evaluation.inception, "inception"
  yield from _each(
    name, "^path must be a path, but is", f, [None, 3, b"weights.pth", np.zeros(3), []]
  )
  nowhere = "^path must be that of weights-inception-2015-12-05-6726825d.pth, but there is no file"
  yield from _each(
    name, nowhere, f, ["nowhere.pth", "", "/dev/zero", "/dev/null", "a\0b", "x" * 300]
  )
  yield name, nowhere, lambda w: f(w.folder)
  yield name, nowhere, lambda w: f(w.file / "weights.pth")
  yield from _each(name, "^path is .*no such home", f, ["~nobody-here/weights.pth"])
  other = "whose SHA-256 begins with 6726825d, but its own begins with "
  yield name, f"{other}e3b0c442", lambda w: f(w.file)
  yield name, other, lambda w: f(str(w.text))
  yield name, other, lambda w: f(w.images)


def _features():
  known = "^No classifier comes with aejax for|^dataset must be"
  yield from _each("classifier", known, features.classifier, ["mnits", "", "../digits", None, 3])
  extract = features.Extractor("x", lambda images: images.reshape(len(images), -1))
  yield from _each("Extractor", "^images must be one at least", extract, [IMAGES[:0]])
  yield from _each("Extractor", "^images must be an array", extract, ["x", None, {}])
  yield from _each("Extractor", "^images must have shape", extract, [Z, IMAGES[0], np.float32(1)])
  wrong = "^images must be uint8, or floats in .0, 1., but"
  yield from _each("Extractor", wrong, extract, [IMAGES.astype(int), IMAGES > 0])
  in_batches = lambda batch: features.Extractor("x", extract.function, batch)(IMAGES)  # noqa: E731
  yield from _each("Extractor", "^batch must be a whole number from 1", in_batches, NOT_WHOLE)
  yield from _each("Extractor", "gave features that are not finite", extract, [IMAGES * np.nan])
  whole = features.Extractor("x", lambda images: images)
  yield from _each("Extractor", "must give features of shape .4, f., but", whole, [IMAGES])
  yield (
    "write_report",
    "^runs must name one work directory at least",
    lambda w: report.write_report(w.folder / "r.html", []),
  )
  yield (
    "write_report",
    "holds no scored run: there is no summary.json",
    lambda w: report.write_report(w.folder / "r.html", [w.folder]),
  )


PARTS = (_metrics, _of_images, _neighbours, _likelihood, _samplers, _inception, _features)
PICTURES = (_figures, _reconstructions, _plane, _scatter, _diagnostics)
CASES = [case for part in PARTS + PICTURES for case in part()]
