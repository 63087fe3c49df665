import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.extend.core import jaxprs_in_params

from aejax import networks

SHAPES = [(8, 8, 1), (1, 1, 3), (33, 47, 3)]
MORE_SHAPES = [(28, 28, 1), (32, 32, 3), (64, 64, 3), (7, 5, 1)]
# test_celeb_a.py tests the CelebA network with its 27 million parameters.
SMALLER = [name for name in networks.ARCHITECTURES if name != "celeb_a"]
# The smallest image at which no layer of any architecture is trivial.
SMALL = (7, 5, 3)


@pytest.fixture(scope="module")
def built():
  """Builds each autoencoder once, with a Gaussian encoder, which includes the deterministic one."""
  models = {}

  def build(architecture):
    if architecture not in models:
      models[architecture] = networks.build(
        architecture, SMALL, latent_dim=4, gaussian=True, key=jax.random.key(0)
      )
    return models[architecture]

  return build


@pytest.fixture(scope="module")
def images():
  return np.random.default_rng(1).uniform(size=(3, *SMALL)).astype(np.float32)


@pytest.mark.parametrize(
  "image_shape", [*SHAPES, *(pytest.param(s, marks=pytest.mark.slow) for s in MORE_SHAPES)]
)
@pytest.mark.parametrize("architecture", networks.ARCHITECTURES)
def test_build_returns_the_right_shapes(architecture, image_shape):
  def outputs(key, images):
    model = networks.build(architecture, image_shape, latent_dim=5, gaussian=True, key=key)
    return model.posterior(images), model.reconstruct(images), model.generate(key, 3)

  images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
  posterior, reconstruction, generated = jax.eval_shape(outputs, jax.random.key(0), images)
  assert posterior.mean.shape == (2, 5)
  assert posterior.log_variance.shape == (2, 5)
  assert reconstruction.shape == (2, *image_shape)
  assert generated.shape == (3, *image_shape)


def test_network_under_jit_and_split_equals_eager(built, images):
  graphdef, params = nnx.split(built("convolutional"), nnx.Param)
  eager = nnx.merge(graphdef, params).reconstruct(images)
  jitted = jax.jit(lambda params, x: nnx.merge(graphdef, params).reconstruct(x))(params, images)
  # Each of eight layers sums up to 256 products of unit size in another order, which changes the
  # result by √256 · 6e-8 for each layer.
  np.testing.assert_allclose(jitted, eager, atol=1e-5)
  np.testing.assert_array_equal(built("convolutional").reconstruct(images), eager)


def test_network_vmaps_over_parameters_and_batches():
  keys = jax.random.split(jax.random.key(0), 2)
  models = [networks.build("mlp", SMALL, latent_dim=2, key=key) for key in keys]
  graphdef = nnx.graphdef(models[0])
  params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(nnx.state(m) for m in models))
  batches = np.random.default_rng(1).uniform(size=(2, 3, *SMALL)).astype(np.float32)
  mapped = jax.vmap(lambda params, x: nnx.merge(graphdef, params).reconstruct(x))(params, batches)
  for model, batch, result in zip(models, batches, mapped, strict=True):
    np.testing.assert_allclose(result, model.reconstruct(batch), atol=1e-5)


@pytest.mark.parametrize("architecture", SMALLER)
def test_network_gradient_reaches_every_parameter(built, images, architecture):
  graphdef, params = nnx.split(built(architecture), nnx.Param)

  def loss(params):
    model = nnx.merge(graphdef, params)
    mean, log_variance = model.posterior(images)
    return jnp.sum((model.decode(mean + jnp.exp(log_variance / 2)) - images) ** 2)

  for path, gradient in nnx.to_flat_state(jax.jit(jax.grad(loss))(params)):
    assert np.isfinite(gradient[...]).all(), path
    assert np.any(gradient[...] != 0), path
    if path == ("encoder", "latents", "linear", "kernel"):
      assert np.any(gradient[:, 4:] != 0)  # the log-variance starts at zero and must change


@pytest.mark.parametrize("architecture", SMALLER)
def test_decode_stays_in_range(built, architecture):
  graphdef, params = nnx.split(built(architecture), nnx.Param)
  # Large latents would exceed the range of an unbounded output.
  latents = np.random.default_rng(0).normal(scale=100, size=(20, 4)).astype(np.float32)
  images = jax.jit(lambda params, z: nnx.merge(graphdef, params).decode(z))(params, latents)
  assert np.isfinite(images).all()
  if architecture == "linear":
    assert images.min() < 0
    assert images.max() > 1
  else:
    assert 0 <= images.min() < images.max() <= 1


def _products(jaxpr):
  """Returns all matrix products and convolutions, also those in nested programs."""
  for equation in jaxpr.eqns:
    if equation.primitive.name in ("dot_general", "conv_general_dilated"):
      yield equation
    for inner in jaxprs_in_params(equation.params):
      yield from _products(inner)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
@pytest.mark.parametrize("gaussian", [False, True])
@pytest.mark.parametrize("architecture", networks.ARCHITECTURES)
def test_build_dtype_applies_only_to_the_computation(architecture, gaussian, dtype):
  abstract = nnx.eval_shape(
    lambda: networks.build(
      architecture, SMALL, latent_dim=4, gaussian=gaussian, dtype=dtype, key=jax.random.key(0)
    )
  )
  graphdef, params = nnx.split(abstract, nnx.Param)
  assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}

  def outputs(params, images):
    model = nnx.merge(graphdef, params)
    posterior = model.posterior(images)
    assert (posterior.log_variance is not None) == gaussian
    return posterior, model.logits(posterior.mean), model.reconstruct(images)

  jaxpr = jax.make_jaxpr(outputs)(params, jax.ShapeDtypeStruct((2, *SMALL), jnp.float32))
  products = list(_products(jaxpr.jaxpr))
  assert len(products) >= 2
  assert {v.aval.dtype for eqn in products for v in eqn.invars} == {jnp.dtype(dtype)}
  assert {aval.dtype for aval in jaxpr.out_avals} == {jnp.dtype("float32")}


