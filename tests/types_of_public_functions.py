"""Signatures that a type checker and an editor must see; basedpyright checks this file.

Nothing here runs. Each right call asserts the type of its result. Each wrong call is an error that
is expected; if a signature is lost, the expected error disappears and the unused `ignore` fails.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=error, reportUnknownMemberType=error
# pyright: reportUnknownVariableType=error, reportUnusedExpression=false

from collections.abc import Callable
from typing import Any, assert_type

import jax
import jax.numpy as jnp
import numpy as np
import optax

import aejax
from aejax import distances, metrics, networks, objectives, priors
from aejax.training import TrainState, TrainStep, create, merge


def rational(squared_distances: jax.Array, dim: int) -> jax.Array:
  """A kernel of a user."""
  return 1 / (1 + squared_distances / dim)


def right_calls(z: jax.Array, samples: np.ndarray, directions: jax.Array, key: jax.Array) -> None:
  """Arrays of JAX and of NumPy, priors, and no target."""
  mixture = priors.GaussianMixture(key, samples, np.ones(2))
  assert_type(distances.kl_divergence(z, samples), jax.Array)
  assert_type(distances.cramer_wold(z, mixture, gamma=0.5, unbiased=True), jax.Array)
  assert_type(distances.sigreg(samples, axis_name="batch"), jax.Array)
  kernel = rational + distances.gaussian(1.0) + distances.imq((1.0,)) + rational
  assert_type(distances.mmd(z, samples, kernel=kernel, axis_name=("a", "b")), jax.Array)
  assert_type(distances.energy_distance(z, priors.UniformSphere(3)), jax.Array)
  assert_type(distances.kernel_stein(z, kernel=distances.imq()), jax.Array)
  assert_type(distances.kernel_stein(z, mixture, unbiased=False), jax.Array)
  assert_type(distances.kernel_stein(z, jnp.negative), jax.Array)
  assert_type(distances.sliced_wasserstein(z, directions=directions), jax.Array)
  step = np.float32(0.1)
  value = distances.max_sliced_wasserstein(z, samples, directions=directions, step_size=step)
  assert_type(value, jax.Array)
  assert_type(distances.epps_pulley(z, directions=directions), jax.Array)
  assert_type(distances.cramer_von_mises(z, directions=directions), jax.Array)
  assert_type(distances.anderson_darling(z, directions=directions), jax.Array)
  assert_type(distances.kolmogorov_smirnov(z, directions=directions), jax.Array)
  assert_type(distances.sinkhorn_divergence(z, samples, epsilon=1.0), jax.Array)
  both = distances.sinkhorn_divergence_and_residual(z, samples, epsilon=1.0)
  assert_type(both, tuple[jax.Array, jax.Array])
  assert_type(distances.random_directions(key, 50, 8, orthogonal=True), jax.Array)
  assert_type(distances.gaussian(1.0), distances.Gaussian)
  assert_type(distances.imq(), distances.InverseMultiquadric)
  assert_type(priors.StandardNormal(3).sample(key, 5), jax.Array)
  assert_type(mixture.log_prob(z), jax.Array)
  assert_type(metrics.frechet_distance(samples, samples), float)


def right_training(key: jax.Array, images: jax.Array) -> None:
  """A model, an objective, the state and the step."""
  model = networks.build("mlp", (28, 28, 1), latent_dim=8, key=key)
  assert_type(model, aejax.Autoencoder)
  objective = objectives.CWAE(weight=1.0) + objectives.Energy(weight=2.0)
  assert_type(objective, objectives.Objective)
  state, step = create(model, objective, optax.adam(1e-3), key=key)
  assert_type(state, TrainState)
  assert_type(step, TrainStep)
  assert_type(merge(model, state.params).generate(key, 4), jax.Array)
  assert_type(model.posterior(images).sample(key), jax.Array)
  assert_type(aejax.load("runs/a", best=True), aejax.Run)
  assert_type(aejax.Run.open("runs/a").train(), dict[str, float])


def wrong_calls(z: jax.Array, directions: jax.Array, key: jax.Array) -> None:
  """Each call has an error that the checker must report."""
  distances.kl_divergence(z)  # pyright: ignore[reportCallIssue]
  distances.cramer_wold("nonsense")  # pyright: ignore[reportArgumentType]
  distances.cramer_wold(z, 3)  # pyright: ignore[reportArgumentType]
  distances.cramer_wold(z, nope=1)  # pyright: ignore[reportCallIssue]
  distances.sigreg(z, gamma=1.0)  # pyright: ignore[reportCallIssue]
  distances.mmd(z, kernel=3)  # pyright: ignore[reportArgumentType]
  distances.energy_distance(z, unbiased="no")  # pyright: ignore[reportArgumentType]
  distances.kernel_stein(z, axis_name=1)  # pyright: ignore[reportArgumentType]
  distances.sliced_wasserstein(z)  # pyright: ignore[reportCallIssue]
  distances.max_sliced_wasserstein(z, directions=7)  # pyright: ignore[reportArgumentType]
  distances.epps_pulley(z, directions)  # pyright: ignore[reportCallIssue]
  distances.cramer_von_mises(z)  # pyright: ignore[reportCallIssue]
  distances.anderson_darling(z)  # pyright: ignore[reportCallIssue]
  distances.kolmogorov_smirnov(z)  # pyright: ignore[reportCallIssue]
  distances.sinkhorn_divergence(z, z)  # pyright: ignore[reportCallIssue]
  distances.sinkhorn_divergence_and_residual(z, z)  # pyright: ignore[reportCallIssue]
  distances.random_directions(key, "50", 8)  # pyright: ignore[reportArgumentType]
  distances.gaussian()  # pyright: ignore[reportCallIssue]
  priors.StandardNormal("3")  # pyright: ignore[reportArgumentType]
  networks.build("mlp", (28, 28, 1), key=key)  # pyright: ignore[reportCallIssue]
  objectives.CWAE(wieght=1.0)  # pyright: ignore[reportCallIssue]


def signatures() -> list[Callable[..., Any]]:
  """Every public distance, so that a test can compare the list with `distances.__all__`."""
  return [
    distances.anderson_darling,
    distances.cramer_von_mises,
    distances.cramer_wold,
    distances.energy_distance,
    distances.epps_pulley,
    distances.gaussian,
    distances.imq,
    distances.kernel_stein,
    distances.kl_divergence,
    distances.kolmogorov_smirnov,
    distances.laplace,
    distances.matern,
    distances.max_sliced_wasserstein,
    distances.median_bandwidth,
    distances.mmd,
    distances.random_directions,
    distances.rational_quadratic,
    distances.sigreg,
    distances.sinkhorn_divergence,
    distances.sinkhorn_divergence_and_residual,
    distances.sliced_wasserstein,
  ]
