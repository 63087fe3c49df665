"""Networks with BatchNorm and Dropout: global statistics in training, none of it afterwards."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import own_parts
import pytest
from flax import nnx

from aejax import Autoencoder
from aejax.objectives import AE, CWAE
from aejax.training import create, merge

KEY = jax.random.key(0)
ROWS = np.random.default_rng(0).normal(3.0, 2.0, size=(16, 5)).astype(np.float32)


def normalised():
  """A linear autoencoder whose input is normalised."""
  rngs = nnx.Rngs(0)
  encoder = nnx.Sequential(nnx.BatchNorm(5, momentum=0.9, rngs=rngs), nnx.Linear(5, 2, rngs=rngs))
  return Autoencoder(encoder, nnx.Linear(2, 5, rngs=rngs), latent_dim=2)


def statistics(params):
  layer = params["encoder"]["layers"][0]
  return np.asarray(layer["mean"][...]), np.asarray(layer["var"][...])


def test_statistics_are_those_of_the_global_batch():
  state, step = create(normalised(), CWAE(), optax.sgd(0.1), key=KEY)
  mapped = jax.vmap(lambda s, x: step(s, x, axis_name="batch"), (None, 0), None, axis_name="batch")
  alone, metrics = jax.jit(step)(state, ROWS)
  together, global_metrics = jax.jit(mapped)(state, ROWS.reshape(4, 4, 5))
  chex.assert_trees_all_close(alone.params, together.params, rtol=1e-4, atol=1e-6)
  chex.assert_trees_all_close(metrics, global_metrics, rtol=1e-5)
  mean, variance = statistics(alone.params)
  np.testing.assert_allclose(mean, 0.1 * ROWS.mean(0), rtol=1e-5)
  np.testing.assert_allclose(variance, 0.9 + 0.1 * ROWS.var(0), rtol=1e-4)


def test_optimizer_changes_parameters_only():
  state, _ = create(normalised(), AE(), optax.adam(0.1), key=KEY)
  parameters = jax.tree.leaves(nnx.state(normalised(), nnx.Param))
  assert len(jax.tree.leaves(state.optimizer_state[0].mu)) == len(parameters)


def test_trained_model_is_deterministic():
  model = own_parts.normalised((5,), 2)
  state, step = create(model, CWAE(), optax.adam(0.01), key=KEY)
  step, losses = jax.jit(step, donate_argnums=0), []
  for _ in range(60):
    state, metrics = step(state, ROWS)
    losses.append(float(metrics["loss"]))
  assert losses[-1] < losses[0]
  trained = merge(model, state.params)
  np.testing.assert_array_equal(trained.encode(ROWS), trained.encode(ROWS))
  np.testing.assert_allclose(trained.encode(ROWS[:1]), trained.encode(ROWS)[:1], rtol=1e-4)
  assert trained.generate(KEY, 2).shape == (2, 5)


def test_dropout_depends_on_the_key_and_the_step():
  def losses(seed):
    state, step = create(own_parts.normalised((5,), 2), AE(), optax.sgd(0.0), key=seed)
    found = []
    for _ in range(2):
      state, metrics = jax.jit(step)(state, ROWS)
      found.append(float(metrics["loss"]))
    return found

  one, same, other = losses(KEY), losses(KEY), losses(jax.random.key(1))
  assert one == same
  assert len({*one, *other}) == 4


def test_skipped_step_keeps_the_statistics():
  state, step = create(normalised(), AE(), optax.sgd(0.1), key=KEY, skip_nonfinite=True)
  after, _ = jax.jit(step)(state, jnp.full((4, 5), jnp.inf))
  chex.assert_trees_all_equal(after.params, state.params)


def test_parts_of_a_batch_are_refused():
  with pytest.raises(ValueError, match=r"accumulate must be 1, .* state .*\(BatchStat\)"):
    create(normalised(), AE(), optax.sgd(0.1), key=KEY, accumulate=2)
