import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from aejax import networks


def test_linear_with_principal_components_reaches_the_error_of_pca():
  """The error is the sum of the discarded variances."""
  images = np.random.default_rng(0).uniform(size=(50, 3, 4, 2))
  flat = images.reshape(50, -1)
  mean = flat.mean(0)
  _, singular_values, components = np.linalg.svd(flat - mean, full_matrices=False)
  components = components[:5]

  model = networks.build("linear", (3, 4, 2), latent_dim=5, key=jax.random.key(1))
  encoder, decoder = model.encoder.latents.linear, model.decoder.to_pixels
  encoder.kernel[...] = jnp.asarray(components.T, jnp.float32)
  encoder.bias[...] = jnp.asarray(-components @ mean, jnp.float32)
  decoder.kernel[...] = jnp.asarray(components, jnp.float32)
  decoder.bias[...] = jnp.asarray(mean, jnp.float32)

  error = np.sum((images - np.asarray(model.reconstruct(images))) ** 2)
  # Each of 1200 residuals has the rounding of 24 products (24 · 6e-8), so 1e-5 is ample.
  np.testing.assert_allclose(error, np.sum(singular_values[5:] ** 2), rtol=1e-5)


def test_linear_encoder_and_decoder_are_affine():
  model = networks.build("linear", (4, 3, 1), latent_dim=2, key=jax.random.key(0))
  a, b = np.random.default_rng(1).uniform(size=(2, 6, 4, 3, 1)).astype(np.float32)
  # Only affine maps commute with averages. Values of unit size have float32 rounding.
  np.testing.assert_allclose(
    model.reconstruct((a + b) / 2), (model.reconstruct(a) + model.reconstruct(b)) / 2, atol=1e-5
  )
  parameters = jax.tree.leaves(nnx.state(model, nnx.Param))
  assert sum(p.size for p in parameters) == (12 * 2 + 2) + (2 * 12 + 12)
