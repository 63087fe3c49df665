"""Objectives with a prior of a user, and with one that does not fit."""

import dataclasses

import jax
import jax.numpy as jnp
import optax
import pytest

from aejax import networks, objectives, training
from aejax.priors import Prior, UniformBall, UniformSphere

KEY = jax.random.key(0)


@dataclasses.dataclass(frozen=True)
class Ring:
  """A prior of a user: a dimension and a method that samples."""

  dim: int = 2

  def sample(self, key, n):
    return UniformSphere(2).sample(key, n)


def test_objective_trains_with_a_prior_of_a_user():
  assert isinstance(Ring(), Prior)
  model = networks.build("linear", (2, 2, 1), latent_dim=2, key=KEY)
  objective = objectives.SWAE(weight=10.0, prior=Ring(), sample_prior=True)
  state, train_step = training.create(model, objective, optax.adam(0.02), key=KEY)
  images = jax.random.uniform(jax.random.key(1), (64, 2, 2, 1))
  step = jax.jit(train_step)
  for _ in range(200):
    state, _ = step(state, images)
  latents = training.merge(model, state.params).encode(images)
  # Mean |z|² is 1 on the ring and 2 for N(0, I), the default. The bound is half way.
  assert float(jnp.mean(jnp.sum(latents**2, 1))) < 1.5


def test_objective_rejects_prior_of_another_dimension(without_beartype):
  model = networks.build("linear", (2, 2, 1), latent_dim=2, key=KEY)
  objective = objectives.SWAE(prior=UniformBall(3), sample_prior=True)
  with pytest.raises(ValueError, match="z has dimension 2, but target has dimension 3"):
    objective(model, jnp.zeros((4, 2, 2, 1)), key=KEY)
