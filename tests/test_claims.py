"""Tests two claims about autoencoders on the digits."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

from aejax import data, distances, networks
from aejax.objectives import AE, CWAE
from aejax.training import create, merge


@pytest.fixture(scope="module")
def digits():
  return data.load("digits")


def _train(model, objective, optimizer, images, *, steps, batch_size=None):
  state, train_step = create(model, objective, optimizer, key=jax.random.key(1))
  images = jnp.asarray(images)

  @jax.jit
  def run(state):
    def body(i, state):
      if batch_size is None:
        return train_step(state, images)[0]
      rows = jax.random.choice(jax.random.fold_in(state.key, i), len(images), (batch_size,))
      return train_step(state, images[rows])[0]

    return jax.lax.fori_loop(0, steps, body, state)

  return merge(model, run(state).params)


def test_linear_autoencoder_reaches_the_error_of_pca(digits):
  dim = 8
  pixels = (digits.train.reshape(len(digits.train), -1) / 255).astype(np.float32)
  pca = PCA(dim).fit(pixels)
  pca_error = np.sum((pca.inverse_transform(pca.transform(pixels)) - pixels) ** 2) / len(pixels)

  model = networks.build("linear", (8, 8, 1), latent_dim=dim, key=jax.random.key(0))
  rate = optax.cosine_decay_schedule(0.02, 3000)
  model = _train(model, AE(), optax.adam(rate), digits.train, steps=3000)
  reconstructions = np.asarray(model.reconstruct(pixels.reshape(-1, 8, 8, 1))).reshape(-1, 64)
  error = np.sum((reconstructions - pixels) ** 2) / len(pixels)
  # PCA is the best linear map of this rank (Eckart & Young).
  assert pca_error * (1 - 1e-5) < error < 1.01 * pca_error

  # The decoder's columns are a basis of the space that the principal components span.
  basis = np.asarray(model.decoder.to_pixels.kernel[...]).T
  assert basis.shape == (64, dim)
  # An error that is 1 % too large still allows an angle of about 25°, if one component replaces
  # the next.
  assert np.rad2deg(subspace_angles(basis, pca.components_.T).max()) < 5


def test_cwae_makes_the_latents_normal(digits):
  distance, error = {}, {}
  for objective in (AE(), CWAE(weight=1.0)):
    model = networks.build("linear", (8, 8, 1), latent_dim=4, key=jax.random.key(0))
    model = _train(model, objective, optax.adam(1e-2), digits.train, steps=1500, batch_size=128)
    test = jnp.asarray(digits.test, jnp.float32) / 255
    name = type(objective).__name__
    distance[name] = float(distances.cramer_wold(model.encode(test)))
    error[name] = float(jnp.mean(jnp.sum((model.reconstruct(test) - test) ** 2, (1, 2, 3))))
  assert distance["CWAE"] < distance["AE"] / 10
  # The error hardly grows, because the decoder can invert any change of the latents' basis.
  assert error["CWAE"] < 1.3 * error["AE"]
