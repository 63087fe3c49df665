import numpy as np
import pytest

from aejax.metrics.collapse import active_units, collapse

RNG = np.random.default_rng(0)


def test_active_units_counts_variances_above_a_hundredth():
  z = RNG.normal(size=(1000, 4)).astype(np.float32) * [1, 0.11, 0.09, 0]
  assert active_units(z.astype(np.float32)) == 2


def test_collapse_accepts_normal_latents():
  z = RNG.normal(size=(512, 8)).astype(np.float32)
  assert collapse(z, gaussian=True) is None
  assert collapse(z, gaussian=False) is None
  # The latents of an autoencoder may have any scale and location.
  assert collapse(1e-3 * z + 100, gaussian=False) is None


def test_collapse_finds_posterior_collapse():
  z = RNG.normal(size=(512, 8)).astype(np.float32)
  z[:, 3:] *= 0.05
  assert "posterior collapse: 3 of 8 latent dimensions" in collapse(z, gaussian=True)


@pytest.mark.parametrize(("rank", "offset"), [(0, 5.0), (1, 0.0), (5, 3.0)])
def test_collapse_finds_latents_in_a_subspace(rank, offset):
  z = RNG.normal(size=(512, rank)) @ RNG.normal(size=(rank, 8)) + offset
  sentence = collapse(z.astype(np.float32), gaussian=False)
  assert f"latent collapse: the latents of different images spread along {rank} of 8" in sentence


def test_collapse_ignores_rounding():
  z = np.float32(5 + 1.5e-7 * RNG.normal(size=(512, 3)))
  assert len(np.unique(z)) > 1
  assert "along 0 of 3 directions" in collapse(z, gaussian=False)


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_collapse_accepts_few_dimensions(latent_dim):
  assert collapse(RNG.normal(size=(64, latent_dim)).astype(np.float32), gaussian=False) is None
