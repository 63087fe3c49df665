"""Tests `accumulate`: the networks process parts of a batch, the distance sees all of it."""

import chex
import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from aejax import networks, objectives
from aejax.objectives._rows import microbatched

KEY = jax.random.key(0)
IMAGES = jax.random.uniform(jax.random.key(1), (12, 4, 3, 1))


def gradient(objective, images, accumulate, network="linear"):
  model = networks.build(
    network,
    images.shape[1:],
    latent_dim=2,
    gaussian=objective.gaussian_encoder,
    key=jax.random.key(2),
  )
  graphdef, params = nnx.split(model, nnx.Param)

  def cost(params, images):
    return objective(nnx.merge(graphdef, params), images, key=KEY, accumulate=accumulate)

  return jax.jit(jax.value_and_grad(cost, has_aux=True)), params


@pytest.mark.parametrize(
  ("name", "parts"),
  [
    *(("vae", 3), ("swae", 3), ("rae", 3), ("cwae", 12), ("cwae+vae", 2)),
    *(pytest.param(name, 3, marks=pytest.mark.slow) for name in objectives.BY_NAME),
  ],
)
def test_accumulate_gives_the_gradient_of_the_entire_batch(name, parts):
  terms = [objectives.BY_NAME[term]() for term in name.split("+")]
  objective = terms[0] if len(terms) == 1 else terms[0] + terms[1]
  whole, params = gradient(objective, IMAGES, 1)
  accumulated, _ = gradient(objective, IMAGES, parts)
  # Another order of twelve summands changes a few units in the last place of the largest.
  tolerance = 30 * jnp.finfo(jnp.float32).eps
  expected, found = whole(params, IMAGES), accumulated(params, IMAGES)
  for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
    assert float(jnp.abs(a - b).max()) <= tolerance * max(float(jnp.abs(a).max()), 1.0)


def test_swae_of_parts_exceeds_swae_of_the_batch():
  """Squared Wasserstein distances are convex, so the mean over parts exceeds the distance."""
  objective = objectives.SWAE()
  whole, params = gradient(objective, IMAGES, 1)
  parts = [whole(params, IMAGES[i : i + 4])[0][1]["penalty"] for i in (0, 4, 8)]
  assert float(jnp.mean(jnp.stack(parts))) > 1.1 * float(whole(params, IMAGES)[0][1]["penalty"])


def test_accumulate_reduces_memory():
  images = jax.random.uniform(KEY, (4096, 8, 8, 1))
  temporary = []
  for parts in (1, 16):
    function, params = gradient(objectives.SWAE(), images, parts, network="mlp")
    compiled = function.lower(params, images).compile()
    temporary.append(compiled.memory_analysis().temp_size_in_bytes)
  # The gradients and the projections of all latents take the same memory in both cases.
  assert temporary[1] < temporary[0] / 3


def test_microbatched_keeps_the_order_of_rows():
  x = jnp.arange(24.0).reshape(12, 2)
  chex.assert_trees_all_equal(microbatched(lambda v: (v, v.sum(1)), 3, x), (x, x.sum(1)))


def test_microbatched_rejects_parts_that_do_not_divide_the_batch():
  with pytest.raises(ValueError, match="accumulate must divide the batch of 12, but is 5"):
    microbatched(lambda v: v, 5, jnp.ones((12, 1)))
