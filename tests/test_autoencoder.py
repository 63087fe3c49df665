import copy
import inspect

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aejax import networks
from aejax.autoencoder import Autoencoder, Posterior
from aejax.priors import GaussianMixture, UniformSphere


def _flatten(images):
  return images.reshape(len(images), -1)


def _unflatten(pixels):
  return pixels.reshape(len(pixels), 4, 3, 1)


def _model(
  encoder=lambda x: _flatten(x)[:, :2], decoder=lambda z: _unflatten(jnp.tile(z, 6)), **kw
):
  return Autoencoder(encoder, decoder, **{"latent_dim": 2, **kw})


IMAGES = np.random.default_rng(0).uniform(size=(5, 4, 3, 1)).astype(np.float32)


def test_autoencoder_trains_custom_networks():
  rngs = nnx.Rngs(0)
  encoder = nnx.Sequential(
    _flatten, nnx.Linear(12, 6, rngs=rngs), nnx.relu, nnx.Linear(6, 2, rngs=rngs)
  )
  decoder = nnx.Sequential(
    nnx.Linear(2, 6, rngs=rngs), nnx.relu, nnx.Linear(6, 12, rngs=rngs), _unflatten
  )
  model = Autoencoder(encoder, decoder, latent_dim=2, output="sigmoid")

  graphdef, params = nnx.split(model, nnx.Param)
  assert sum(p.size for p in jax.tree.leaves(params)) == 12 * 6 + 6 + 14 + 18 + 6 * 12 + 12

  @jax.jit
  def error(params):
    return jnp.mean((nnx.merge(graphdef, params).reconstruct(IMAGES) - IMAGES) ** 2)

  before = error(params)
  step = jax.tree.map(lambda p, g: p - 0.1 * g, params, jax.grad(error)(params))
  assert error(step) < before


def test_posterior_of_deterministic_encoder_has_no_log_variance():
  posterior = _model().posterior(IMAGES)
  assert isinstance(posterior, Posterior)
  assert posterior.log_variance is None
  np.testing.assert_array_equal(posterior.mean, _flatten(IMAGES)[:, :2])


def test_posterior_of_gaussian_encoder_has_mean_and_log_variance():
  model = _model(encoder=lambda x: (_flatten(x)[:, :2], _flatten(x)[:, 2:4]))
  mean, log_variance = model.posterior(IMAGES)
  np.testing.assert_array_equal(mean, _flatten(IMAGES)[:, :2])
  np.testing.assert_array_equal(log_variance, _flatten(IMAGES)[:, 2:4])
  np.testing.assert_array_equal(model.encode(IMAGES), mean)


def test_posterior_sample_of_deterministic_encoder_returns_the_latents():
  posterior = _model().posterior(IMAGES)
  assert posterior.sample(jax.random.key(0)) is posterior.mean
  assert posterior.reparameterize(jnp.ones((5, 2))) is posterior.mean


def test_posterior_reparameterize_scales_noise_by_standard_deviation():
  log_variance = jnp.log(jnp.array([[4.0, 0.25]]))
  posterior = Posterior(jnp.array([[1.0, -1.0]]), log_variance)
  found = posterior.reparameterize(jnp.array([[3.0, -2.0]]))
  np.testing.assert_allclose(found, [[7.0, -2.0]], rtol=1e-6)


def test_posterior_sample_has_mean_and_variance():
  n, key = 20_000, jax.random.key(0)
  mean = jnp.tile(jnp.array([3.0, -1.0]), (n, 1))
  posterior = Posterior(mean, jnp.full((n, 2), np.log(4.0)))
  z = posterior.sample(key)
  # The standard errors are 2/√n = 0.014 for means and 4 √(2/n) = 0.04 for variances.
  np.testing.assert_allclose(z.mean(0), [3.0, -1.0], atol=0.07)
  np.testing.assert_allclose(z.var(0), 4.0, atol=0.2)
  np.testing.assert_array_equal(z, posterior.sample(key))
  assert not np.allclose(z, posterior.sample(jax.random.key(1)))


def test_posterior_sample_rejects_a_bad_key(without_beartype):
  with pytest.raises(ValueError, match=r"^key must be a jax\.random\.key, but is"):
    Posterior(jnp.ones((3, 2)), jnp.ones((3, 2))).sample(0)


