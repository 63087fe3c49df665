"""Bad calls of metrics, latent densities, features and reports, mostly derived from signatures."""

import jax
import numpy as np
from robustness.cases import derive, each, integer, key, kinds, no_array

from aejax import evaluation, metrics, networks, objectives

Z = np.linspace(-1, 1, 24, dtype=np.float32).reshape(12, 2)
IMAGES = np.linspace(0, 1, 4 * 16, dtype=np.float32).reshape(4, 4, 4, 1)
BYTES = (IMAGES * 255).astype(np.uint8)
WIDE = np.eye(12, dtype=np.float32)
NOT_FINITE = Z.copy()
NOT_FINITE[3, 1] = np.nan
SHAPE = r"must have shape \[n, d\]|must be .*n, d.*, but has"


def _key():
  return jax.random.key(0)


def _features(name):
  """Kinds of mistakes about an array of feature vectors or latents."""
  return {
    rf"^{name} ({SHAPE})": [Z[0]],
    f"^{name} must be finite, but": [NOT_FINITE],
    **no_array(name),
  }


def _more_features(name):
  return {
    rf"^{name} ({SHAPE})": [Z[:1], Z[:, :0], np.float32(3)],
    f"^{name} must be an array of numbers, but": ["z.npy", [[1.0], [1.0, 2.0]], Z.astype(object)],
    f"^{name} must (be|have a) floating-point": [Z.astype(np.int32), Z > 0],
    f"^{name} must be finite, but": [np.where(Z > 0.9, np.inf, Z)],
  }


def _metrics_of_features():
  functions = [
    metrics.mardia_skewness,
    metrics.mardia_kurtosis,
    metrics.latent_metrics,
    metrics.frechet_distance,
    metrics.kernel_distance,
    metrics.kernel_distance_in_blocks,
    metrics.prdc,
    metrics.marginal_distance,
    metrics.correlation_difference,
    metrics.normal_baseline,
    metrics.null_distribution,
    metrics.prior_test,
  ]
  features = ("z", "first", "second", "real", "generated")
  good = {name: Z for name in features} | {"key": _key(), "n": 4, "d": 2}
  good |= {"distance": "energy_distance", "dim": 2}
  same = "must (have|be of) one dimension"
  bad = {
    "z": _features("z"),
    "first": _features("first"),
    "second": _features("second") | {same: [WIDE]},
    "real": _features("real"),
    "generated": _features("generated") | {same: [WIDE]},
    "key": key("key"),
    "n": integer("n", least=2),
    "d": integer("d"),
    "dim": integer("dim"),
    "distance": {"^There is no distance 'wasserstein'": ["wasserstein"]},
    "prior": {"^prior must be None or a prior": ["sphere"]},
    "draws": integer("draws", least=2),
    "null_distribution.draws": integer("draws", least=10),
    "prior_test.draws": integer("draws", least=10),
    "block_size": integer("block_size", least=2),
    "blocks": integer("blocks", least=2),
  }
  for name in ("precision_neighbours", "coverage_neighbours"):
    few = r"^real must have shape \[n, d\] with n at least"
    bad[name] = integer(name) | {few: [12]}
  more = {"z": _more_features("z"), "n": {"^n must be less than 2.31": [2**40]}}
  yield from derive({f.__name__: f for f in functions}, good, bad, more)


def _label_accuracy():
  classes = np.arange(len(Z)) % 2
  good = {"train": Z, "test": Z, "train_labels": classes, "test_labels": classes}
  bad = {
    "train": _features("train"),
    "test": _features("test") | {"must (have|be of) one dimension": [WIDE]},
    "train_labels": {
      "^train_labels must have shape": [classes[1:], classes[:, None]],
      "^train_labels must hold two classes or more": [0 * classes],
    },
    "test_labels": {"^test_labels must have shape": [classes[1:]]},
  }
  yield from derive({"label_accuracy": metrics.label_accuracy}, good, bad)


def _moments():
  moments = metrics.Moments.of(Z)
  yield from kinds("Moments", _features("features"), metrics.Moments.of)
  added = "^What is added to Moments must be Moments, but"
  yield from each("Moments", added, lambda v: moments + v, [None, Z])
  call = lambda v: moments + metrics.Moments.of(v)  # noqa: E731
  yield from each("Moments", "^Moments must be of one dimension", call, [WIDE])
  few = "^A covariance needs at least 2"
  yield from each("Moments", few, lambda v: metrics.Moments.of(v).covariance, [Z[:1]])
  call = lambda v: metrics.frechet_distance(metrics.Moments.of(v), Z)  # noqa: E731
  yield from each("frechet_distance", few, call, [Z[:1]])


def _metrics_of_images():
  good = {"images": IMAGES, "reconstructions": IMAGES}
  shape = "^images and reconstructions must have one shape"
  bad = {
    "images": {shape: [IMAGES[:3]], **no_array("images")},
    "reconstructions": {
      "^reconstructions must be floating-point": [BYTES],
      "must be finite, but hold NaN": [np.full_like(IMAGES, np.nan)],
      **no_array("reconstructions"),
    },
  }
  function = metrics.reconstruction_error
  yield from derive({"reconstruction_error": function}, good, bad)
  both = {
    "^images must be a non-empty": [IMAGES[:0], Z[0]],
    "^images must be floating-point in .0, 1., but have uint8": [BYTES],
  }
  yield from kinds("reconstruction_error", both, lambda v: function(v, v))
  good = {"generated": IMAGES, "training": IMAGES}
  bad = {"num": integer("num") | {"^num must be between 1 and 4, but is": [5]}}
  for name in good:
    bad[name] = {
      f"^{name} must be a non-empty": [Z[0], IMAGES[:0]],
      f"^{name} must be uint8, or floats": [IMAGES > 0],
      f"^{name} must be finite": [IMAGES * np.nan],
      "must hold images of one shape": [IMAGES[:, :3]],
      **no_array(name),
    }
  bad["training"]["^training must hold two different"] = [IMAGES[[0, 0]]]
  yield from derive({"nearest_training_images": metrics.nearest_training_images}, good, bad)


