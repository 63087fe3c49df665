"""Bad calls of the metrics, samplers and features.

One case for each argument and kind of mistake.
"""

import jax
import numpy as np
from robustness.cases import each

from aejax import evaluation, metrics, networks, objectives
from aejax.metrics import features

Z = np.linspace(-1, 1, 24, dtype=np.float32).reshape(12, 2)
IMAGES = np.linspace(0, 1, 4 * 16, dtype=np.float32).reshape(4, 4, 4, 1)
BYTES = (IMAGES * 255).astype(np.uint8)
NOT_KEYS = ["seed", np.zeros(3)]  # wrong type, wrong dtype
NOT_WHOLE = [0, 2.5, "many"]
BAD = Z.copy()
BAD[3, 1] = np.nan


def _key():
  return jax.random.key(0)


def _not_features(name, argument, call, *, least=2):
  """Wrong values of `argument`, a set of features or latents, at least `least` of them."""
  shape = rf"^{argument} must (have shape|be) .*n, d.*, but has? "
  yield from each(name, shape, call, [Z[0], Z[:0]])
  if least > 1:
    yield from each(name, shape, call, [Z[: least - 1]])
  kind = f"^{argument} must be an array of numbers, but is"
  yield from each(name, kind, call, ["z.npy"])
  dtype = f"^{argument} must (be floating-point|have a floating-point dtype), but (is|has)"
  yield from each(name, dtype, call, [Z.astype(np.int32)])
  yield from each(name, f"^{argument} must be finite, but", call, [BAD])


def _metrics():
  e = metrics
  for name in ("mardia_skewness", "mardia_kurtosis"):
    yield from _not_features(name, "z", getattr(e, name))
  yield from _not_features("latent_metrics", "z", lambda z: e.latent_metrics(z, key=_key()))
  call = lambda k: e.latent_metrics(Z, key=k)  # noqa: E731
  yield from each("latent_metrics", "^key must be", call, NOT_KEYS)
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
  yield from each("Moments", added, lambda m: moments + m, [None])
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
    yield from each("kernel_distance_in_blocks", at_least, call, [1, *NOT_WHOLE])
  call = lambda k: blocks(Z, Z, key=k)  # noqa: E731
  yield from each("kernel_distance_in_blocks", "^key must be", call, NOT_KEYS)
  name = "prdc"
  yield from _not_features(name, "real", lambda x: e.prdc(x, Z), least=6)
  yield from _not_features(name, "generated", lambda x: e.prdc(Z, x), least=4)
  yield name, "must have one dimension", lambda _: e.prdc(Z, np.eye(6))
  for argument in ("precision_neighbours", "coverage_neighbours"):
    call = lambda v, a=argument: e.prdc(Z, Z, **{a: v})  # noqa: E731
    yield from each(name, f"^{argument} must be a whole number from 1 up", call, NOT_WHOLE)
    yield from each(name, r"^real must have shape \[n, d\] with n at least", call, [12])
  name = "normal_baseline"
  for argument, least in (("n", 2), ("d", 1), ("draws", 2)):
    call = lambda v, a=argument: e.normal_baseline(  # noqa: E731
      **{"n": 4, "d": 2, "key": _key(), a: v}
    )
    pattern = f"^{argument} must be a whole number from {least} up, but is"
    yield from each(name, pattern, call, NOT_WHOLE)
    yield from each(name, f"^{argument} must be less than 2.31", call, [2**40])
  call = lambda k: e.normal_baseline(4, 2, key=k)  # noqa: E731
  yield from each(name, "^key must be", call, NOT_KEYS)


def _of_images():
  name, f = "reconstruction_error", metrics.reconstruction_error
  numbers = "^(images|reconstructions) must be an array of numbers, but is"
  yield name, numbers, lambda _: f("x", IMAGES)
  yield name, numbers, lambda _: f(IMAGES, "x")
  yield name, "^images and reconstructions must have one shape", lambda _: f(IMAGES, IMAGES[:3])
  yield name, "^images must be a non-empty", lambda _: f(IMAGES[:0], IMAGES[:0])
  yield name, "^images must be floating-point in .0, 1., but have uint8", lambda _: f(BYTES, BYTES)
  yield name, "^reconstructions must be floating-point", lambda _: f(IMAGES, BYTES)
  yield name, "must be finite, but hold NaN", lambda _: f(IMAGES, IMAGES * np.nan)


def _neighbours():
  name = "nearest_training_images"
  f = metrics.nearest_training_images
  yield name, "^generated must be an array of numbers, but is", lambda _: f("x", IMAGES)
  yield name, "^training must be an array of numbers, but is", lambda _: f(IMAGES, "x")
  for value in (Z[0], IMAGES[:0]):
    yield name, "^generated must be a non-empty", lambda _, v=value: f(v, IMAGES)
    yield name, "^training must be a non-empty", lambda _, v=value: f(IMAGES, v)
  yield name, "^generated must be uint8, or floats", lambda _: f(IMAGES.astype(int), IMAGES)
  yield name, "^training must be uint8, or floats", lambda _: f(IMAGES, IMAGES.astype(int))
  yield name, "must hold images of one shape", lambda _: f(IMAGES, IMAGES[:, :3])
  num = "^num must be (a whole number from 1 up|between 1 and 4), but is"
  yield from each(name, num, lambda v: f(IMAGES, IMAGES, num=v), [*NOT_WHOLE, 5])
  yield name, "^generated must be finite", lambda _: f(IMAGES * np.nan, IMAGES)
  yield name, "^training must be finite", lambda _: f(IMAGES, np.full_like(IMAGES, np.inf))
  yield name, "^training must hold two different", lambda _: f(IMAGES, IMAGES[[0, 0]])


