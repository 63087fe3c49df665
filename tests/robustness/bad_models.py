"""Bad calls of priors, objectives, networks and the autoencoder.

Most are derived from signatures, and from the fields of objectives.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from robustness.cases import (
  boolean,
  derive,
  each,
  integer,
  key,
  kinds,
  no_array,
  not_negative,
  positive,
)

from aejax import Autoencoder, networks, objectives, priors

IMAGES = np.zeros((4, 8, 8, 1), np.float32)
SHAPE = (8, 8, 1)
WIDE = np.zeros((4, 3), np.float32)


def _key():
  return jax.random.key(0)


def _priors():
  makers = {
    name: getattr(priors, name)
    for name in priors.__all__
    if name not in ("Prior", "GaussianMixture", "Normal")
  }
  sizes = {name: positive(name) for name in ("radius", "half_width", "scale", "df")}
  large = {"^dim must be less than 2.31": [2**40]}
  bad = {"dim": integer("dim"), **sizes}
  yield from derive(makers, {"dim": 2, "df": 3.0}, bad, {"dim": large})
  makers["StudentT"] = lambda dim: priors.StudentT(dim, df=3.0)
  makers["Normal"] = lambda dim: priors.Normal(np.zeros(dim), np.eye(dim))
  for name, make in makers.items():
    yield from _methods_of_prior(name, lambda make=make: make(2))
  single = "^z must have a last axis, but is a single"
  call = lambda v: priors.StandardNormal(2).log_prob(v)  # noqa: E731
  yield from each("StandardNormal", single, call, [np.float32(1)])


def _methods_of_prior(name, make):
  yield from kinds(name, key("key"), lambda v: make().sample(v, 3))
  yield from kinds(name, integer("n", least=0), lambda v: make().sample(_key(), v))
  if hasattr(getattr(priors, name), "log_prob"):
    wrong = {"^z has dimension 3, but the prior": [WIDE]}
    yield from kinds(name, wrong | no_array("z"), lambda v: make().log_prob(v))


def _mixtures():
  name = "GaussianMixture"
  good = {
    "weights": (0.5, 0.5),
    "means": ((0.0, 1.0), (1.0, 0.0)),
    "variances": (1.0, 1.0),
  }
  shapes = r"^weights, means and variances must have shapes \[k\], \[k, d\] and \[k\], but have "
  bad = {
    "weights": {
      shapes: [(0.5,), ()],
      "^weights must be finite and not negative, but one is": [(np.nan, 1.0), (-1.0, 2.0)],
      "^weights must not all be zero": [(0.0, 0.0)],
    },
    "means": {shapes: [(0.5, 0.5)], "^means must be finite, but one is": [np.full((2, 2), np.nan)]},
    "variances": {
      shapes: [(1.0, 1.0, 1.0)],
      "^variances must be finite and positive, but one is": [(np.inf, 1.0), (0.0, 1.0)],
    },
  }
  bad = {argument: table | no_array(argument) for argument, table in bad.items()}
  yield from derive({name: priors.GaussianMixture}, good, bad)
  yield from _methods_of_prior(name, lambda: priors.GaussianMixture(**good))


_ANY_WEIGHT = {"^.* must be finite and not negative, but is": [-1.0, np.nan]}
FIELDS = {
  "weight": _ANY_WEIGHT,
  "beta": _ANY_WEIGHT,
  "decay": not_negative("decay"),
  "epsilon": positive("epsilon"),
  "num_directions": integer("num_directions"),
  "sample_prior": boolean("sample_prior"),
  "log": boolean("log"),
  "approximate": boolean("approximate"),
  "alpha": {
    "^alpha must be a finite number, but is": [np.nan],
    "^1 − alpha must be finite and not negative, but is": [2.0],
  },
  "prior": {"^prior must be None or a prior": ["normal", priors.StandardNormal]},
  "kernel": {"^kernel must be a kernel such as .*, but is": ["imq"]},
  "reconstruction": {
    "^reconstruction must be squared_error or binary_cross_entropy, but is": ["squared"]
  },
}
_MORE_FIELDS = {
  "weight": {"^.* must be finite and not negative, but is": [np.inf, "heavy", None, (1.0,)]},
  "reconstruction": {"^reconstruction must be .*, but is": [None, ["squared_error"]]},
}


def _methods():
  classes = {kind.__name__: kind for kind in objectives.BY_NAME.values()}
  yield from derive(classes, {}, FIELDS, _MORE_FIELDS)
  name, make = "make", objectives.make
  known = "^There is no method .*There are ae, vae, wae-mmd"
  yield from each(name, known, lambda v: make(v, {}), ["cwea", "cwae+", None])
  twice = "^A sum names each method once, but"
  yield from each(name, twice, lambda v: make(v, {}), ["cwae+cwae"])
  unknown = "^There is no field of cwae 'wieght': did you mean weight"
  yield from each(name, unknown, lambda v: make("cwae", {v: 1.0}), ["wieght"])
  unknown = "^There is no field of cwae.energy 'weight': did you mean cwae_weight"
  yield from each(name, unknown, lambda v: make("cwae+energy", {v: 1.0}), ["weight"])
  yield from each(name, "^fields must be a dict", lambda v: make("cwae", v), [None])
  name, named = "named_prior", objectives.named_prior
  yield from each(name, "^prior must be normal", lambda v: named(v, 2), ["sphere:2", None])
  yield from kinds(name, integer("latent_dim"), lambda v: named("ball", v))
  name, with_prior = "with_prior", objectives.with_prior
  only = r"^.* matches the latents to (N\(0, I\) only|no prior)"
  call = lambda v: with_prior(v, priors.UniformBall(2))  # noqa: E731
  yield from each(name, only, call, [objectives.VAE(), objectives.AE()])


class _Flat(nnx.Module):
  def __call__(self, images):
    return images.reshape(len(images), -1)


def _model(architecture="mlp", **options):
  return networks.build(architecture, SHAPE, latent_dim=2, key=_key(), **options)


def _costs():
  o, model = objectives, _model()
  cross_entropy = o.AE(reconstruction="binary_cross_entropy")
  good = {"model": model, "images": IMAGES, "key": _key()}
  bad = {
    "model": {"^model must be an Autoencoder": [None, _Flat()]},
    "images": {"^images must have shape": [IMAGES[0, 0, 0]], **no_array("images")},
    "key": key("key"),
    "axis_name": {},
    "accumulate": {
      **integer("accumulate"),
      "^accumulate must divide the batch .*4, but is 3": [3],
    },
    "weight_factor": not_negative("weight_factor"),
  }
  yield from derive({"Objective": o.CWAE()}, good, bad)
  added = "^What is added to an objective must be an objective, but is"
  yield from each("Combined", added, lambda v: o.CWAE() + v, [1.0, o.AE])
  terms = "^terms must be "
  yield from each("Combined", terms, lambda v: o.Combined(terms=v), [(), None, (3,)])
  different = "^Objectives with different reconstruction terms"
  yield from each("Combined", different, lambda v: o.CWAE() + v, [cross_entropy])
  small = Autoencoder(_Flat(), lambda z: jnp.zeros((len(z), 4, 4, 1)), latent_dim=64)
  for objective, wrong, pattern in (
    (o.VAE(), model, "^VAE needs a Gaussian encoder"),
    (o.CWAE(), _model(gaussian=True), "^CWAE needs a deterministic"),
    (o.AE(), small, "^The decoder gives images of shape"),
    (cross_entropy, _model("linear"), "^binary_cross_entropy needs an Autoencoder with output"),
  ):
    call = lambda v, f=objective: f(v, IMAGES, key=_key())  # noqa: E731
    yield from each(type(objective).__name__, pattern, call, [wrong])


_SHAPES = (
  r"^image_shape must be \(height, width, channels\), or .*, whole numbers from 1 up, but is"
)
_DTYPE = "^dtype must be a floating-point type, but is"
_HIDDEN = "^hidden_sizes must be whole numbers from 1 up, but"
_CHANNELS = "^channels must (be whole numbers|contain at least one whole number) from 1 up, but"
_LATENT_DIM = "^latent_dim must be a whole number from 1 up, but is"


def _networks():
  good = {
    "architecture": "mlp",
    "image_shape": SHAPE,
    "latent_dim": 2,
    "key": _key(),
    "rngs": nnx.Rngs(0),
  }
  bad = {
    "architecture": {
      "^There is no architecture .* There are linear, mlp": ["mpl", None],
      "^The network nowhere:f cannot be imported": ["nowhere:f"],
    },
    "image_shape": {_SHAPES: [()]},
    "latent_dim": {_LATENT_DIM: [0]},
    "output": {"^There is no output .* There are identity, sigmoid, tanh": ["relu"]},
    "gaussian": boolean("gaussian"),
    "dtype": {_DTYPE: ["int32"]},
    "key": key("key"),
    "rngs": {"^rngs must be an nnx.Rngs, but": [0]},
    "hidden_sizes": {_HIDDEN: [(200, 0), 200]},
    "hidden_size": integer("hidden_size"),
    "channels": {_CHANNELS: [(32, 0), ()]},
  }
  more = {
    "image_shape": {_SHAPES: [(8, 8, 8, 8, 1), (8, 8, 0), (8.5, 8, 1), "8x8", None, (2**40, 8, 1)]},
    "latent_dim": {_LATENT_DIM: [2.5], "^latent_dim must be at most 1073741823": [2**40]},
    "dtype": {_DTYPE: ["f99", []]},
  }
  makers = {name: getattr(networks, name) for name in networks.__all__ if name != "ARCHITECTURES"}
  makers = {"build": makers.pop("build")} | makers
  yield from derive(makers, good, bad, more)
  for name, make in makers.items():
    if name.endswith(("Encoder", "Decoder")):
      argument = "images" if name.endswith("Encoder") else "latents"
      apply = lambda v, f=make: nnx.eval_shape(lambda: f(SHAPE, 2, rngs=nnx.Rngs(0))(v))  # noqa: E731
      yield from each(name, f"^{argument} must have shape", apply, [np.zeros((3, 9), "f")])


def _autoencoder():
  flat = _Flat()

  def make(encoder=flat, decoder=lambda z: z.reshape(-1, 8, 8, 1)):
    return Autoencoder(encoder, decoder, latent_dim=64)

  model = make()
  name, good = "Autoencoder", {"encoder": model.encoder, "decoder": model.decoder, "latent_dim": 64}
  bad = {
    "encoder": {"^encoder must be a function": ["mlp"]},
    "decoder": {"^decoder must be a function": ["mlp"]},
    "latent_dim": integer("latent_dim"),
    "output": {"^There is no output .* There are identity, sigmoid, tanh": ["relu", jax.nn.relu]},
    "prior": {
      "^prior must be None or a prior": ["normal", 3],
      "^prior has dimension 2, but latent_dim is 64": [priors.UniformSphere(2)],
    },
  }
  yield from derive({name: Autoencoder}, good, bad)
  images = {
    "^images must have shape": [IMAGES[0, 0, 0]],
    "^images must be floats in .0, 1., not": [IMAGES.astype("uint8")],
    **no_array("images"),
  }
  yield from kinds(name, images, model.encode)
  for method in (model.posterior, model.reconstruct):
    yield from kinds(name, no_array("images"), method)
  latents = {r"^latents must have shape \(n, 64\)": [WIDE], **no_array("latents")}
  for method in (model.decode, model.logits):
    yield from kinds(name, latents, method)
  yield from kinds(name, integer("num"), lambda v: model.generate(_key(), v))
  yield from kinds(name, key("key"), lambda v: model.generate(v, 3))
  encoders = [lambda x: x, lambda x: None, lambda x: (1, 2, 3)]
  call = lambda v: make(v).encode(IMAGES)  # noqa: E731
  yield from each(name, "^encoder must return", call, encoders)
  decoders = [lambda z: z[:, 0], lambda z: None, lambda z: z[:1].reshape(-1, 8, 8, 1)]
  call = lambda v: make(decoder=v).decode(np.zeros((3, 64), np.float32))  # noqa: E731
  yield from each(name, "^decoder must return images", call, decoders)
  turned = [lambda z: z.reshape(-1, 4, 16, 1)]
  call = lambda v: make(decoder=v).reconstruct(IMAGES)  # noqa: E731
  yield from each(name, "^decoder must return images of shape", call, turned)


PARTS = (_priors, _mixtures, _methods, _costs, _networks, _autoencoder)
CASES = [case for part in PARTS for case in part()]
