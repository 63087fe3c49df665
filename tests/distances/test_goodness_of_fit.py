"""Tests on slices: the nodes of Epps–Pulley on accelerators, and forms without the factor n."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import AejaxWarning, distances
from aejax.distances import _epps_pulley

NORMALIZED = ("sigreg", "epps_pulley", "cramer_von_mises", "anderson_darling")


def statistic(name, **options):
  function = getattr(distances, name)
  if name != "sigreg":
    options["directions"] = jnp.eye(3)
  return lambda z: function(z, **options)


@pytest.mark.parametrize("name", NORMALIZED)
def test_normalized_statistic_is_divided_by_the_global_number_of_latents(name):
  z = jax.random.normal(jax.random.key(0), (12, 3)) + 0.5
  value = statistic(name)(z)
  np.testing.assert_allclose(statistic(name, normalized=True)(z), value / 12, rtol=1e-6)
  shared = statistic(name, normalized=True, axis_name="devices")
  values = jax.vmap(shared, axis_name="devices")(z.reshape(2, 6, 3))
  np.testing.assert_allclose(values, np.full(2, value / 12), rtol=1e-5)


def test_normalized_must_be_a_boolean(without_beartype):
  with pytest.raises(ValueError, match="normalized must be True or False, but is 1"):
    distances.sigreg(jnp.ones((3, 2)), normalized=1)


def test_distance_inside_an_unnamed_pmap_warns():
  z = jnp.ones((1, 4, 3))
  with pytest.warns(
    AejaxWarning, match="inside a pmap without axis_name is that of each device's own rows"
  ):
    jax.pmap(distances.sigreg)(z)
  jax.pmap(lambda z: distances.sigreg(z, axis_name="d"), axis_name="d")(z)


@pytest.mark.parametrize("scale", [0.01, 1.0, 3.0])
def test_nodes_without_a_loop_equal_those_of_the_loop(scale):
  p = scale * jax.random.normal(jax.random.key(0), (40, 3))
  step, blocks = jnp.float32(0.3), _epps_pulley._FIRST_BLOCKS
  zeros = jnp.zeros(3), jnp.zeros((40, 3))
  loop = _epps_pulley._add_blocks(p, step, 0, blocks, zeros, with_gradient=True)
  at_once = _epps_pulley._first_nodes(p, step, with_gradient=True)
  for found, expected in zip(at_once, loop, strict=True):
    # Angles of up to 20 are rounded differently.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=5e-6)
  value, _ = _epps_pulley._first_nodes(p, step, with_gradient=False)
  np.testing.assert_allclose(value, at_once[0], rtol=1e-6)
