import chex
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import optax
import pytest
from beartype.roar import BeartypeException

from aejax import networks
from aejax.autoencoder import pixels
from aejax.objectives import AE, CWAE, SWAE, VAE
from aejax.training import TrainState, create, merge

KEY = jax.random.key(0)
BYTES = np.random.default_rng(0).integers(0, 256, size=(12, 4, 3, 1), dtype=np.uint8)
IMAGES = jnp.asarray(BYTES, jnp.float32) / 255


def _create(objective, optimizer=None):
  model = networks.build(
    "linear", (4, 3, 1), latent_dim=2, gaussian=objective.gaussian_encoder, key=jax.random.key(1)
  )
  return model, *create(model, objective, optimizer or optax.sgd(0.01), key=KEY)


def _numbers(state):
  return state.step, state.params, state.optimizer_state


def test_train_step_under_jit_is_eager():
  _, state, train_step = _create(SWAE(weight=2.0, sample_prior=True))
  eager = train_step(state, IMAGES)
  jitted = jax.jit(train_step)(state, IMAGES)
  # XLA fuses operations that eager mode rounds one by one.
  chex.assert_trees_all_close(_numbers(eager[0]), _numbers(jitted[0]), rtol=1e-5, atol=1e-6)
  chex.assert_trees_all_close(eager[1], jitted[1], rtol=1e-5)


def test_train_step_is_pure():
  _, state, train_step = _create(SWAE())
  step = jax.jit(train_step)
  before = jax.device_get(_numbers(state))
  first = step(state, IMAGES)
  chex.assert_trees_all_equal(before, jax.device_get(_numbers(state)))
  chex.assert_trees_all_equal(_numbers(first[0]), _numbers(step(state, IMAGES)[0]))
  assert int(state.step) == 0
  assert int(first[0].step) == 1


def test_train_step_is_gradient_descent_on_the_objective():
  objective = CWAE(weight=3.0)
  model, state, train_step = _create(objective, optax.sgd(0.1))

  def cost(params):
    return objective(merge(model, params), IMAGES, key=KEY)[0]

  expected = jax.tree.map(lambda p, g: p - 0.1 * g, state.params, jax.grad(cost)(state.params))
  after, metrics = train_step(state, IMAGES)
  chex.assert_trees_all_close(after.params, expected, rtol=1e-6, atol=1e-7)
  np.testing.assert_allclose(metrics["loss"], cost(state.params), rtol=1e-6)


def test_train_step_draws_anew_each_step_and_reproducibly():
  _, state, train_step = _create(SWAE(), optax.sgd(0.0))  # only the directions change
  step = jax.jit(train_step)
  penalties = []
  for _ in range(3):
    state, metrics = step(state, IMAGES)
    penalties.append(float(metrics["penalty"]))
  assert len(set(penalties)) == 3
  _, state, train_step = _create(SWAE(), optax.sgd(0.0))
  assert float(jax.jit(train_step)(state, IMAGES)[1]["penalty"]) == penalties[0]


def test_train_step_scales_uint8_images():
  _, state, train_step = _create(CWAE())
  step = jax.jit(train_step)
  # XLA may divide by 255 in another place.
  chex.assert_trees_all_close(
    _numbers(step(state, BYTES)[0]), _numbers(step(state, IMAGES)[0]), rtol=1e-6, atol=1e-7
  )
  np.testing.assert_allclose(pixels(np.array([[[[0]]], [[[255]]]], np.uint8)).ravel(), [0, 1])
  assert pixels(IMAGES.astype(jnp.bfloat16)).dtype == jnp.float32


@pytest.mark.parametrize("dtype", [np.int32, np.int8])
def test_train_step_rejects_other_integers(dtype):
  _, state, train_step = _create(AE())
  with pytest.raises(ValueError, match=r"images must be uint8, or floats in \[0, 1\], but are int"):
    jax.jit(train_step)(state, BYTES.astype(dtype))


def test_train_step_is_traced_once():
  _, state, train_step = _create(SWAE(sample_prior=True), optax.adam(0.01))
  step = jax.jit(chex.assert_max_traces(lambda s, x: train_step(s, x), n=1))
  for _ in range(3):
    state, _ = step(state, BYTES)
  assert int(state.step) == 3


def test_train_step_may_donate_the_state():
  model, state, train_step = _create(VAE(), optax.adam(0.01))
  step = jax.jit(train_step, donate_argnums=0)
  for _ in range(2):
    donated = jax.tree.leaves(state)
    state, _ = step(state, BYTES)
    assert all(leaf.is_deleted() for leaf in donated)
  assert not KEY.is_deleted()
  assert jnp.isfinite(model.encode(IMAGES)).all()


def test_train_state_checks_its_fields():
  _, state, _ = _create(AE())
  with pytest.raises((BeartypeException, jaxtyping.TypeCheckError)):
    TrainState(jnp.zeros(2, jnp.int32), state.params, state.optimizer_state, state.key)


@pytest.mark.parametrize(
  "leaf",
  [None, object(), jax.ShapeDtypeStruct((3,), jnp.int8)],
  ids=lambda leaf: type(leaf).__name__,
)
def test_train_state_is_rebuilt_with_any_leaves(leaf):
  _, state, _ = _create(AE())
  rebuilt = jax.tree.map(lambda _: leaf, state)
  assert isinstance(rebuilt, TrainState)
  assert rebuilt.step is leaf
  paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(state)]
  assert paths[0] == ".step"
  assert paths[-1] == ".key"
  stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), state)
  assert stacked.step.shape == (2,)
  chex.assert_trees_all_equal(_numbers(jax.vmap(lambda state: state)(stacked)), _numbers(stacked))


def test_merge_does_not_change_the_model():
  model, state, train_step = _create(AE(), optax.sgd(0.1))
  before = model.encode(IMAGES)
  trained = merge(model, jax.jit(train_step)(state, IMAGES)[0].params)
  assert not np.allclose(trained.encode(IMAGES), before)
  np.testing.assert_array_equal(model.encode(IMAGES), before)


@pytest.mark.parametrize(
  "objective",
  [VAE(), pytest.param(SWAE(sample_prior=True), marks=pytest.mark.slow)],
  ids=["vae", "swae"],
)
def test_train_step_under_a_mapped_axis_is_global(objective):
  _, state, train_step = _create(objective)
  mapped = jax.vmap(
    lambda s, x: train_step(s, x, axis_name="batch"),
    in_axes=(None, 0),
    out_axes=None,
    axis_name="batch",
  )
  one, many = jax.jit(train_step), jax.jit(mapped)
  alone = together = state
  for _ in range(3):
    alone, metrics = one(alone, IMAGES)
    together, global_metrics = many(together, IMAGES.reshape(4, 3, 4, 3, 1))
  # SGD, since Adam would hide a gradient that is too large by the number of devices.
  chex.assert_trees_all_close(_numbers(alone), _numbers(together), rtol=1e-5, atol=1e-6)
  chex.assert_trees_all_close(metrics, global_metrics, rtol=1e-5)
