"""Distances between a set of latents and a prior: pure, jitted, differentiable functions.

Latents [n, d] in, one scalar out. No network, no data, no training here.
"""

from aejax.distances.cramer_wold import cramer_wold
from aejax.distances.kernels import Gaussian, InverseMultiquadric, Kernel, gaussian, imq
from aejax.distances.kl import kl_divergence
from aejax.distances.mmd import mmd
from aejax.distances.sliced_wasserstein import sliced_wasserstein
from aejax.distances.slicing import random_directions

__all__ = [
  "Gaussian",
  "InverseMultiquadric",
  "Kernel",
  "cramer_wold",
  "gaussian",
  "imq",
  "kl_divergence",
  "mmd",
  "random_directions",
  "sliced_wasserstein",
]
