"""What holds for every objective, whatever the latents: Hypothesis draws them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from jit_o0 import jit_o0
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
  """Latents as images of as many pixels: what the encoder gives is what is drawn here."""

  def __init__(self, rngs):
    self.linear = nnx.Linear(DIM, DIM, rngs=rngs)

  def __call__(self, latents):
    return self.linear(latents).reshape(-1, 1, DIM, 1)


def points(images):
  return images.reshape(-1, DIM)


def gaussian(images):
  """Log-variances in a range that no sane encoder leaves."""
  return points(images), 10 * jnp.sin(points(images))


@functools.cache
def compiled(method):
  """Loss, terms, and gradients by the images and the decoder's parameters."""
  objective = objectives.make(method, {})
  encoder = gaussian if objective.gaussian_encoder else points
  model = Autoencoder(encoder, Widen(nnx.Rngs(0)), latent_dim=DIM)
  graphdef, params = nnx.split(model)

  def cost(params, images):
    return objective(nnx.merge(graphdef, params), images, key=KEY)

  run = jit_o0(jax.value_and_grad(cost, argnums=(0, 1), has_aux=True))
  return objective, nnx.merge(graphdef, params), lambda images: run(params, images)


def check(method, z, order):
  """Finite with its gradients, the sum of its terms, and blind to the order of the batch."""
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
    return  # The noise of a row is the row's.
  (other, _), _ = run(images[order])
  # Distances are sums of n (d + s²), s the largest norm, in another order: see test_catalogue. The
  # logarithm divides that by the distance, of 10⁻⁷ at least.
  largest = float(np.square(z.astype(np.float64)).sum(1).max())
  rounding = 16 * 1.2e-7 * N * (7 * DIM + largest)
  if "cwae" in method:
    distance = max(np.exp(float(terms["penalty"])) if method == "cwae" else 1e-4, 1e-7)
    rounding += rounding / distance
  assert float(other) == pytest.approx(float(loss), abs=rounding + 1e-6 * size)


@pytest.mark.parametrize("method", METHODS)
@FEWER
@given(z=sets(N, DIM), order=st.permutations(range(N)).map(np.array))
def test_whatever_the_latents(method, z, order):
  check(method, z, order)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@MORE
@given(z=sets(N, DIM), order=st.permutations(range(N)).map(np.array))
def test_whatever_the_latents_many_times(method, z, order):
  check(method, z, order)


@pytest.mark.parametrize("n", [512, 2048, 8192])
def test_the_logarithm_of_a_distance_that_is_all_rounding(n):
  """The best n points in one dimension: their distance is below what float32 can tell from zero."""
  latents = jnp.asarray(ndtri((np.arange(n) + 0.5) / n)[:, None], jnp.float32)

  def penalty(z):
    return objectives.CWAE().penalty(Posterior(z, None), key=KEY)

  value, gradient = jax.value_and_grad(penalty)(latents)
  # Rounding of a few units in the last place of 1/√γ.
  assert np.log(1e-7) - 1e-6 <= value < np.log(2e-6)
  assert np.isfinite(gradient).all()
