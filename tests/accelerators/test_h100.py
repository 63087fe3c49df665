"""Programs compiled for one H100 and for eight; no GPU is needed."""

import jax
import jax.numpy as jnp
import pytest
from compiled.measure import measure
from compiled.programs import METHODS, NETWORKS, distance, train_loop
from compiled_limits import BALANCE, H100, SHARED_MIB, SORTED

from aejax import distances

pytestmark = pytest.mark.compiled

CONVOLUTIONAL = ("convolutional", "cifar10", "celeb_a")


@pytest.mark.parametrize("name", H100)
def test_pairwise_distances_need_few_kernels(distance_row, name):
  for n in (256, 2048, 8192):
    row = distance_row(name, n, "h100")
    assert row.kernels <= H100[name].kernels
    assert row.temporaries <= H100[name].mib * 2**20
  row = distance_row(name, 65_536, "h100")
  assert row.kernels <= H100[name].kernels_65536
  assert row.temporaries <= H100[name].mib * 2**20
  assert row.loops == 0


def test_many_sets_are_one_program_or_share_the_memory_of_one():
  one = measure(distance("cramer_wold", 2048, 64), "h100")

  def value_and_gradient(z):
    return jax.value_and_grad(lambda z: distances.cramer_wold(z))(z)

  for run, kernels, memory in (
    (jax.vmap(value_and_gradient), 13, 16 * one.temporaries),
    (lambda z: jax.lax.map(value_and_gradient, z), 16 * 15, 1.1 * one.temporaries),
  ):
    z = jax.ShapeDtypeStruct((16, 2048, 64), jnp.float32)
    program = distance("cramer_wold", 2048, 64)._replace(function=run, arguments=(z,))
    row = measure(program, "h100")
    assert row.kernels <= kernels
    assert row.temporaries <= memory


@pytest.mark.parametrize("name", SORTED)
def test_sorted_gradients_have_no_scatter(distance_row, name):
  row = distance_row(name, 8192, "h100")
  assert row.scatters == 0
  assert row.kernels <= 12


@pytest.mark.parametrize("network", ["mlp", *CONVOLUTIONAL])
@pytest.mark.parametrize("method", METHODS)
def test_steps_have_no_dilated_convolution_and_copy_no_images(step_row, method, network):
  row = step_row(method, network, "h100")
  assert (row.dilated, row.reversals, row.image_copies, row.scatters) == (0, 0, 0, 0)
  images = NETWORKS[network]
  assert row.arguments > images.num_images  # the images are an argument


@pytest.mark.parametrize("method", METHODS)
def test_a_step_without_convolutions_is_one_cuda_graph(step_row, method):
  row = step_row(method, "mlp", "h100")
  assert (row.graphs, row.alone) == (1, 0)


@pytest.mark.parametrize("n", [8192, 65_536])
@pytest.mark.parametrize("name", SHARED_MIB)
def test_eight_devices_share_the_pairs(distance_row, name, n):
  one, share = distance_row(name, n, "h100"), distance_row(name, n, "h100:8")
  assert share.products <= BALANCE * one.products / 8
  _assert_one_gather_and_one_large_reduction(share, n)
  assert share.temporaries <= SHARED_MIB[name] * 2**20


@pytest.mark.parametrize("network", ["mlp", "celeb_a"])
def test_eight_devices_exchange_gradients_and_one_batch(step_row, network):
  row, one = step_row("cwae", network, "h100:8"), step_row("cwae", network, "h100")
  assert row.image_copies == 0
  assert row.temporaries < one.temporaries / 2
  parameters = _parameter_bytes(network)
  batch = 256 * _pixels(network)
  latents = 2 * 256 * NETWORKS[network].latent_dim * 4
  assert row.received <= 2 * parameters + batch + latents + 2**16


def test_large_arrays_are_sharded_with_their_optimizer_state(step_row):
  one, share = step_row("cwae", "mlp-256", "h100"), step_row("cwae", "mlp-256", "h100:8")
  # Images and the two large layers, with two moments each, are cut in eight.
  assert share.arguments <= 1.02 * one.arguments / 8
  assert share.collectives["all-gather"] >= 2
  assert share.collectives["reduce-scatter"] >= 2
  assert share.temporaries < one.temporaries


def _assert_one_gather_and_one_large_reduction(row, n):
  assert row.collectives["all-gather"] == 1
  assert row.collectives["reduce-scatter"] == 1
  # All latents in, and their gradients out; the other reductions are of a few numbers.
  expected = 2 * n * 64 * 4 * 7 // 8
  assert expected <= row.received <= expected + 2**10


def _pixels(network):
  height, width, channels = NETWORKS[network].image_shape
  return height * width * channels


def _parameter_bytes(network):
  state = train_loop("cwae", network, batch_size=256).arguments[0]
  return sum(4 * leaf.size for leaf in jax.tree.leaves(state.params))
