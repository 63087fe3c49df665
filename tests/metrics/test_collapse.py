import numpy as np
import pytest

from aejax.metrics.collapse import active_units, collapse
from aejax.training.configuration import write
from aejax.training.loop import train

RNG = np.random.default_rng(0)


def test_active_units_have_a_variance_above_a_hundredth():
  z = RNG.normal(size=(1000, 4)).astype(np.float32) * [1, 0.11, 0.09, 0]
  assert active_units(z.astype(np.float32)) == 2


def test_normal_latents_have_not_collapsed():
  z = RNG.normal(size=(512, 8)).astype(np.float32)
  assert collapse(z, gaussian=True) is None
  assert collapse(z, gaussian=False) is None
  # An autoencoder's latents may have any scale and place.
  assert collapse(1e-3 * z + 100, gaussian=False) is None


def test_a_posterior_that_is_the_prior_is_told():
  z = RNG.normal(size=(512, 8)).astype(np.float32)
  z[:, 3:] *= 0.05
  assert "posterior collapse: 3 of 8 latent dimensions" in collapse(z, gaussian=True)


@pytest.mark.parametrize(("rank", "offset"), [(0, 5.0), (1, 0.0), (5, 3.0)])
def test_latents_in_fewer_directions_are_told(rank, offset):
  z = RNG.normal(size=(512, rank)) @ RNG.normal(size=(rank, 8)) + offset
  sentence = collapse(z.astype(np.float32), gaussian=False)
  assert f"latent collapse: the latents of different images spread along {rank} of 8" in sentence


def test_rounding_is_no_direction():
  z = np.float32(5 + 1.5e-7 * RNG.normal(size=(512, 3)))
  assert len(np.unique(z)) > 1
  assert "along 0 of 3 directions" in collapse(z, gaussian=False)


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_one_dimension_is_one_direction(latent_dim):
  assert collapse(RNG.normal(size=(64, latent_dim)).astype(np.float32), gaussian=False) is None


def test_a_long_run_is_warned_once(configure, dataset, tmp_path, capsys):
  # β of 10⁴ makes every posterior the prior.
  configuration = configure(
    "vae", {"beta": 1e4}, epochs=40, learning_rate=0.01, checkpoint_epochs=10
  )
  write(tmp_path, configuration)
  train(configuration, dataset, tmp_path)
  assert capsys.readouterr().err.count("posterior collapse: 0 of 2 latent dimensions") == 1
  train(configure("cwae", epochs=20, checkpoint_epochs=5), dataset, tmp_path / "fine")
  assert "collapse" not in capsys.readouterr().err
