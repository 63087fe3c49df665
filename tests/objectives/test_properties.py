"""Properties of every objective, for latents that Hypothesis draws."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from point_sets import sets
from scipy.special import ndtri

from aejax import objectives
from aejax.autoencoder import Autoencoder, Posterior

N, DIM = 6, 3
KEY = jax.random.key(0)
METHODS = [*objectives.BY_NAME, "cwae+energy", "vae+swae"]
FEWER = settings(max_examples=20, derandomize=True, database=None, deadline=None)
MORE = settings(max_examples=400, derandomize=True, database=None, deadline=None)


class Widen(nnx.Module):
  """A decoder to images with one pixel for each latent dimension."""

  def __init__(self, rngs):
    self.linear = nnx.Linear(DIM, DIM, rngs=rngs)

  def __call__(self, latents):
    return self.linear(latents).reshape(-1, 1, DIM, 1)


def points(images):
  return images.reshape(-1, DIM)


def gaussian(images):
  """Returns means and log-variances between −10 and 10."""
  return points(images), 10 * jnp.sin(points(images))


@functools.cache
def compiled(method):
  """Returns the objective, a model, and a compiled function of images.

  The function returns the loss, its terms, and the gradients for the images and the decoder.
  """
  objective = objectives.make(method, {})
  encoder = gaussian if objective.gaussian_encoder else points
  model = Autoencoder(encoder, Widen(nnx.Rngs(0)), latent_dim=DIM)
  graphdef, params = nnx.split(model)

  def cost(params, images):
    return objective(nnx.merge(graphdef, params), images, key=KEY)

  run = jax.jit(jax.value_and_grad(cost, argnums=(0, 1), has_aux=True))
  return objective, nnx.merge(graphdef, params), lambda images: run(params, images)


def check(method, z, order):
  """Checks that loss and gradients are finite, and that the order of the batch does not matter."""
  objective, model, run = compiled(method)
  images = z.reshape(N, 1, DIM, 1)
  (loss, terms), gradients = run(images)
  for leaf in jax.tree.leaves(gradients):
    assert np.isfinite(leaf).all()
  assert np.isfinite(loss)
  assert float(terms["reconstruction_error"]) >= 0
  decay = float(objective.parameter_penalty(model))
  parts = [float(terms["reconstruction_error"]), objective.penalty_weight * float(terms["penalty"])]
  size = sum(map(abs, parts)) + abs(decay)
  assert float(loss) == pytest.approx(sum(parts) + decay, abs=1e-6 * size + 1e-6)
  if objective.gaussian_encoder:
    return  # each row has its own noise
  (other, _), _ = run(images[order])
  # Another order of the batch changes the rounding of sums of size n (d + s²), where s is the
  # largest norm. The logarithm divides the error by the distance, which is at least 10⁻⁷.
  largest = float(np.square(z.astype(np.float64)).sum(1).max())
  rounding = 16 * 1.2e-7 * N * (7 * DIM + largest)
  if "cwae" in method:
    distance = max(np.exp(float(terms["penalty"])) if method == "cwae" else 1e-4, 1e-7)
    rounding += rounding / distance
  assert float(other) == pytest.approx(float(loss), abs=rounding + 1e-6 * size)


@pytest.mark.parametrize("method", METHODS)
@FEWER
@given(z=sets(N, DIM), order=st.permutations(range(N)).map(np.array))
def test_objective_properties_for_random_latents(method, z, order):
  check(method, z, order)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@MORE
@given(z=sets(N, DIM), order=st.permutations(range(N)).map(np.array))
def test_objective_properties_for_many_random_latents(method, z, order):
  check(method, z, order)


@pytest.mark.parametrize("n", [512, 2048, 8192])
def test_cwae_is_finite_for_a_distance_below_rounding(n):
  """Uses the best n points in one dimension, whose distance float32 cannot tell from zero."""
  latents = jnp.asarray(ndtri((np.arange(n) + 0.5) / n)[:, None], jnp.float32)

  def penalty(z):
    return objectives.CWAE().penalty(Posterior(z, None), key=KEY)

  value, gradient = jax.value_and_grad(penalty)(latents)
  # Rounding is a few units in the last place of 1/√γ.
  assert np.log(1e-7) - 1e-6 <= value < np.log(2e-6)
  assert np.isfinite(gradient).all()
