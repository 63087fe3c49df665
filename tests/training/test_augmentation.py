"""Horizontal flips: which images, when, and that runs with them stay exact."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training.small_runs import SmallRuns, largest_difference, log

from aejax.training import TrainState
from aejax.training.augmentation import check_flip, flipped

IMAGES = np.random.default_rng(0).integers(0, 256, (400, 2, 3, 1), np.uint8)


def flips(step, seed=0):
  """Returns which images of a batch a step flips."""
  state = TrainState(jnp.int32(step), (), (), jax.random.key(seed))
  found = np.asarray(flipped(state, jnp.asarray(IMAGES)))
  assert found.dtype == np.uint8
  as_they_are = (found == IMAGES).all((1, 2, 3))
  mirrored = (found == IMAGES[:, :, ::-1]).all((1, 2, 3))
  np.testing.assert_array_equal(as_they_are, ~mirrored)
  return mirrored


def test_half_of_the_images_are_flipped_anew_in_each_step():
  first = flips(0)
  # Three standard deviations of a binomial with n = 400 are 30.
  assert abs(first.sum() - 200) < 30
  np.testing.assert_array_equal(flips(0), first)
  for other in (flips(1), flips(0, seed=1)):
    assert abs((other == first).sum() - 200) < 30


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
  return SmallRuns(tmp_path_factory.mktemp("flips"))


def test_runs_with_flips_stream_and_resume_exactly(runs):
  whole = runs.train(flip=True, epochs=3)
  parts = runs.train(flip=True, epochs=1, data="stream")
  runs.resume(parts, epochs=3)
  assert log(parts) == log(whole)
  assert largest_difference(parts, whole) == 0
  with pytest.raises(ValueError, match="flip is True, not False"):
    runs.resume(parts, flip=False)


@pytest.mark.slow
def test_diverged_batch_has_the_flipped_images(runs):
  run = runs.prepare("ae", learning_rate=1e30, flip=True, batch_size=20, epochs=3)
  with pytest.raises(ValueError, match="Training diverged"):
    run.train()
  with np.load(run.workdir / "diverged.npz") as file:
    found = file["images"]
  images = run.dataset.train
  for image in found:
    assert (image == images).all((1, 2, 3)).any() or (image[:, ::-1] == images).all((1, 2, 3)).any()
  changed = [not (image == images).all((1, 2, 3)).any() for image in found]
  assert 3 < sum(changed) < 17


def test_flips_are_for_images(runs, tmp_path):
  assert check_flip(True, (4, 4, 1)) is None
  for shape, kind in (((5,), "vectors"), ((6, 2), "signals"), ((3, 4, 5, 1), "volumes")):
    assert check_flip(False, shape) is None
    with pytest.raises(ValueError, match=f"flip is for images, but the data are {kind}"):
      check_flip(True, shape)
  np.save(tmp_path / "table.npy", np.random.default_rng(0).normal(size=(20, 5)))
  with pytest.raises(ValueError, match="flip is for images, but the data are vectors"):
    runs.prepare(dataset=str(tmp_path / "table.npy"), flip=True)