def test_build_depends_on_the_key():
  def build(seed, **kwargs):
    return networks.build("mlp", (4, 4, 1), latent_dim=2, key=jax.random.key(seed), **kwargs)

  first, again, other = build(0), build(0), build(1)
  for a, b in zip(*(jax.tree.leaves(nnx.state(m)) for m in (first, again)), strict=True):
    np.testing.assert_array_equal(a, b)
  latents = jnp.ones((1, 2))
  assert np.any(first.decode(latents) != other.decode(latents))
  # A Gaussian network differs from the deterministic one only in the last layer of its encoder, so
  # that methods with the same seed start from the same parameters.
  gaussian = build(0, gaussian=True)
  np.testing.assert_array_equal(gaussian.decode(latents), first.decode(latents))
  images = jnp.ones((3, 4, 4, 1))
  np.testing.assert_allclose(gaussian.encode(images), first.encode(images), atol=1e-6)
  np.testing.assert_array_equal(gaussian.posterior(images).log_variance, np.zeros((3, 2)))


def test_build_uses_different_keys_for_encoder_and_decoder():
  model = networks.build("linear", (2, 2, 1), latent_dim=4, key=jax.random.key(0))
  encoder, decoder = model.encoder.latents.linear.kernel, model.decoder.to_pixels.kernel
  assert np.all(encoder[...] != decoder[...])


def test_build_gives_equal_graphdefs():
  """With different graphdefs, the training step would be compiled again for each seed."""
  graphdefs = [
    nnx.graphdef(networks.build("cifar10", (4, 4, 1), latent_dim=2, key=jax.random.key(seed)))
    for seed in range(2)
  ]
  assert graphdefs[0] == graphdefs[1]
  assert hash(graphdefs[0]) == hash(graphdefs[1])


@pytest.mark.parametrize("architecture", ["mlp", "convolutional"])
def test_build_initialises_to_values_of_unit_size(architecture):
  model = networks.build(architecture, (32, 32, 3), latent_dim=64, key=jax.random.key(0))
  graphdef, params = nnx.split(model, nnx.Param)

  @jax.jit
  def root_mean_squares(params, images, latents):
    model = nnx.merge(graphdef, params)
    encoded, logits = model.encode(images), model.logits(latents)
    return jnp.sqrt(jnp.mean(encoded**2)), jnp.sqrt(jnp.mean(logits**2))

  random = np.random.default_rng(0)
  images = random.uniform(size=(8, 32, 32, 3)).astype(np.float32)
  prior = random.normal(size=(8, 64)).astype(np.float32)
  latents, logits = root_mean_squares(params, images, prior)
  # Uniform pixels have mean square 1/3, and each layer keeps it except at the borders (√⅓ = .58).
  # Logits keep the mean square of N(0, I). With the usual fan-in, transposed convolutions would
  # halve the logits of "convolutional" three times.
  assert 0.25 < latents < 1
  assert 0.5 < logits < 2


@pytest.mark.parametrize(
  ("image_shape", "architecture"),
  [
    ((8, 8, 1), "mlp"),
    ((28, 28, 1), "mlp"),
    ((32, 32, 1), "mlp"),
    ((33, 32, 1), "convolutional"),
    ((28, 28, 3), "convolutional"),
    ((32, 32, 3), "convolutional"),
    ((64, 64, 3), "convolutional"),
  ],
)
def test_default_architecture_follows_from_image_shape(image_shape, architecture):
  assert networks.default_architecture(image_shape) == architecture


@pytest.mark.parametrize(
  ("changes", "sentence"),
  [
    (
      {"architecture": "convolution"},
      "There is no architecture 'convolution': did you mean convolutional",
    ),
    ({"architecture": "celeba"}, "There is no architecture 'celeba': did you mean celeb_a"),
    ({"architecture": "?"}, "There are linear, mlp, convolutional, cifar10, celeb_a."),
    ({"latent_dim": 0}, "latent_dim must be a whole number from 1 up, but is 0."),
    ({"image_shape": ()}, "image_shape must be (height, width, channels)"),
    (
      {"architecture": "cifar10", "image_shape": (28, 2)},
      "is for images, but image_shape is (28, 2)",
    ),
    ({"architecture": "celeb_a", "image_shape": (28,)}, "is for images, but image_shape is (28,)"),
    ({"architecture": "convolutional", "image_shape": (9,)}, "use mlp or linear"),
    ({"image_shape": (28, 0, 1)}, "but is (28, 0, 1)."),
    ({"dtype": jnp.int8}, "dtype must be a floating-point type, but is int8."),
  ],
)
def test_build_rejects_bad_arguments(changes, sentence):
  arguments = {"architecture": "mlp", "image_shape": (4, 4, 1), "latent_dim": 2} | changes
  with pytest.raises(ValueError) as error:  # noqa: PT011
    networks.build(**arguments, key=jax.random.key(0))
  assert sentence in str(error.value)


@pytest.mark.parametrize("architecture", SMALLER)
def test_encode_rejects_images_of_another_shape(built, architecture):
  with pytest.raises(ValueError, match=r"\(n, 7, 5, 3\), for which the network was built"):
    built(architecture).encode(jnp.zeros((2, 5, 7, 3)))