def _likelihood():
  def model(architecture="mlp", gaussian=True):
    options = dict(latent_dim=2, gaussian=gaussian, key=_key())
    return networks.build(architecture, (4, 4, 1), **options)

  vae = objectives.VAE()
  good = {"model": model(), "images": IMAGES, "objective": vae, "key": _key(), "samples": 2}
  bad = {
    "model": {
      "^model must be an Autoencoder, but": ["model"],
      "^model must have a Gaussian encoder": [model(gaussian=False)],
    },
    "images": {
      "^images must be a non-empty .n, ...., but have": [IMAGES[0, 0, :, 0], IMAGES[:0]],
      "^images must be uint8, or floats": [IMAGES > 0],
      "^The bounds must be finite": [IMAGES * np.nan],
      **no_array("images"),
    },
    "samples": integer("samples"),
    "key": key("key"),
    "objective": {
      "^objective must be a VAE, but is": [objectives.CWAE(), objectives.VAE],
      "^objective must have a positive beta": [objectives.VAE(beta=0.0)],
    },
  }
  name, bound = "importance_weighted_bound", metrics.importance_weighted_bound
  yield from derive({name: bound}, good, bad)
  binary = objectives.VAE(reconstruction="binary_cross_entropy")
  call = lambda v: bound(v, IMAGES, objective=binary, key=_key(), samples=2)  # noqa: E731
  yield from each(name, "^model must have the output .sigmoid", call, [model("linear")])


def _densities():
  components = {"components": 1}
  for name, options in (
    ("PriorSampler", {}),
    ("GaussianSampler", {}),
    ("MixtureSampler", components),
  ):
    fit = lambda v, n=name, o=options: getattr(metrics, n).fit(v, key=_key(), **o)  # noqa: E731
    latents = {f"^latents ({SHAPE})": [Z[0]], "^latents must be finite": [NOT_FINITE]}
    yield from kinds(name, latents | no_array("latents"), fit)
    yield from kinds(name, key("key"), lambda v, f=fit: f(Z).sample(v, 3))
    yield from kinds(name, integer("num"), lambda v, f=fit: f(Z).sample(_key(), v))
  yield from kinds("PriorSampler", integer("dim"), metrics.PriorSampler)
  mixture = metrics.MixtureSampler
  few = r"^latents must have shape .* n at least 20"
  call = lambda v: mixture.fit(Z, key=_key(), components=v)  # noqa: E731
  yield from kinds("MixtureSampler", integer("components") | {few: [10]}, call)
  yield from kinds("MixtureSampler", key("key"), lambda v: mixture.fit(Z, key=v))


def _inception():
  name, inception = "inception", metrics.inception
  yield from each(name, "^path must be a path, but is", inception, [None, b"weights.pth"])
  nowhere = "^path must be that of weights-inception-2015-12-05-6726825d.pth, but there is no file"
  yield from each(name, nowhere, inception, ["nowhere.pth", "", "/dev/zero", "a\0b", "x" * 300])
  yield name, nowhere, lambda w: inception(w.folder)
  yield from each(name, "^path is .*no such home", inception, ["~nobody-here/weights.pth"])
  other = "whose SHA-256 begins with 6726825d, but its own begins with "
  yield name, f"{other}e3b0c442", lambda w: inception(w.file)
  yield name, other, lambda w: inception(w.images)


def _features_of_images():
  known = "^No classifier comes with aejax for|^dataset must be"
  yield from each("classifier", known, metrics.classifier, ["mnits", "../digits", None])
  name, make = "Extractor", metrics.Extractor
  extract = make("x", lambda images: images.reshape(len(images), -1))
  bad = {
    "^images must (be one at least|hold at least one)": [IMAGES[:0]],
    "^images must have shape": [Z],
    "^images must be uint8, or floats in .0, 1., but": [IMAGES > 0],
    "gave features that are not finite": [IMAGES * np.nan],
    **no_array("images"),
  }
  yield from kinds(name, bad, extract)
  yield from kinds(name, integer("batch"), lambda v: make("x", extract.function, v)(IMAGES))
  shape = "must give features of shape .4, f., but"
  yield from each(name, shape, lambda v: make("x", v)(IMAGES), [lambda images: images])


def _reports():
  name, write = "write_report", evaluation.write_report
  yield name, "^runs must name one work directory", lambda w: write(w.folder / "r.html", [])
  missing = "holds no scored run: there is no summary.json"
  yield name, missing, lambda w: write(w.folder / "r.html", [w.folder])


PARTS = (
  _label_accuracy,
  _metrics_of_features,
  _moments,
  _metrics_of_images,
  _likelihood,
  _densities,
  _inception,
  _features_of_images,
  _reports,
)
CASES = [case for part in PARTS for case in part()]
