import dataclasses
import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aejax import networks, objectives
from aejax.training import Options, create, prepare
from aejax.training.epoch import Sums
from aejax.training.state import RunState, build, end_epoch, fresh, stack, unstack


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
      test_epochs=0,
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


def test_build_draws_parameters_from_the_seed(configure):
  one, same, other = (jax.tree.leaves(build(configure(seed=seed))[1].params) for seed in (1, 1, 2))
  chex.assert_trees_all_equal(one, same)
  assert all(not np.array_equal(a, b) for a, b in zip(one, other, strict=True) if a.ndim > 1)


def test_build_draws_noise_and_directions_from_the_seed(configure):
  one, same, other = (
    jax.random.key_data(build(configure(seed=seed))[1].key).tolist() for seed in (1, 1, 2)
  )
  assert one == same
  assert one != other


def test_build_ends_a_cosine_schedule_at_zero(configure, dataset):
  _, state, train_step = build(configure("ae", schedule="cosine"), steps=3)
  step = jax.jit(train_step)
  changes = []
  for _ in range(4):
    before = state
    state, _ = step(state, dataset.train[:8])
    pairs = zip(*map(jax.tree.leaves, (state.params, before.params)), strict=True)
    changes.append(max(float(jnp.abs(a - b).max()) for a, b in pairs))
  assert changes[0] == pytest.approx(1e-3, rel=1e-3)  # Adam's first step is the learning rate
  assert changes[0] > changes[2] > changes[3] == 0


def test_build_computes_in_bfloat16_with_float32_parameters(configure, dataset):
  _, state, train_step = build(configure(precision="bfloat16"))
  assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}
  text = str(jax.make_jaxpr(train_step)(state, dataset.train[:8]))
  assert "bf16[8,2]" in text
  _, state, train_step = build(configure())
  assert "bf16" not in str(jax.make_jaxpr(train_step)(state, dataset.train[:8]))


@pytest.mark.parametrize("precision", ["float32", "highest"])
@pytest.mark.parametrize("network", ["linear", "cifar10"])
def test_build_computes_products_in_float32_for_highest(configure, dataset, network, precision):
  _, state, train_step = build(configure("ae", network=network, precision=precision))
  # The autoencoder has no distance, whose products are always in float32.
  step = jax.export.export(jax.jit(train_step), platforms=["cuda"])
  shapes = jax.eval_shape(lambda: (state, jnp.asarray(dataset.train[:8])))
  lines = step(*shapes).mlir_module().splitlines()
  products = [line for line in lines if "stablehlo.dot" in line or "stablehlo.conv" in line]
  products = [line for line in products if "stablehlo.convert" not in line]
  assert len(products) >= (4 if network == "linear" else 20)
  exact = ["HIGHEST" in line for line in products]
  assert all(exact) if precision == "highest" else not any(exact)


def test_build_accumulates_over_parts_of_the_batch(configure, dataset):
  # The decoder has 12 outputs per image.
  for accumulate, shape, other in ((1, "f32[8,12]", "f32[4,12]"), (2, "f32[4,12]", "f32[8,12]")):
    _, state, train_step = build(configure("ae", accumulate=accumulate))
    text = str(jax.make_jaxpr(train_step)(state, dataset.train[:8]))
    assert shape in text
    assert other not in text


@pytest.mark.parametrize("skip", [False, True])
def test_build_skips_nonfinite_steps_if_asked(configure, skip):
  _, state, train_step = build(configure("ae", skip_nonfinite=skip))
  after, metrics = jax.jit(train_step)(state, jnp.full((8, 4, 3, 1), jnp.nan))
  assert int(after.step) == 1
  assert jnp.isnan(metrics["loss"])
  if skip:
    chex.assert_trees_all_equal(after.params, state.params)
  else:
    assert any(jnp.isnan(leaf).any() for leaf in jax.tree.leaves(after.params))


@pytest.mark.parametrize("count", [1, 3])
def test_unstack_inverts_stack(start, count):
  states = [jax.tree.map(jnp.copy, start) for _ in range(count)]
  stacked = stack(states)
  assert stacked.train.step.shape == (() if count == 1 else (count,))
  for one, other in zip(unstack(stacked, count), states, strict=True):
    chex.assert_trees_all_equal(one.train.params, other.train.params)
    chex.assert_trees_all_equal(one.best, other.best)
