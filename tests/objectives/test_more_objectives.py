"""Tests further objectives and sums of objectives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aejax import distances, networks, objectives
from aejax.autoencoder import Posterior
from aejax.priors import UniformBall

KEY = jax.random.key(0)
IMAGES = jax.random.uniform(jax.random.key(1), (12, 4, 3, 1))


def model(objective, latent_dim=2):
  return networks.build(
    "linear",
    IMAGES.shape[1:],
    latent_dim=latent_dim,
    gaussian=objective.gaussian_encoder,
    key=jax.random.key(2),
  )


def terms(objective):
  return objective(model(objective), IMAGES, key=KEY)[1]


Z = jax.random.normal(jax.random.key(3), (12, 3)) + 0.3
POSTERIOR = Posterior(Z, None)
GAUSSIAN = Posterior(Z, -jnp.ones_like(Z))


def test_energy_penalty_is_the_energy_distance():
  value = objectives.Energy().penalty(POSTERIOR, key=KEY)
  assert value == distances.energy_distance(Z)
  ball = objectives.Energy(prior=UniformBall(3), sample_prior=True)
  expected = distances.energy_distance(Z, UniformBall(3).sample(KEY, 12))
  assert ball.penalty(POSTERIOR, key=KEY) == expected


def test_sigreg_does_not_depend_on_batch_size():
  once = objectives.SIGReg().penalty(POSTERIOR, key=KEY)
  # The value is 2π times a distance that float32 resolves to 1e-7.
  assert once == pytest.approx(2 * np.pi * float(distances.cramer_wold(Z, gamma=0.5)), abs=2e-6)
  # Repeating a sample does not change its V-statistic.
  twice = objectives.SIGReg().penalty(Posterior(jnp.concatenate([Z, Z]), None), key=KEY)
  assert twice == pytest.approx(float(once), abs=2e-6)


def test_infovae_interpolates_between_vae_and_mmd():
  kl = float(distances.kl_divergence(*GAUSSIAN).mean())
  vae = objectives.InfoVAE(alpha=0.0, weight=1.0).penalty(GAUSSIAN, key=KEY)
  assert vae == pytest.approx(kl, rel=1e-6)
  mmd_vae = objectives.InfoVAE(alpha=1.0, weight=3.0)
  latents = mmd_vae.latents(GAUSSIAN, key=KEY)
  assert mmd_vae.penalty(GAUSSIAN, key=KEY) == pytest.approx(3 * float(distances.mmd(latents)))
  between = objectives.InfoVAE(alpha=0.25, weight=3.0).penalty(GAUSSIAN, key=KEY)
  assert between == pytest.approx(0.75 * kl + 2.25 * float(distances.mmd(latents)), rel=1e-5)


def test_sinkhorn_penalty_is_the_sinkhorn_divergence():
  pytest.importorskip("ott")
  objective = objectives.Sinkhorn(epsilon=0.05)
  samples = jax.random.normal(KEY, (12, 3))
  expected = distances.sinkhorn_divergence(Z, samples, epsilon=0.05 * 6)
  assert objective.penalty(POSTERIOR, key=KEY) == pytest.approx(float(expected), rel=1e-5)


def test_rae_decays_only_the_decoder():
  plain = terms(objectives.RAE(weight=0.1, decay=0.0))
  decayed = terms(objectives.RAE(weight=0.1, decay=1e-2))
  decoder = nnx.state(model(objectives.RAE()).decoder, nnx.Param)
  squares = sum(float(jnp.sum(p**2)) for p in jax.tree.leaves(decoder))
  assert decayed["loss"] - plain["loss"] == pytest.approx(1e-2 * squares, rel=1e-4)
  z = model(objectives.RAE()).encode(IMAGES)
  assert plain["penalty"] == pytest.approx(float((z**2).sum(1).mean()) / 2, rel=1e-5)


def test_combined_adds_weighted_penalties():
  cwae, energy, swae = (
    objectives.CWAE(weight=2.0, log=False),
    objectives.Energy(weight=5.0),
    objectives.SWAE(weight=0.5),
  )
  total = cwae + energy + swae
  assert total.terms == (cwae, energy, swae)
  keys = jax.random.split(KEY, 3)
  by_hand = sum(
    o.penalty_weight * float(o.penalty(POSTERIOR, key=key))
    for o, key in zip(total.terms, keys, strict=True)
  )
  assert total.penalty(POSTERIOR, key=KEY) == pytest.approx(by_hand, rel=1e-5)
  metrics = terms(total)
  assert metrics["loss"] == pytest.approx(
    float(metrics["reconstruction_error"] + metrics["penalty"]), rel=1e-5
  )
  vae = objectives.VAE() + objectives.WAEMMD()
  assert vae.gaussian_encoder
  assert np.isfinite(terms(vae)["loss"])


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda: objectives.Sinkhorn(epsilon=0.0), "epsilon must be positive"),
    (lambda: objectives.RAE(decay=-1.0), "decay must be finite and not negative"),
    (lambda: objectives.InfoVAE(alpha=2.0), "1 − alpha must be finite and not negative"),
    (lambda: objectives.Energy(weight=float("nan")), "weight of the penalty must be finite"),
    (
      lambda: objectives.CWAE() + objectives.CWAE(reconstruction="binary_cross_entropy"),
      "different reconstruction terms cannot be added",
    ),
  ],
)
def test_objective_rejects_bad_settings(make, message):
  with pytest.raises(ValueError, match=message):
    make()


@pytest.mark.parametrize(
  "objective",
  [
    pytest.param(objectives.Energy(), marks=pytest.mark.slow),
    objectives.SIGReg(),
    pytest.param(objectives.InfoVAE(), marks=pytest.mark.slow),
    objectives.RAE(),
    objectives.CWAE() + objectives.SWAE(),
  ],
  ids=lambda o: type(o).__name__,
)
def test_objective_under_mapped_axis_sees_global_batch(objective):
  graphdef, params = nnx.split(model(objective), nnx.Param)

  def cost(params, images, axis_name=None):
    return objective(nnx.merge(graphdef, params), images, key=KEY, axis_name=axis_name)[0]

  def shared(images):
    out = jax.value_and_grad(cost)(params, images, "devices")
    return jax.lax.pmean(out, "devices")

  value, gradient = jax.jit(jax.value_and_grad(cost))(params, IMAGES)
  spread = IMAGES.reshape(3, 4, 4, 3, 1)
  values, gradients = jax.jit(jax.vmap(shared, axis_name="devices"))(spread)
  np.testing.assert_allclose(values, value, rtol=1e-5)
  for g, expected in zip(jax.tree.leaves(gradients), jax.tree.leaves(gradient), strict=True):
    np.testing.assert_allclose(g[0], expected, rtol=1e-4, atol=1e-6)


def test_make_returns_sums_by_name():
  total = objectives.make("cwae+wae-mmd", {"cwae_weight": 3.0, "wae_mmd_weight": 2.0})
  assert total == objectives.CWAE(weight=3.0) + objectives.WAEMMD(weight=2.0)
  assert objectives.make("cwae", {"weight": 3.0}) == objectives.CWAE(weight=3.0)


def test_combined_keeps_parameter_penalties():
  plain = terms(objectives.RAE(weight=0.1, decay=0.0) + objectives.Energy())
  decayed = terms(objectives.RAE(weight=0.1, decay=1e-2) + objectives.Energy())
  single = terms(objectives.RAE(weight=0.1, decay=1e-2))["loss"]
  undecayed = terms(objectives.RAE(weight=0.1, decay=0.0))["loss"]
  assert decayed["loss"] - plain["loss"] == pytest.approx(float(single - undecayed), rel=1e-4)
