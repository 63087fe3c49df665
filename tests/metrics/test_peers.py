"""Compares metrics of features with the functions of torch-fidelity.

The tests are skipped if torch or torch-fidelity is missing; `pip install '.[bench]'` installs them.
Only the definitions are shared: its FID takes eigenvalues of a product where ours takes singular
values of factors, and its KID takes a whole kernel matrix where ours takes blocks.
"""

import numpy as np
import pytest
import torch_fidelity_stub

from aejax.metrics import frechet_distance, kernel_distance, prdc
from aejax.metrics import kernel_distance_in_blocks as in_blocks


def sets(n=400, m=400, d=24, shift=0.3):
  """Features like those after a ReLU: correlated, not negative, many of them zero."""
  rng = np.random.default_rng(n + d)
  mix = rng.standard_normal((d, d)) / np.sqrt(d)
  first, second = (rng.standard_normal((size, d)) @ mix for size in (n, m))
  return np.maximum(first, 0), np.maximum(1.1 * second + shift, 0)


@pytest.mark.parametrize("shift", [0.0, 0.3, 3.0])
@pytest.mark.parametrize("sizes", [(400, 400), (300, 500)])
def test_frechet_distance_matches_torch_fidelity(sizes, shift):
  peer = torch_fidelity_stub.module("metric_fid")
  import torch

  x, y = sets(*sizes, shift=shift)
  moments = [peer.fid_features_to_statistics(torch.tensor(rows)) for rows in (x, y)]
  value = peer.fid_statistics_to_metric(*moments, verbose=False)[peer.KEY_METRIC_FID]
  # Eigenvalues of a product that is not symmetric lose half of the digits; values are 0.2 to 200.
  assert frechet_distance(x, y) == pytest.approx(value, rel=1e-7)


def test_frechet_distance_of_fewer_images_than_features_matches_torch_fidelity():
  peer = torch_fidelity_stub.module("metric_fid")
  import torch

  x, y = sets(30, 30, 64)
  moments = [peer.fid_features_to_statistics(torch.tensor(rows)) for rows in (x, y)]
  value = peer.fid_statistics_to_metric(*moments, verbose=False)[peer.KEY_METRIC_FID]
  # The peer takes roots of eigenvalues that should be zero but are about 1e-16: 1e-8 each.
  assert frechet_distance(x, y) == pytest.approx(value, abs=64 * 1e-7)


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_kernel_distance_matches_torch_fidelity(shift):
  peer = torch_fidelity_stub.module("metric_kid")
  import torch

  x, y = sets(shift=shift)
  options = dict(kid_subsets=3, kid_subset_size=len(x), verbose=False)
  found = peer.kid_features_to_metric(torch.tensor(x), torch.tensor(y), **options)
  # A subset with all rows is a permutation of the rows.
  value, spread = found[peer.KEY_METRIC_KID_MEAN], found[peer.KEY_METRIC_KID_STD]
  assert spread < 1e-12
  assert kernel_distance(x, y) == pytest.approx(value, rel=1e-10, abs=1e-12)


def test_kernel_distance_in_blocks_agrees_with_torch_fidelity():
  """Disjoint blocks and the peer's overlapping subsets have the same expectation."""
  import jax

  peer = torch_fidelity_stub.module("metric_kid")
  import torch

  x, y = sets(2000, 2000)
  options = dict(kid_subsets=50, kid_subset_size=200, verbose=False, rng_seed=0)
  found = peer.kid_features_to_metric(torch.tensor(x), torch.tensor(y), **options)
  ours = in_blocks(x, y, key=jax.random.key(0), block_size=200)
  # Both use the same rows, so the peer's error is not larger than ours.
  assert abs(ours.value - found[peer.KEY_METRIC_KID_MEAN]) < 4 * ours.standard_error
  assert ours.value > 10 * ours.standard_error


@pytest.mark.parametrize("neighbours", [1, 3, 5])
@pytest.mark.parametrize("sizes", [(400, 400), (300, 500)])
@pytest.mark.parametrize("part", [True, False])
def test_prdc_matches_torch_fidelity(neighbours, sizes, part):
  peer = torch_fidelity_stub.module("metric_prc")
  import torch

  real, generated = sets(*sizes, d=8)
  options = dict(prc_neighborhood=neighbours, prc_batch_size=128, save_cpu_ram=part)
  tensors = torch.tensor(generated), torch.tensor(real)  # the peer takes generated ones first
  found = peer.prc_features_to_metric(*tensors, verbose=False, **options)
  ours = prdc(real, generated, precision_neighbours=neighbours)
  assert 0 < ours["precision"] < 1
  assert 0 < ours["recall"] < 1
  assert ours["precision"] == pytest.approx(found[peer.KEY_METRIC_PRECISION], abs=1e-6)
  assert ours["recall"] == pytest.approx(found[peer.KEY_METRIC_RECALL], abs=1e-6)
