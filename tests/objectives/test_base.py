import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from aejax import distances, networks
from aejax.autoencoder import Autoencoder, Posterior
from aejax.objectives import AE, BY_NAME, CWAE, SWAE, VAE, WAEMMD, Objective
from aejax.priors import GaussianMixture

KEY = jax.random.key(0)
IMAGES = jax.random.uniform(jax.random.key(1), (12, 4, 3, 1))
MIXTURE = GaussianMixture(jnp.ones(2), jnp.array([[1.0], [-1.0]]), jnp.ones(2))


def _model(objective, latent_dim=2):
  return networks.build(
    "linear",
    (4, 3, 1),
    latent_dim=latent_dim,
    gaussian=objective.gaussian_encoder,
    key=jax.random.key(2),
  )


class FixedPrior:
  """A prior whose samples do not depend on the key."""

  dim = 1

  def sample(self, key, n):
    return jnp.linspace(-1.0, 2.0, n)[:, None]


SAMPLES = FixedPrior().sample(KEY, len(IMAGES))
# In one dimension every direction is 1 or −1, and all give the same distance.
LINE = jnp.ones((1, 1))
FIXED = dict(prior=FixedPrior(), sample_prior=True)


@pytest.mark.parametrize(
  ("objective", "weight", "penalty"),
  [
    (AE(), 0.0, lambda z: 0.0),
    (WAEMMD(weight=2.0), 2.0, distances.mmd),
    (
      WAEMMD(weight=2.0, kernel=distances.gaussian(0.7)),
      2.0,
      lambda z: distances.mmd(z, kernel=distances.gaussian(0.7)),
    ),
    (WAEMMD(weight=2.0, **FIXED), 2.0, lambda z: distances.mmd(z, SAMPLES)),
    (CWAE(weight=3.0), 3.0, lambda z: jnp.log(distances.cramer_wold(z) + 1e-7)),
    (CWAE(weight=3.0, log=False), 3.0, distances.cramer_wold),
    (CWAE(log=False, prior=MIXTURE), 1.0, lambda z: distances.cramer_wold(z, MIXTURE)),
    (CWAE(log=False, **FIXED), 1.0, lambda z: distances.cramer_wold(z, SAMPLES)),
    (SWAE(weight=0.5), 0.5, lambda z: distances.sliced_wasserstein(z, directions=LINE)),
    (SWAE(**FIXED), 1.0, lambda z: distances.sliced_wasserstein(z, SAMPLES, directions=LINE)),
  ],
)
def test_objective_adds_reconstruction_and_weighted_penalty(objective, weight, penalty):
  model = _model(objective, latent_dim=1)
  loss, metrics = objective(model, IMAGES, key=KEY)
  latents = model.encode(IMAGES)
  error = np.sum((np.asarray(IMAGES) - np.asarray(model.reconstruct(IMAGES))) ** 2) / len(IMAGES)
  expected = float(penalty(latents))
  # The sums have a few dozen float32 terms of similar size.
  np.testing.assert_allclose(metrics["penalty"], expected, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(metrics["reconstruction_error"], error, rtol=1e-5)
  np.testing.assert_allclose(loss, error + weight * expected, rtol=1e-5)
  assert loss is metrics["loss"]
  assert sorted(metrics) == ["loss", "penalty", "reconstruction_error"]
  assert objective.penalty_weight == weight


def _constant(logits, *, output="sigmoid"):
  """Returns an autoencoder that encodes to zeros and decodes to `logits`."""
  return Autoencoder(
    lambda images: jnp.zeros((len(images), 2)), lambda z: logits, latent_dim=2, output=output
  )


def test_squared_error_sums_over_pixels():
  model = _constant(jnp.full((5, 4, 3, 1), 0.25), output="identity")
  # Each of the 12 pixels is wrong by 0.75, which is exact in binary.
  assert AE()(model, jnp.ones((5, 4, 3, 1)), key=KEY)[0] == 12 * 0.75**2


def test_cross_entropy_is_finite_for_large_logits():
  objective = AE(reconstruction="binary_cross_entropy")
  logits = jnp.array([200.0, -200.0, 200.0, -200.0]).reshape(1, 2, 2, 1)
  images = jnp.array([1.0, 0.0, 0.0, 1.0]).reshape(1, 2, 2, 1)
  loss, metrics = objective(_constant(logits), images, key=KEY)
  assert loss == 400  # two pixels are right, and two wrong by 200 nats each
  assert metrics["reconstruction_error"] == 2

  def cost(logits):
    return objective(_constant(logits), images, key=KEY)[0]

  np.testing.assert_array_equal(jax.grad(cost)(logits).ravel(), [0, 0, 1, -1])


def test_cross_entropy_equals_the_definition_for_moderate_logits():
  logits = jax.random.normal(KEY, (6, 4, 3, 1)) * 3
  images = jax.random.uniform(jax.random.key(1), (6, 4, 3, 1))
  p = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
  x = np.asarray(images, np.float64)
  naive = -np.sum(x * np.log(p) + (1 - x) * np.log1p(-p)) / 6
  loss, metrics = AE(reconstruction="binary_cross_entropy")(_constant(logits), images, key=KEY)
  np.testing.assert_allclose(loss, naive, rtol=1e-5)
  np.testing.assert_allclose(metrics["reconstruction_error"], np.sum((x - p) ** 2) / 6, rtol=1e-5)


@pytest.mark.parametrize("objective", [AE(), VAE(beta=3.0)], ids=["ae", "vae"])
def test_objective_does_not_depend_on_batch_size(objective):
  # Without variance there is no noise, which would differ between copies of an image.
  def model(scale):
    def encoder(images):
      mean = images.reshape(len(images), -1)[:, :2] * scale
      return (mean, jnp.full_like(mean, -50.0)) if objective.gaussian_encoder else mean

    return Autoencoder(
      encoder, lambda z: jnp.tile(z, 6).reshape(len(z), 4, 3, 1), latent_dim=2, output="sigmoid"
    )

  def cost(scale, images):
    return objective(model(scale), images, key=KEY)[0]

  one = jax.value_and_grad(cost)(1.5, IMAGES)
  many = jax.value_and_grad(cost)(1.5, jnp.tile(IMAGES, (7, 1, 1, 1)))
  chex.assert_trees_all_close(one, many, rtol=1e-5)


OBJECTIVES = [
  AE(),
  VAE(beta=2.0),
  VAE(reconstruction="binary_cross_entropy"),
  WAEMMD(weight=2.0),
  WAEMMD(weight=2.0, sample_prior=True),
  CWAE(weight=2.0),
  CWAE(log=False, sample_prior=True),
  SWAE(weight=2.0),
  SWAE(weight=2.0, sample_prior=True),
]


@pytest.mark.slow  # tests/training/test_sharding.py uses eight devices in every run
@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_objective_does_not_depend_on_number_of_devices(objective):
  model = _model(objective)
  model.output = "sigmoid"
  graphdef, params = nnx.split(model, nnx.Param)
  devices = 3

  def cost(params, images, axis_name=None):
    return objective(nnx.merge(graphdef, params), images, key=KEY, axis_name=axis_name)[0]

  def on_a_device(params, images):
    return lax.pmean(jax.value_and_grad(cost)(params, images, "batch"), "batch")

  @jax.jit
  def both(params):
    spread = IMAGES.reshape(devices, -1, *IMAGES.shape[1:])
    spread = jax.vmap(on_a_device, in_axes=(None, 0), axis_name="batch")(params, spread)
    return jax.value_and_grad(cost)(params, IMAGES), spread

  one, spread = jax.device_get(both(params))
  np.testing.assert_allclose(spread[0], np.full(devices, one[0]), rtol=1e-5)
  for device in range(devices):
    pairs = zip(jax.tree.leaves(spread[1]), jax.tree.leaves(one[1]), strict=True)
    # The tolerance is relative to the whole gradient, since a component may be zero.
    difference = [many[device] - leaf for many, leaf in pairs]
    assert _norm(difference) < 1e-5 * _norm(jax.tree.leaves(one[1]))


def _norm(leaves):
  return math.sqrt(sum(float(np.sum(leaf**2)) for leaf in leaves))


@pytest.mark.parametrize(
  ("objective", "gaussian", "sentence"),
  [
    (VAE(), False, "VAE needs a Gaussian encoder"),
    (AE(), True, "AE needs a deterministic encoder"),
    (CWAE(), True, "CWAE needs a deterministic encoder"),
  ],
)
def test_objective_rejects_wrong_kind_of_encoder(objective, gaussian, sentence):
  model = networks.build("linear", (4, 3, 1), latent_dim=2, gaussian=gaussian, key=KEY)
  with pytest.raises(ValueError, match=sentence):
    objective(model, IMAGES, key=KEY)


def test_objective_rejects_wrong_decoder_or_output():
  with pytest.raises(ValueError, match=r"decoder gives images of shape \[12, 3, 4, 1\]"):
    AE()(_constant(jnp.zeros((12, 3, 4, 1))), IMAGES, key=KEY)
  with pytest.raises(ValueError, match='needs an Autoencoder with output="sigmoid"'):
    AE(reconstruction="binary_cross_entropy")(_model(AE()), IMAGES, key=KEY)


@pytest.mark.parametrize(
  ("make", "sentence"),
  [
    (lambda: CWAE(weight=-1.0), "weight of the penalty must be finite and not negative"),
    (lambda: SWAE(weight=math.nan), "but is nan"),
    (lambda: VAE(beta=math.inf), "but is inf"),
    (lambda: SWAE(num_directions=0), "num_directions must be a whole number from 1 up, but is 0"),
    (lambda: SWAE(weight=-1.0), "weight of the penalty"),
    (lambda: AE(reconstruction="l1"), "must be squared_error or binary_cross_entropy, but is 'l1'"),
  ],
)
def test_objective_rejects_fields_out_of_range(make, sentence, without_beartype):
  with pytest.raises(ValueError, match=sentence):
    make()


def test_by_name_lists_objectives():
  assert list(BY_NAME)[:5] == ["ae", "vae", "wae-mmd", "cwae", "swae"]
  assert all(issubclass(objective, Objective) for objective in BY_NAME.values())
  with pytest.raises(NotImplementedError):
    Objective().penalty(Posterior(jnp.ones((2, 2)), None), key=KEY)
