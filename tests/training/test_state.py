import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aejax import networks, objectives
from aejax.training import Options, create, prepare
from aejax.training.epoch import Sums
from aejax.training.state import RunState, end_epoch, fresh


def after(state, *, params, loss, skipped=0, steps=4):
  """Returns the state after an epoch with these parameters and this sum of losses."""
  trained = jax.tree.map(lambda leaf: jnp.full_like(leaf, params), state.train.params)
  totals = {name: jnp.float32(loss) for name in state.sums.totals}
  sums = Sums(totals, jnp.int32(skipped), jnp.int32(-1))
  train = dataclasses.replace(state.train, params=trained, step=jnp.int32(params))
  return end_epoch(RunState(train, sums, state.best), steps)


@pytest.fixture(scope="module")
def start():
  model = networks.build("linear", (4, 3, 1), latent_dim=2, key=jax.random.key(0))
  state, _ = create(model, objectives.AE(), optax.adam(1e-3), key=jax.random.key(1))
  return fresh(state)


def has_params(best, params):
  return all((leaf == params).all() for leaf in jax.tree.leaves(best.params))


def test_end_epoch_keeps_the_lowest_mean_loss(start):
  state = after(start, params=1, loss=12.0)
  assert has_params(state.best, 1)
  state = after(state, params=2, loss=8.0)
  assert has_params(state.best, 2)
  for worse in (9.0, 8.0, np.nan, np.inf):
    state = after(state, params=3, loss=worse)
    assert has_params(state.best, 2)
    assert float(state.best.loss) == 2.0
    assert int(state.best.step) == 2
  assert float(state.sums.totals["loss"]) == 0


def test_end_epoch_averages_over_steps_not_skipped(start):
  state = after(start, params=1, loss=8.0)  # a mean of 2
  state = after(state, params=2, loss=6.0, skipped=2)  # a mean of 3
  assert has_params(state.best, 1)
  state = after(state, params=3, loss=3.0, skipped=2)  # a mean of 1.5
  assert has_params(state.best, 3)
  state = after(state, params=4, loss=0.0, skipped=4)  # no step has a loss
  assert has_params(state.best, 3)


def test_best_of_a_run_is_the_run_that_ended_there(tmp_path):
  def train(epochs):
    options = Options(
      workdir=tmp_path / str(epochs),
      network="linear",
      latent_dim=2,
      epochs=epochs,
      batch_size=512,
      learning_rate=0.1,  # so large that the loss goes up and down
    )
    run = prepare("cwae", {}, options)
    run.train()
    lines = (run.workdir / "metrics.jsonl").read_text().splitlines()
    return run, [json.loads(line)["loss"] for line in lines]

  whole, losses = train(8)
  best = int(np.argmin(losses)) + 1
  assert 1 < best < 8
  shorter, _ = train(best)
  expected, found = shorter.load(), whole.load(best=True)
  assert found.step == expected.step == 2 * best
  assert whole.load().step == 16
  images = np.zeros((3, 8, 8, 1), np.uint8)
  np.testing.assert_array_equal(found.encode(images), expected.encode(images))
  assert (found.encode(images) != whole.load().encode(images)).any()