@pytest.mark.parametrize(
  ("output", "expected"),
  [
    ("identity", [-30.0, -1.0, 0.0, 2.0]),
    ("sigmoid", [9.357623e-14, 0.26894143, 0.5, 0.88079708]),
    ("tanh", [0.0, 0.11920292, 0.5, 0.98201379]),
  ],
)
def test_decode_applies_output_activation(output, expected):
  model = _model(output=output, decoder=lambda z: z.reshape(1, 2, 2, 1), latent_dim=4)
  latents = jnp.array([[-30.0, -1.0, 0.0, 2.0]])
  # The tolerance is a few units in the last place of float32.
  np.testing.assert_allclose(model.decode(latents).ravel(), expected, rtol=1e-6)
  np.testing.assert_array_equal(model.logits(latents).ravel(), latents[0])


def test_reconstruct_decodes_the_encoded_images():
  model = _model(output="sigmoid")
  np.testing.assert_array_equal(model.reconstruct(IMAGES), model.decode(model.encode(IMAGES)))


def test_generate_decodes_standard_normal_latents():
  model, key = _model(), jax.random.key(3)
  latents = jax.random.normal(key, (7, 2))
  np.testing.assert_array_equal(model.generate(key, 7), model.decode(latents))


def test_autoencoder_converts_to_and_from_float32():
  seen = []

  def encoder(images):
    seen.append(images.dtype)
    return (_flatten(images)[:, :2].astype(jnp.bfloat16),) * 2

  def decoder(latents):
    seen.append(latents.dtype)
    return _unflatten(jnp.tile(latents, 6)).astype(jnp.float16)

  model = _model(encoder, decoder)
  for dtype in (np.float64, np.float16):
    posterior = model.posterior(np.asarray(IMAGES, dtype))
    values = (
      *posterior,
      model.logits(posterior.mean),
      model.reconstruct(np.asarray(IMAGES, dtype)),
    )
    assert {value.dtype for value in values} == {jnp.dtype("float32")}
  assert set(seen) == {jnp.dtype("float32")}


@pytest.mark.parametrize(
  ("encoder", "sentence"),
  [
    (_flatten, "latents of shape (n, latent_dim) = (5, 2), but returned (5, 12)"),
    (lambda x: x, "but returned (5, 4, 3, 1)"),
    (lambda x: _flatten(x)[:1, :2], "but returned (1, 2)"),
    (lambda x: (_flatten(x), _flatten(x)[:, :2]), "a mean of shape"),
    (lambda x: (_flatten(x)[:, :2], _flatten(x)), "a log-variance of shape"),
    (lambda x: (x, x, x), "the pair (mean, log_variance), but returned 3 values"),
  ],
)
def test_encode_rejects_wrong_encoder(encoder, sentence):
  with pytest.raises(ValueError, match="encoder must return") as error:
    _model(encoder).encode(IMAGES)
  assert sentence in str(error.value)


@pytest.mark.parametrize(
  ("decoder", "sentence"),
  [
    (lambda z: jnp.tile(z, 6), "images of shape (5, 4, 3, 1), that of the encoder's input"),
    (lambda z: z[:, 0], "images of shape (5, ...), but returned (5,)"),
    (lambda z: _unflatten(jnp.tile(z, 6))[:3], "but returned (3, 4, 3, 1)"),
    (lambda z: z.reshape(5, 2, 1, 1), "images of shape (5, 4, 3, 1)"),
    (lambda z: jnp.tile(z, 6).reshape(5, 3, 4, 1), "but returned (5, 3, 4, 1)"),
  ],
)
def test_reconstruct_rejects_wrong_decoder(decoder, sentence):
  with pytest.raises(ValueError, match="decoder must return") as error:
    _model(decoder=decoder).reconstruct(IMAGES)
  assert sentence in str(error.value)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_encode_rejects_integer_images(dtype):
  with pytest.raises(ValueError, match=r"images must be floats in \[0, 1\], not u?int"):
    _model().encode(np.ones((5, 4, 3, 1), dtype))


