import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aejax.networks._layers import LatentLayer, check_image_shape, check_images, flat


def test_gaussian_latent_layer_starts_with_deterministic_mean_and_unit_variance():
  features = jnp.asarray(np.random.default_rng(0).normal(size=(5, 12)), jnp.float32)
  kwargs = {"dtype": jnp.float32, "rngs": nnx.Rngs(1)}
  latents = LatentLayer(12, 3, gaussian=False, **kwargs)(features)
  kwargs["rngs"] = nnx.Rngs(1)
  mean, log_variance = LatentLayer(12, 3, gaussian=True, **kwargs)(features)
  # A matrix twice as wide may sum the same 12 terms of unit size in another order.
  np.testing.assert_allclose(mean, latents, atol=1e-5)
  np.testing.assert_array_equal(log_variance, np.zeros((5, 3)))


def test_latent_layer_does_not_clip_log_variance():
  layer = LatentLayer(1, 2, gaussian=True, dtype=jnp.float32, rngs=nnx.Rngs(0))
  layer.linear.kernel[...] = jnp.array([[1.0, 2.0, 300.0, -400.0]])
  mean, log_variance = layer(jnp.ones((1, 1)))
  np.testing.assert_array_equal(mean, [[1.0, 2.0]])
  np.testing.assert_array_equal(log_variance, [[300.0, -400.0]])


def test_flat_accepts_an_empty_batch():
  np.testing.assert_array_equal(flat(jnp.arange(8.0).reshape(2, 2, 2, 1))[1], [4, 5, 6, 7])
  assert flat(jnp.zeros((0, 2, 3, 4))).shape == (0, 24)


@pytest.mark.parametrize("shape", [(), (28, 28, 28, 28, 1), (0, 28, 1), (28, -1, 1), (28, 28, 0)])
def test_check_image_shape_rejects_bad_shapes(shape):
  with pytest.raises(ValueError, match="image_shape must be") as error:
    check_image_shape(shape)
  assert f"but is {shape}" in str(error.value)


@pytest.mark.parametrize("shape", [(3,), (28, 1), (28, 28, 1), (8, 9, 10, 1)])
def test_check_image_shape_accepts_every_kind_of_data(shape):
  assert check_image_shape(list(shape)) == shape


def test_check_images_rejects_another_shape():
  check_images(jnp.zeros((0, 8, 7, 1)), (8, 7, 1))
  with pytest.raises(ValueError, match=r"\(n, 8, 7, 1\).* not \(2, 7, 8, 1\)"):
    check_images(jnp.zeros((2, 7, 8, 1)), (8, 7, 1))
