"""Image data sets, by name or from your own files, without TensorFlow.

`load("digits")` needs scikit-learn only. `mnist`, `fashion_mnist`, `cifar10` and `celeb_a` go
through tensorflow-datasets (see `aejax.data.prepare`). A path names a NumPy file or a folder of
images.
"""

from aejax.data.dataset import Dataset
from aejax.data.lazy import LazyImages
from aejax.data.loading import NAMES, load

__all__ = ["NAMES", "Dataset", "LazyImages", "load"]
