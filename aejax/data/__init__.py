"""Data sets, by name or from your own arrays and files, without TensorFlow.

`load("digits")` needs scikit-learn only. `mnist`, `fashion_mnist`, `cifar10` and `celeb_a` go
through tensorflow-datasets (see `aejax.data.prepare`). A path names a NumPy file of vectors,
signals, images or volumes, or a folder of images. `from_arrays` takes arrays, and `from_source`
data pipelines.
"""

from aejax.data.arrays import from_arrays
from aejax.data.dataset import Dataset
from aejax.data.lazy import LazyImages
from aejax.data.loading import NAMES, load
from aejax.data.scaling import Scaling, choose_scaling
from aejax.data.sources import from_source

__all__ = [
  "NAMES",
  "Dataset",
  "LazyImages",
  "Scaling",
  "choose_scaling",
  "from_arrays",
  "from_source",
  "load",
]
