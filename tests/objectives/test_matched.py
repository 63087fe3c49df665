import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core

from aejax import distances
from aejax.autoencoder import Posterior
from aejax.objectives import AE, CWAE, RAE, SWAE, VAE, WAEMMD, Energy, InfoVAE, SIGReg

KEY = jax.random.key(0)
_JAXPRS = (core.Jaxpr, core.ClosedJaxpr)


def test_cwae_uses_the_approximation():
  z = jax.random.normal(KEY, (12, 3)) + 0.3
  for approximate in (False, True):
    objective = CWAE(log=False, approximate=approximate)
    penalty = objective.penalty(Posterior(z, None), key=KEY)
    np.testing.assert_allclose(
      penalty, distances.cramer_wold(z, approximate=approximate), rtol=1e-6
    )
  assert abs(penalty / distances.cramer_wold(z) - 1) > 1e-3


def _draws(function, *arguments):
  """Counts the arrays of random bits that a function draws, and its other random primitives."""
  counts = {"bits": 0, "others": 0}

  def walk(jaxpr):
    for equation in jaxpr.eqns:
      name = equation.primitive.name
      if name == "random_bits":
        counts["bits"] += 1
      elif name.startswith(("random", "threefry", "rng")):
        counts["others"] += 1
      for value in jax.tree.leaves(
        list(equation.params.values()), is_leaf=lambda v: isinstance(v, _JAXPRS)
      ):
        if isinstance(value, _JAXPRS):
          walk(value.jaxpr if isinstance(value, core.ClosedJaxpr) else value)

  walk(jax.make_jaxpr(function)(*arguments).jaxpr)
  return counts["bits"], counts["others"]


def test_draws_counts_random_primitives():
  assert _draws(lambda key: jax.random.normal(key, (3,)), KEY) == (1, 0)
  assert _draws(lambda key: jax.jit(jax.random.split)(key), KEY)[1] > 0


@pytest.mark.parametrize(
  ("objective", "draws"),
  [
    (AE(), 0),
    (VAE(), 0),
    (CWAE(), 0),
    (CWAE(approximate=True, log=False), 0),
    (CWAE(sample_prior=True), 1),
    (WAEMMD(), 0),
    (WAEMMD(sample_prior=True), 1),
    (Energy(), 0),
    (SIGReg(), 0),
    (RAE(), 0),
    (InfoVAE(), 1),  # samples of the posteriors
    (SWAE(), 1),  # directions
    (SWAE(sample_prior=True), 2),  # directions and samples of the prior
  ],
)
def test_penalty_draws_no_more_than_needed(objective, draws):
  log_variance = jnp.ones((6, 2)) if objective.gaussian_encoder else None
  posterior = Posterior(jnp.ones((6, 2)), log_variance)
  bits, others = _draws(lambda p, key: objective.penalty(p, key=key), posterior, KEY)
  assert bits == draws
  if not draws:
    assert others == 0


def test_swae_draws_new_directions_for_each_key():
  z = jax.random.normal(KEY, (32, 5))
  penalties = [SWAE().penalty(Posterior(z, None), key=jax.random.key(i)) for i in range(3)]
  assert len({float(p) for p in penalties}) == 3
  again = SWAE().penalty(Posterior(z, None), key=jax.random.key(0))
  assert again == penalties[0]


def test_wae_mmd_sampled_prior_agrees_with_closed_form():
  z = 0.5 * jax.random.normal(KEY, (64, 2)) + 0.3
  posterior = Posterior(z, None)
  sampled = jax.vmap(lambda k: WAEMMD(sample_prior=True).penalty(posterior, key=k))(
    jax.random.split(KEY, 400)
  )
  closed = WAEMMD().penalty(posterior, key=KEY)
  assert abs(sampled.mean() - closed) < 5 * sampled.std() / math.sqrt(400)
