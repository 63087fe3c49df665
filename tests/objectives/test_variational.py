import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from aejax.autoencoder import Autoencoder, Posterior
from aejax.objectives import AE, VAE, InfoVAE

KEY = jax.random.key(0)


def test_vae_penalty_equals_the_closed_form():
  objective = VAE(beta=0.5)
  mean = jax.random.normal(KEY, (7, 3))
  log_variance = jax.random.normal(jax.random.key(1), (7, 3))
  m, v = np.asarray(mean, np.float64), np.asarray(log_variance, np.float64)
  expected = np.mean(-0.5 * np.sum(1 + v - m**2 - np.exp(v), axis=1))
  penalty = objective.penalty(Posterior(mean, log_variance), key=KEY)
  np.testing.assert_allclose(penalty, expected, rtol=1e-5)
  assert objective.penalty_weight == 0.5

  # Without variance nothing is random, so the loss has a closed form.
  images = jax.random.uniform(KEY, (12, 4, 3, 1))

  def encoder(images):
    return jnp.zeros((12, 2)), jnp.full((12, 2), -50.0)

  model = Autoencoder(encoder, lambda z: jnp.zeros((12, 4, 3, 1)), latent_dim=2, output="sigmoid")
  error = np.sum((np.asarray(images) - 0.5) ** 2) / 12
  divergence = -0.5 * 2 * (1 - 50 - math.exp(-50))
  loss, _ = objective(model, images, key=KEY)
  np.testing.assert_allclose(loss, error + 0.5 * divergence, rtol=1e-5)


def test_vae_latents_are_samples_of_the_posterior():
  n = 20_000
  posterior = Posterior(jnp.full((n, 1), 3.0), jnp.full((n, 1), math.log(4.0)))
  z = VAE().latents(posterior, key=KEY)
  # Exact samples exceed 2.23 / sqrt(n) with probability 1e-4.
  assert stats.kstest(np.asarray(z[:, 0]), stats.norm(3, 2).cdf).statistic < 2.23 / math.sqrt(n)
  assert not np.allclose(z, VAE().latents(posterior, key=jax.random.key(1)))
  deterministic = Posterior(posterior.mean, None)
  assert AE().latents(deterministic, key=KEY) is deterministic.mean


@pytest.mark.parametrize("objective", [VAE(), InfoVAE()], ids=["vae", "infovae"])
def test_penalty_rejects_a_posterior_without_log_variance(objective):
  with pytest.raises(ValueError, match="divergence needs a Gaussian encoder"):
    objective.penalty(Posterior(jnp.ones((3, 2)), None), key=KEY)
