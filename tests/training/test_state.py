import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import aejax
from aejax import networks, objectives
from aejax.training import Options, create, prepare
from aejax.training.epoch import Sums
from aejax.training.loop import train
from aejax.training.state import RunState, end_epoch, fresh


def after(state, *, params, loss, skipped=0, steps=4):
  """The state at the end of an epoch with these parameters and this sum of losses."""
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


def is_of(best, params):
  return all((leaf == params).all() for leaf in jax.tree.leaves(best.params))


def test_the_epoch_with_the_lowest_mean_loss_is_remembered(start):
  state = after(start, params=1, loss=12.0)
  assert is_of(state.best, 1)
  state = after(state, params=2, loss=8.0)
  assert is_of(state.best, 2)
  for worse in (9.0, 8.0, np.nan, np.inf):
    state = after(state, params=3, loss=worse)
    assert is_of(state.best, 2)
    assert float(state.best.loss) == 2.0
    assert int(state.best.step) == 2
  assert float(state.sums.totals["loss"]) == 0


def test_the_mean_is_over_the_steps_that_were_not_skipped(start):
  state = after(start, params=1, loss=8.0)  # a mean of 2
  state = after(state, params=2, loss=6.0, skipped=2)  # of 3
  assert is_of(state.best, 1)
  state = after(state, params=3, loss=3.0, skipped=2)  # of 1.5
  assert is_of(state.best, 3)
  state = after(state, params=4, loss=0.0, skipped=4)  # of none
  assert is_of(state.best, 3)


def test_the_best_of_a_run_is_the_run_that_ended_there(tmp_path):
  def run(epochs):
    options = Options(
      workdir=tmp_path / str(epochs),
      network="linear",
      latent_dim=2,
      epochs=epochs,
      batch_size=512,
      learning_rate=0.1,  # so large that the loss goes up and down
    )
    run = prepare("cwae", {}, options)
    configuration, dataset, workdir = run.configuration, run.dataset, run.workdir
    train(configuration, dataset, workdir)
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return workdir, [json.loads(line)["loss"] for line in lines]

  whole, losses = run(8)
  best = int(np.argmin(losses)) + 1
  assert 1 < best < 8
  there, _ = run(best)
  expected, found = aejax.load(there), aejax.load(whole, best=True)
  assert found.step == expected.step == 2 * best
  assert aejax.load(whole).step == 16
  images = np.zeros((3, 8, 8, 1), np.uint8)
  np.testing.assert_array_equal(found.encode(images), expected.encode(images))
  assert (found.encode(images) != aejax.load(whole).encode(images)).any()
