"""Priors by name, objectives with another prior, and which prior a sum generates from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import distances, objectives
from aejax.autoencoder import Posterior
from aejax.objectives import AE, CWAE, RAE, SWAE, VAE, WAEMMD, Energy, Sinkhorn
from aejax.priors import (
  GaussianMixture,
  StandardNormal,
  StudentT,
  UniformBall,
  UniformCube,
  UniformSphere,
)

KEY = jax.random.key(0)
Z = 2 * jax.random.normal(KEY, (12, 3))


@pytest.mark.parametrize("name", ["normal", "sphere", "ball", "cube"])
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_named_priors_have_unit_covariance(name, dim):
  samples = np.asarray(objectives.named_prior(name, dim).sample(KEY, 20_000))
  # The standard error of a variance is below √(2/n) = 0.01.
  np.testing.assert_allclose(np.cov(samples.T).reshape(dim, dim), np.eye(dim), atol=0.05)
  np.testing.assert_allclose(samples.mean(0), 0, atol=0.05)


@pytest.mark.parametrize(("k", "dim"), [(2, 1), (3, 1), (2, 4), (5, 2), (10, 3)])
def test_mixture_has_neighbours_four_apart(k, dim):
  mixture = objectives.named_prior(f"mixture:{k}", dim)
  means = np.asarray(mixture.means)
  assert means.shape == (k, dim)
  np.testing.assert_allclose(means.mean(0), 0, atol=1e-5)
  distances_between = np.linalg.norm(means[:, None] - means, axis=-1)
  np.fill_diagonal(distances_between, np.inf)
  np.testing.assert_allclose(distances_between.min(1), 4, rtol=1e-5)
  np.testing.assert_array_equal(mixture.variances, np.ones(k))


@pytest.mark.parametrize("name", ["", "normal:2", "mixture", "mixture:1", "mixture:x", 3, None])
def test_named_prior_rejects(name, without_beartype):
  with pytest.raises(ValueError, match="prior must be normal, sphere, ball, cube or mixture:K"):
    objectives.named_prior(name, 2)


class Shifted:
  """A prior of a user, without any closed form."""

  dim = 3

  def sample(self, key, n):
    return 3 + jax.random.normal(key, (n, 3))


SAMPLED = Shifted()


@pytest.mark.parametrize(
  ("objective", "distance"),
  [
    (WAEMMD(prior=SAMPLED), distances.mmd),
    (Energy(prior=SAMPLED), distances.energy_distance),
    (CWAE(prior=SAMPLED, log=False), distances.cramer_wold),
  ],
)
def test_prior_without_a_closed_form_is_sampled(objective, distance):
  found = objective.penalty(Posterior(Z, None), key=KEY)
  np.testing.assert_allclose(found, distance(Z, SAMPLED.sample(KEY, len(Z))), rtol=1e-5)


def test_prior_with_a_closed_form_is_not_sampled():
  mixture = GaussianMixture(jnp.ones(2), jnp.array([[2.0, 0, 0], [-2.0, 0, 0]]), jnp.ones(2))
  for objective in (CWAE(prior=mixture), WAEMMD(prior=StandardNormal(3))):
    assert objective.has_closed_form(3)
    values = [objective.penalty(Posterior(Z, None), key=jax.random.key(k)) for k in range(2)]
    assert values[0] == values[1]
  with pytest.raises(ValueError, match="latents have dimension 2, but the prior has 3"):
    WAEMMD(prior=StandardNormal(3)).has_closed_form(2)


def test_infinite_distance_is_refused_and_not_sampled():
  with pytest.raises(ValueError, match="needs df > 1, because the mean distance is infinite"):
    Energy(prior=StudentT(3, df=0.9)).penalty(Posterior(Z, None), key=KEY)


def test_latent_prior_of_each_objective():
  sphere = UniformSphere(2, radius=3.0)
  assert WAEMMD(prior=sphere).latent_prior(2) is sphere
  assert VAE().latent_prior(2) == CWAE().latent_prior(2) == StandardNormal(2)
  assert AE().latent_prior(2) is RAE().latent_prior(2) is None
  assert (AE() + RAE()).latent_prior(2) is None
  assert (RAE() + Sinkhorn(prior=sphere)).latent_prior(2) is sphere
  same = WAEMMD(prior=sphere) + Energy(prior=UniformSphere(2, radius=3.0))
  assert same.latent_prior(2) == sphere
  for other in (Energy(), Energy(prior=UniformSphere(2)), Energy(prior=UniformBall(2))):
    with pytest.raises(ValueError, match="The terms of a sum need one prior"):
      WAEMMD(prior=sphere) + other


def test_with_prior_replaces_that_of_each_term():
  cube = UniformCube(2)
  found = objectives.with_prior(SWAE(weight=3.0) + RAE() + Energy(), cube)
  assert [getattr(term, "prior", None) for term in found.terms] == [cube, None, cube]
  assert found.terms[0].weight == 3.0
  assert objectives.with_prior(VAE(), StandardNormal(2)) == VAE()
  for objective, sentence in (
    (VAE(), r"VAE matches the latents to N\(0, I\) only"),
    (VAE() + Energy(), r"VAE matches the latents to N\(0, I\) only"),
    (AE(), "AE matches the latents to no prior"),
  ):
    with pytest.raises(ValueError, match=sentence):
      objectives.with_prior(objective, cube)