def test_posterior_rejects_a_single_number_each():
  # Without `unwrap`, beartype would reject the image first.
  posterior = inspect.unwrap(Autoencoder.posterior)
  with pytest.raises(ValueError, match=r"images must have shape \(n, \.\.\.\), not \(5,\)"):
    posterior(_model(), IMAGES[:, 0, 0, 0])


def test_autoencoder_rejects_bad_arguments():
  with pytest.raises(ValueError, match=r"latents must have shape \(n, 2\), not \(4, 3\)"):
    _model().decode(jnp.zeros((4, 3)))
  with pytest.raises(ValueError, match="latent_dim must be a whole number from 1 up, but is 0"):
    _model(latent_dim=0)
  with pytest.raises(ValueError, match=r"no output 'relu'\. There are identity, sigmoid"):
    _model(output="relu")
  with pytest.raises(ValueError, match="num must be a whole number from 1 up, but is 0"):
    _model().generate(jax.random.key(0), 0)


def test_networks_with_state_are_set_to_evaluation():
  rngs = nnx.Rngs(0)
  layers = nnx.BatchNorm(12, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
  encoder = nnx.Sequential(_flatten, *layers, nnx.Linear(12, 2, rngs=rngs))
  model = _model(encoder=encoder)
  np.testing.assert_array_equal(model.encode(IMAGES), model.encode(IMAGES))
  # Each row on its own: the statistics are not those of the batch.
  np.testing.assert_allclose(model.encode(IMAGES[:1]), model.encode(IMAGES)[:1], rtol=1e-5)


def test_generate_decodes_draws_from_the_prior():
  sphere, key = UniformSphere(2, radius=6.0), jax.random.key(3)
  model = _model(prior=sphere)
  assert model.prior is sphere
  np.testing.assert_array_equal(model.generate(key, 7), model.decode(sphere.sample(key, 7)))
  model.set_prior(None)
  np.testing.assert_array_equal(model.generate(key, 7), _model().generate(key, 7))
  with pytest.raises(ValueError, match="prior has dimension 3, but latent_dim is 2"):
    model.set_prior(UniformSphere(3))


def test_prior_may_hold_arrays():
  mixture = GaussianMixture(jnp.ones(2), jnp.array([[9.0, 0.0], [-9.0, 0.0]]), jnp.ones(2))
  model = copy.deepcopy(_model(prior=mixture))
  assert abs(float(jnp.abs(model.generate(jax.random.key(0), 200)[:, 0, 0, 0]).mean()) - 9) < 0.5
  assert not jax.tree.leaves(nnx.state(model))


@pytest.mark.parametrize(
  ("num", "sentence"),
  [(2.0, "num must be a whole number"), (True, "num must be a whole number")],
)
def test_generate_rejects_other_arguments(num, sentence, without_beartype):
  with pytest.raises(ValueError, match=sentence):
    _model().generate(jax.random.key(0), num)
  with pytest.raises(ValueError, match=r"^key must be a jax\.random\.key, but is an int"):
    _model().generate(0, 2)


@pytest.mark.parametrize("shape", [(12,), (6, 2), (2, 3, 2, 1)])
def test_examples_of_any_shape(shape):
  model = _model(decoder=lambda z: jnp.tile(z, 6).reshape(z.shape[0], *shape))
  examples = np.random.default_rng(0).normal(size=(5, *shape)).astype(np.float32)
  assert model.encode(examples).shape == (5, 2)
  assert model.reconstruct(examples).shape == examples.shape


def test_lists_of_numbers_are_examples():
  model = Autoencoder(lambda x: x, lambda z: z, latent_dim=1)
  assert model.encode([[1.0]]).shape == (1, 1)
  assert model.decode([[1.0]]).shape == (1, 1)


def test_export_with_a_free_batch_size(without_beartype):
  """The number of rows is a symbol, in the model and in what `load` returns."""
  model = networks.build("mlp", (4, 3, 1), latent_dim=2, key=jax.random.key(0))
  n = jax.export.symbolic_shape("n")[0]
  images = jax.ShapeDtypeStruct((n, 4, 3, 1), jnp.float32)
  exported = jax.export.export(jax.jit(model.reconstruct))(images)
  np.testing.assert_allclose(exported.call(IMAGES), model.reconstruct(IMAGES), rtol=1e-5)
