"""Programs compiled for TPUs: one v5e chip, 16 and 256; no TPU is needed."""

import pytest
from compiled.programs import NETWORKS
from compiled_limits import BALANCE, V5E_CYCLES

pytestmark = pytest.mark.compiled


@pytest.mark.parametrize(("name", "n"), V5E_CYCLES)
def test_cycles_stay_within_their_limits(distance_row, name, n):
  row = distance_row(name, n, "v5e")
  assert row.cycles <= V5E_CYCLES[name, n]
  assert row.temporaries <= 300 * 2**20


@pytest.mark.parametrize("name", ["sliced_wasserstein", "anderson_darling"])
def test_sorted_gradients_have_no_scatter(distance_row, name):
  assert distance_row(name, 2048, "v5e").scatters == 0


@pytest.mark.parametrize("network", ["cifar10", "celeb_a"])
def test_steps_copy_no_images(step_row, network):
  row = step_row("cwae", network, "v5e")
  assert (row.image_copies, row.reversals) == (0, 0)
  images = NETWORKS[network]
  height, width, channels = images.image_shape
  assert row.arguments < 1.02 * images.num_images * height * width * channels + 2**30


def test_256_chips_share_the_pairs(distance_row):
  n = 65_536
  one, share = (distance_row("cramer_wold", n, target) for target in ("v5e", "v5e:16x16"))
  assert share.products <= BALANCE * one.products / 256
  assert share.collectives["all-gather"] == 1
  # XLA leaves the reduction of the gradients an all-reduce, in which a chip receives them twice.
  assert set(share.collectives) <= {"all-gather", "all-reduce", "reduce-scatter"}
  assert share.received <= 3 * n * 64 * 4 + 2**16


def test_16_chips_shard_large_arrays(step_row):
  one, share = (step_row("cwae", "mlp-256", target) for target in ("v5e", "v5e:4x4"))
  assert share.arguments <= 1.05 * one.arguments / 16
  assert share.image_copies == 0


@pytest.mark.parametrize("target", ["v5p", "v6e"])
def test_newer_tpus_compile(distance_row, step_row, target):
  assert distance_row("cramer_wold", 256, target).kernels <= 20
  assert step_row("cwae", "mlp", target).dilated == 0