def _likelihood():
  name = "importance_weighted_bound"
  vae = objectives.VAE()

  def bound(model=None, images=IMAGES, **options):
    options = {"objective": vae, "key": _key(), "samples": 2} | options
    model = _model(gaussian=True) if model is None else model
    return metrics.importance_weighted_bound(model, images, **options)

  yield from each(name, "^model must be an Autoencoder, but", bound, ["model"])
  yield name, "^model must have a Gaussian encoder", lambda _: bound(_model())
  shape = "^images must be a non-empty .n, h, w, c., but have"
  yield from each(name, shape, lambda v: bound(images=v), [IMAGES[0], IMAGES[:0]])
  numbers = "^images must be an array of numbers, but is"
  yield from each(name, numbers, lambda v: bound(images=v), ["x"])
  kinds = "^images must be uint8, or floats"
  yield from each(name, kinds, lambda v: bound(images=v), [IMAGES.astype(int)])
  yield name, "^The bounds must be finite", lambda _: bound(images=IMAGES * np.nan)
  samples = "^samples must be a whole number from 1 up, but is"
  yield from each(name, samples, lambda v: bound(samples=v), NOT_WHOLE)
  yield from each(name, "^key must be", lambda v: bound(key=v), NOT_KEYS)
  wrong = "^objective must be a VAE, but is"
  values = [objectives.CWAE(), "vae"]
  yield from each(name, wrong, lambda v: bound(objective=v), values)
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
  e = metrics
  for name in ("PriorSampler", "GaussianSampler", "MixtureSampler"):
    kind = getattr(e, name)
    rest = {"components": 1} if name == "MixtureSampler" else {}
    fit = lambda x, k=kind, r=rest: k.fit(x, key=_key(), **r)  # noqa: E731
    yield from _not_features(name, "latents", fit, least=1 if kind is e.PriorSampler else 2)
    yield from each(name, "^key must be", lambda k, f=fit: f(Z).sample(k, 3), NOT_KEYS)
    num = "^num must be (a whole number from 1 up|less than 2.31), but is"
    yield from each(name, num, lambda v, f=fit: f(Z).sample(_key(), v), [*NOT_WHOLE, 2**40])
  mixture = e.MixtureSampler
  components = "^components must be a whole number from 1 up, but is"
  call = lambda v: mixture.fit(Z, key=_key(), components=v)  # noqa: E731
  yield from each("MixtureSampler", components, call, NOT_WHOLE)
  yield "MixtureSampler", "^latents must have shape .* n at least 20", lambda _: call(10)
  yield from each("MixtureSampler", "^key must be", lambda k: mixture.fit(Z, key=k), NOT_KEYS)
  dim = "^dim must be (a whole number from 1 up|less than 2.31), but is"
  yield from each("PriorSampler", dim, e.PriorSampler, [*NOT_WHOLE, 2**40])


def _inception():
  f, name = metrics.inception, "inception"
  yield name, "^path must be a path, but is", lambda _: f(None)
  nowhere = "^path must be that of weights-inception-2015-12-05-6726825d.pth, but there is no file"
  yield from each(name, nowhere, f, ["nowhere.pth", "", "/dev/zero", "a\0b", "x" * 300])
  yield name, nowhere, lambda w: f(w.folder)
  yield name, nowhere, lambda w: f(w.file / "weights.pth")
  yield from each(name, "^path is .*no such home", f, ["~nobody-here/weights.pth"])
  other = "whose SHA-256 begins with 6726825d, but its own begins with "
  yield name, f"{other}e3b0c442", lambda w: f(w.file)
  yield name, other, lambda w: f(str(w.text))


def _features():
  known = "^No classifier comes with aejax for|^dataset must be"
  yield from each("classifier", known, features.classifier, ["mnits", "../digits", None])
  extract = features.Extractor("x", lambda images: images.reshape(len(images), -1))
  empty = "^images must hold at least one image, but are empty"
  yield from each("Extractor", empty, extract, [IMAGES[:0]])
  yield from each("Extractor", "^images must be an array", extract, ["x"])
  yield from each("Extractor", "^images must have shape", extract, [Z])
  wrong = "^images must be uint8, or floats in .0, 1., but"
  yield from each("Extractor", wrong, extract, [IMAGES.astype(int)])
  in_batches = lambda batch: features.Extractor("x", extract.function, batch)(IMAGES)  # noqa: E731
  yield from each("Extractor", "^batch must be a whole number from 1", in_batches, NOT_WHOLE)
  yield from each("Extractor", "gave features that are not finite", extract, [IMAGES * np.nan])
  whole = features.Extractor("x", lambda images: images)
  yield from each("Extractor", "must give features of shape .4, f., but", whole, [IMAGES])
  yield (
    "write_report",
    "^runs must name one work directory or more",
    lambda w: evaluation.write_report(w.folder / "r.html", []),
  )
  yield (
    "write_report",
    "holds no scored run: there is no summary.json",
    lambda w: evaluation.write_report(w.folder / "r.html", [w.folder]),
  )


PARTS = (_metrics, _of_images, _neighbours, _likelihood, _samplers, _inception, _features)
CASES = [case for part in PARTS for case in part()]
