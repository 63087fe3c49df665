"""Distances between a set of latents and a prior: pure, jitted, differentiable functions.

Latents [n, d] in, one scalar out. No network, no data, no training here.
"""

from aejax.distances.bandwidth import median_bandwidth
from aejax.distances.cramer_wold import cramer_wold, sigreg
from aejax.distances.directions import random_directions
from aejax.distances.energy import energy_distance
from aejax.distances.goodness_of_fit import (
  anderson_darling,
  cramer_von_mises,
  epps_pulley,
  kolmogorov_smirnov,
)
from aejax.distances.kernels import Gaussian, InverseMultiquadric, Kernel, gaussian, imq
from aejax.distances.kl import kl_divergence
from aejax.distances.mmd import mmd
from aejax.distances.scale_mixtures import (
  Matern,
  RationalQuadratic,
  laplace,
  matern,
  rational_quadratic,
)
from aejax.distances.sinkhorn import sinkhorn_divergence, sinkhorn_divergence_and_residual
from aejax.distances.sliced_wasserstein import max_sliced_wasserstein, sliced_wasserstein
from aejax.distances.stein import kernel_stein

__all__ = [
  "Gaussian",
  "InverseMultiquadric",
  "Kernel",
  "Matern",
  "RationalQuadratic",
  "anderson_darling",
  "cramer_von_mises",
  "cramer_wold",
  "energy_distance",
  "epps_pulley",
  "gaussian",
  "imq",
  "kernel_stein",
  "kl_divergence",
  "kolmogorov_smirnov",
  "laplace",
  "matern",
  "max_sliced_wasserstein",
  "median_bandwidth",
  "mmd",
  "random_directions",
  "rational_quadratic",
  "sigreg",
  "sinkhorn_divergence",
  "sinkhorn_divergence_and_residual",
  "sliced_wasserstein",
]
