import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from aejax import networks
from aejax.objectives import SWAE
from aejax.training import TrainState, create
from aejax.training.epoch import epoch_order, make_run_steps, zero_sums

KEY = jax.random.key(0)
N, BATCH = 42, 8
STEPS = N // BATCH


def _counting_step(state, batch, *, axis_name=None):
  """A step whose parameters count how often each image was seen; the value of image i is i."""
  counts = state.params.at[batch[:, 0, 0, 0]].add(1)
  metrics = {name: jnp.float32(state.step) for name in zero_sums().totals}
  return TrainState(state.step + 1, counts, (), state.key), metrics


def _counting_state(step=0):
  return TrainState(jnp.int32(step), jnp.zeros(N, jnp.int32), (), jnp.copy(KEY))


NUMBERED = jnp.arange(N, dtype=jnp.uint8)[:, None]


def test_run_steps_sees_every_image_at_most_once():
  run_steps = make_run_steps(_counting_step, BATCH, image_shape=(1, 1, 1))
  order = epoch_order(KEY, 0, N)
  state, sums = run_steps(_counting_state(), zero_sums(), NUMBERED, order, STEPS)
  assert np.bincount(state.params).tolist() == [N - STEPS * BATCH, STEPS * BATCH]
  assert float(sums.totals["loss"]) == sum(range(STEPS))
  np.testing.assert_array_equal(np.sort(order[: STEPS * BATCH]), np.nonzero(state.params)[0])


def test_run_steps_starts_at_the_step_of_the_state():
  run_steps = make_run_steps(_counting_step, BATCH, image_shape=(1, 1, 1))
  order = epoch_order(KEY, 0, N)
  # The third step of the eighth epoch.
  state, _ = run_steps(_counting_state(7 * STEPS + 2), zero_sums(), NUMBERED, order, 1)
  rows = order[2 * BATCH : 3 * BATCH]
  np.testing.assert_array_equal(np.sort(rows), np.nonzero(state.params)[0])


def test_epoch_order_depends_on_key_and_epoch():
  first = epoch_order(KEY, 0, N)
  np.testing.assert_array_equal(np.sort(first), np.arange(N))
  np.testing.assert_array_equal(first, epoch_order(KEY, jnp.int32(0), N))
  assert not np.array_equal(first, epoch_order(KEY, 1, N))
  assert not np.array_equal(first, epoch_order(jax.random.key(1), 0, N))


def test_run_steps_in_parts_is_bit_identical_and_compiles_once():
  model = networks.build("linear", (4, 3, 1), latent_dim=2, key=KEY)
  images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (N, 12), np.uint8))
  order = epoch_order(KEY, 0, N)
  fresh, train_step = create(model, SWAE(), optax.adam(0.01), key=KEY)
  run_steps = make_run_steps(chex.assert_max_traces(train_step, n=1), BATCH, image_shape=(4, 3, 1))

  def train(counts):
    state, sums = jax.tree.map(jnp.copy, fresh), zero_sums()
    for count in counts:
      state, sums = run_steps(state, sums, images, order, count)
    return state.step, state.params, state.optimizer_state, sums

  whole = train([STEPS])
  assert int(whole[0]) == STEPS
  chex.assert_trees_all_equal(whole, train([1] * STEPS))
  chex.assert_trees_all_equal(whole, train([2, 0, 3]))
  assert run_steps._cache_size() == 1


def test_run_steps_donates_the_state():
  state = _counting_state()
  make_run_steps(_counting_step, BATCH, image_shape=(1, 1, 1))(
    state, zero_sums(), NUMBERED, epoch_order(KEY, 0, N), 1
  )
  assert state.params.is_deleted()
