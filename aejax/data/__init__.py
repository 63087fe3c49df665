"""Images to train on: named data sets, and the user's own, all of them without TensorFlow.

`load("digits")` needs nothing; `mnist`, `fashion_mnist`, `cifar10` and `celeb_a` go through
tensorflow-datasets (see `aejax.data.prepare`); a path is a NumPy file or a folder of images.
"""

from aejax.data.dataset import Dataset
from aejax.data.lazy import LazyImages
from aejax.data.loading import NAMES, load

__all__ = ["NAMES", "Dataset", "LazyImages", "load"]
