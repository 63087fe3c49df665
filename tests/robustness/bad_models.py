"""Bad calls of priors, objectives, networks and the autoencoder.

One case for each argument and kind of mistake.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from robustness.cases import each

from aejax import Autoencoder, networks, objectives, priors

Z = np.linspace(-1, 1, 12, dtype=np.float32).reshape(6, 2)
IMAGES = np.zeros((4, 8, 8, 1), np.float32)
SHAPE = (8, 8, 1)
# Too small, not whole, wrong type.
NOT_WHOLE = [0, 2.5, "two"]
NOT_POSITIVE = [0.0, np.nan, "one"]
NOT_WEIGHTS = [-1.0, np.nan, "heavy"]
NOT_SWITCHES = ["yes"]
NOT_KEYS = ["seed", np.zeros(3)]


def _key():
  return jax.random.key(0)


def _mixture(weights=(0.5, 0.5), means=((0.0, 1.0), (1.0, 0.0)), variances=(1.0, 1.0)):
  return priors.GaussianMixture(weights, means, variances)


WHOLE = "^dim must be (a whole number from 1 up|less than 2.31), but is"
FORMS = (
  r"^weights, means and variances must have shapes \[k\], \[k, d\] and \[k\], but have |"
  "^(weights|means|variances) must be an array of numbers, but is a float"
)


def _priors():
  kinds = ("StandardNormal", "UniformSphere", "UniformBall", "UniformCube")
  for name in kinds:
    make = getattr(priors, name)
    yield from each(name, WHOLE, make, [*NOT_WHOLE, 2**40])
    prior = make(2)
    yield from each(name, "^key must be", lambda k, p=prior: p.sample(k, 3), NOT_KEYS)
    n = "^n must be (a whole number from 0 up|less than 2.31), but is"
    sample = lambda v, p=prior: p.sample(_key(), v)  # noqa: E731
    yield from each(name, n, sample, [-1, 2.5, "many", 2**40])
    if name != "UniformSphere":
      wrong = lambda z, p=prior: p.log_prob(z)  # noqa: E731
      yield from each(name, "^z has dimension 3, but the prior", wrong, [np.zeros((4, 3))])
      yield from each(name, "^z must be an array of numbers, but is", wrong, ["z"])
      yield from each(name, "^z must have a last axis, but is a single", wrong, [np.float32(1)])
  for name, argument in zip(kinds[1:], ("radius", "radius", "half_width"), strict=True):
    make = getattr(priors, name)
    positive = f"^{argument} must be positive and finite, but is"
    yield from each(name, positive, lambda v, m=make: m(2, v), NOT_POSITIVE)
  name = "GaussianMixture"
  yield from each(name, FORMS, lambda v: _mixture(weights=v), [(0.5,), [[0.5], [0.5]]])
  yield from each(name, FORMS, lambda v: _mixture(means=v), [(0.5, 0.5), np.zeros((2, 0))])
  yield from each(name, FORMS, lambda v: _mixture(variances=v), [(1.0, 1.0, 1.0), np.eye(2)])
  for argument, what in (
    ("weights", "finite and not negative"),
    ("means", "finite"),
    ("variances", "finite and positive"),
  ):
    make = lambda v, a=argument: _mixture(**{a: v})  # noqa: E731
    yield from each(name, f"^{argument} must be an array of numbers, but is", make, ["x"])
    shape = (2, 2) if argument == "means" else (2,)
    values = [np.full(shape, np.nan)]
    values += [] if argument == "means" else [np.array([-1.0, 2.0]), np.zeros(2)]
    yield from each(name, f"^{argument} must (be {what}, but one is|not all be zero)", make, values)
  yield from each(name, "^key must be", lambda k: _mixture().sample(k, 3), NOT_KEYS)
  yield from each(name, "^n must be a whole", lambda n: _mixture().sample(_key(), n), [-1, 0.5])
  yield name, "^z has dimension 3", lambda _: _mixture().log_prob(np.zeros((1, 3)))
  yield name, "^z must be an array of numbers", lambda _: _mixture().log_prob("z")


def _objectives():
  o = objectives
  weight = "^(The weight of the penalty|weight|beta|decay) must be finite and not negative, but is"
  for name in ("CWAE", "SWAE", "WAEMMD", "Energy", "SIGReg", "Sinkhorn", "RAE"):
    make = getattr(o, name)
    yield from each(name, weight, lambda v, m=make: m(weight=v), NOT_WEIGHTS)
  yield from each("VAE", weight, lambda v: o.VAE(beta=v), NOT_WEIGHTS)
  yield from each("RAE", weight, lambda v: o.RAE(decay=v), NOT_WEIGHTS)
  for name in ("AE", "VAE", "CWAE", "InfoVAE", "RAE", "Objective"):
    make = getattr(o, name)
    values = ["squared", None]
    kind = "^reconstruction must be squared_error or binary_cross_entropy, but is"
    yield from each(name, kind, lambda v, m=make: m(reconstruction=v), values)
  for name in ("CWAE", "SWAE", "WAEMMD", "Energy"):
    make = getattr(o, name)
    switch = "^sample_prior must be True or False, but is"
    yield from each(name, switch, lambda v, m=make: m(sample_prior=v), NOT_SWITCHES)
  for name in ("CWAE", "SWAE", "WAEMMD", "Energy", "Sinkhorn"):
    make = getattr(o, name)
    values = ["normal", priors.StandardNormal]
    yield from each(name, "^prior must be None or a prior", lambda v, m=make: m(prior=v), values)
  yield from each("CWAE", "^log must be True or", lambda v: o.CWAE(log=v), NOT_SWITCHES)
  yield from each("CWAE", "^approximate must be", lambda v: o.CWAE(approximate=v), NOT_SWITCHES)
  many = "^num_directions must be (a whole number from 1 up|less than 2.31), but is"
  yield from each("SWAE", many, lambda v: o.SWAE(num_directions=v), [*NOT_WHOLE, 2**40])
  kernel = "^kernel must be a kernel such as .*, but is"
  for make in (o.WAEMMD, o.InfoVAE):
    values = ["imq"]
    yield from each(make.__name__, kernel, lambda v, m=make: m(kernel=v), values)
  epsilon = "^epsilon must be positive and finite, but is"
  yield from each("Sinkhorn", epsilon, lambda v: o.Sinkhorn(epsilon=v), NOT_POSITIVE)
  alpha = "^1 − alpha must be finite and not negative, but is|^alpha must be a finite number"
  yield from each("InfoVAE", alpha, lambda v: o.InfoVAE(alpha=v), [2.0, np.nan, "half"])
  alpha = "^alpha . weight − 1 must be finite|^The weight of the penalty must be|^weight must be"
  yield from each("InfoVAE", alpha, lambda v: o.InfoVAE(weight=v), [-1.0, np.nan, "x"])
  make = o.make
  known = "^There is no method .*There are ae, vae, wae-mmd"
  yield from each("make", known, lambda v: make(v, {}), ["cwea", "cwae+", None])
  yield "make", "^A sum names each method once, but", lambda _: make("cwae+cwae", {})
  unknown = "^There is no field of cwae 'wieght': did you mean weight"
  yield "make", unknown, lambda _: make("cwae", {"wieght": 1.0})
  yield (
    "make",
    "^There is no field of cwae.energy 'weight': did you mean cwae_weight",
    lambda _: make("cwae+energy", {"weight": 1.0}),
  )
  yield from each("make", "^fields must be a dict", lambda v: make("cwae", v), [None])
  yield (
    "Combined",
    "^Objectives with different reconstruction terms",
    lambda _: o.CWAE() + o.AE(reconstruction="binary_cross_entropy"),
  )
  added = "^What is added to an objective must be an objective, but is"
  yield from each("Combined", added, lambda v: o.CWAE() + v, [1.0])
  yield from each("Combined", "^terms must be objec", lambda v: o.Combined(terms=v), [(), None])
  yield from each("Objective", "^model must be an Autoencoder", _cost_of, ["model", _Flat()])
  model = _model()
  yield "Objective", "^images must have shape", lambda _: o.CWAE()(model, IMAGES[0], key=_key())
  yield "Objective", "^images must be an array", lambda _: o.CWAE()(model, "x", key=_key())
  for value in NOT_WHOLE:
    yield (
      "Objective",
      "^accumulate must be a whole number from 1 up, but is",
      lambda _, v=value: o.CWAE()(model, IMAGES, key=_key(), accumulate=v),
    )
  yield (
    "Objective",
    "^accumulate must divide the batch of 4, but is 3",
    lambda _: o.CWAE()(model, IMAGES, key=_key(), accumulate=3),
  )
  for value in NOT_KEYS:
    call = lambda _, v=value: o.VAE()(_model(gaussian=True), IMAGES, key=v)  # noqa: E731
    yield "Objective", "^key must be", call
  yield "VAE", "^VAE needs a Gaussian encoder", lambda _: o.VAE()(model, IMAGES, key=_key())
  yield (
    "CWAE",
    "^CWAE needs a deterministic",
    lambda _: o.CWAE()(_model(gaussian=True), IMAGES, key=_key()),
  )
  yield (
    "AE",
    "^The decoder gives images of shape",
    lambda _: o.AE()(
      Autoencoder(_Flat(), lambda z: jnp.zeros((len(z), 4, 4, 1)), latent_dim=64),
      IMAGES,
      key=_key(),
    ),
  )
  yield (
    "AE",
    "^binary_cross_entropy needs an Autoencoder with output",
    lambda _: o.AE(reconstruction="binary_cross_entropy")(_model("linear"), IMAGES, key=_key()),
  )


class _Flat(nnx.Module):
  def __call__(self, images):
    return images.reshape(len(images), -1)


def _cost_of(model):
  return objectives.CWAE()(model, IMAGES, key=_key())


def _model(architecture="mlp", **options):
  return networks.build(architecture, SHAPE, latent_dim=2, key=_key(), **options)


NOT_SHAPES = [
  (8, 8),
  (8, 8, 0),
  (8.5, 8, 1),
  None,
  ("8", 8, 1),
  (2**40, 8, 1),
]
IMAGE_SHAPE = r"^image_shape must be \(height, width, channels\), whole numbers from 1 up, but is"
LATENT_DIM = (
  "^latent_dim must be (a whole number from 1 up|less than 2.31|at most 1073741823), but is"
)


def _networks():
  def build(architecture="mlp", shape=SHAPE, **options):
    return networks.build(architecture, shape, **{"latent_dim": 2, "key": _key(), **options})

  names = ["mpl", None]
  known = "^There is no architecture .* There are linear, mlp, convolutional"
  yield from each("build", known, build, names)
  yield from each("build", IMAGE_SHAPE, lambda v: build(shape=v), NOT_SHAPES)
  yield from each("build", LATENT_DIM, lambda v: build(latent_dim=v), [*NOT_WHOLE, 2**40])
  yield from each("build", "^gaussian must be", lambda v: build(gaussian=v), NOT_SWITCHES)
  dtype = "^dtype must be a floating-point type, but is"
  yield from each("build", dtype, lambda v: build(dtype=v), ["int32", "half-float"])
  yield from each("build", "^key must be", lambda v: build(key=v), NOT_KEYS)
  default = networks.default_architecture
  yield from each("default_architecture", IMAGE_SHAPE, default, NOT_SHAPES)
  for name in networks.__all__:
    make = getattr(networks, name)
    if not name.endswith(("Encoder", "Decoder")):
      continue

    def one(shape=SHAPE, dim=2, make=make, **options):
      return make(shape, dim, **{"rngs": nnx.Rngs(0), **options})

    yield from each(name, IMAGE_SHAPE, lambda v, f=one: f(v), NOT_SHAPES[:4])
    yield from each(name, LATENT_DIM, lambda v, f=one: f(dim=v), NOT_WHOLE)
    yield from each(name, "^rngs must be an nnx.Rngs, but", lambda v, f=one: f(rngs=v), [None])
    yield from each(name, dtype, lambda v, f=one: f(dtype=v), ["int32"])
    if name.endswith("Encoder"):
      switch = "^gaussian must be True or False"
      yield from each(name, switch, lambda v, f=one: f(gaussian=v), NOT_SWITCHES)
      apply = lambda v, f=one: nnx.eval_shape(lambda: f()(v))  # noqa: E731
      yield from each(name, "^images must have shape", apply, [np.zeros((2, 9, 8, 1), "f")])
      yield from each(name, "^images must be an array", apply, ["x"])
    else:
      apply = lambda v, f=one: nnx.eval_shape(lambda: f()(v))  # noqa: E731
      yield from each(name, "^latents must have shape", apply, [np.zeros((3, 5), "f")])
      yield from each(name, "^latents must be an array", apply, ["x"])
    if name.startswith("MLP"):
      sizes = "^hidden_sizes must be whole numbers from 1 up, but"
      values = [(0,), (2.5,), None]
      yield from each(name, sizes, lambda v, f=one: f(hidden_sizes=v), values)
    if name.startswith("Convolutional"):
      sizes = "^channels must be whole numbers from 1 up, but"
      values = [(0,), (2.5,), "abc", ()]
      yield from each(name, sizes, lambda v, f=one: f(channels=v), values)
      hidden = "^hidden_size must be a whole number from 1 up, but is"
      yield from each(name, hidden, lambda v, f=one: f(hidden_size=v), NOT_WHOLE)


def _autoencoder():
  flat = _Flat()

  def make(encoder=flat, decoder=lambda z: z.reshape(-1, 8, 8, 1), latent_dim=64, **options):
    return Autoencoder(encoder, decoder, latent_dim=latent_dim, **options)

  name = "Autoencoder"
  yield from each(name, LATENT_DIM, lambda v: make(latent_dim=v), [*NOT_WHOLE, 2**40])
  output = "^There is no output .* There are identity, sigmoid, tanh"
  yield from each(name, output, lambda v: make(output=v), ["relu", None])
  yield from each(name, "^encoder must be a function", lambda v: make(encoder=v), ["mlp"])
  yield from each(name, "^decoder must be a function", lambda v: make(decoder=v), ["mlp"])
  yield (
    name,
    "^encoder and decoder may hold nnx.Param only",
    lambda _: make(nnx.BatchNorm(3, rngs=nnx.Rngs(0))),
  )
  model = make()
  for method in (model.encode, model.posterior, model.reconstruct):
    yield from each(name, "^images must have shape", method, [IMAGES[0]])
    yield from each(name, "^images must be an array of numbers", method, ["x"])
    wrong = "^images must be floats in .0, 1., not"
    yield from each(name, wrong, method, [IMAGES.astype("uint8")])
  for method in (model.decode, model.logits):
    yield from each(name, r"^latents must have shape \(n, 64\)", method, [Z])
    yield from each(name, "^latents must be an array of numbers", method, ["x"])
  num = "^num must be (a whole number from 1 up|less than 2.31), but is"
  yield from each(name, num, lambda v: model.generate(_key(), v), [*NOT_WHOLE, 2**40])
  yield from each(name, "^key must be", lambda v: model.generate(v, 3), NOT_KEYS)
  returned = "^encoder must return"
  for encoder in (lambda x: x, lambda x: None, lambda x: (1, 2, 3)):
    yield name, returned, lambda _, e=encoder: make(e).encode(IMAGES)
  for decoder in (lambda z: z, lambda z: None, lambda z: z[:1].reshape(-1, 8, 8, 1)):
    yield (
      name,
      "^decoder must return images",
      lambda _, d=decoder: make(decoder=d).decode(np.zeros((3, 64), "f")),
    )
  yield (
    name,
    "^decoder must return images of shape",
    lambda _: make(decoder=lambda z: z.reshape(-1, 4, 16, 1)).reconstruct(IMAGES),
  )


CASES = [*_priors(), *_objectives(), *_networks(), *_autoencoder()]
