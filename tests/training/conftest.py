import numpy as np
import pytest

from aejax.data import Dataset
from aejax.training import Options, complete


@pytest.fixture(scope="session")
def dataset():
  """Images on a plane in pixel space, which a linear network learns within a few steps."""
  rng = np.random.default_rng(0)
  patterns = rng.uniform(0, 127, size=(2, 4, 3, 1))
  images = np.tensordot(rng.uniform(0, 1, size=(50, 2)), patterns, 1)
  images = np.rint(images).astype(np.uint8)
  return Dataset("planes", images[:42], images[42:])


@pytest.fixture(scope="session")
def configure(dataset):
  """Returns a function that completes options to a configuration: 5 steps per epoch."""

  def make(method="cwae", objective=None, **options):
    settings = dict(network="linear", latent_dim=2, batch_size=8, epochs=3, test_epochs=0)
    settings |= options
    return complete(
      method,
      objective or {},
      Options(**settings),
      dataset="planes",
      image_shape=dataset.image_shape,
      num_images=len(dataset.train),
    )

  return make
