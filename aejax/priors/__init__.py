"""Priors: the distributions that latents are matched to. Each is a pytree with `sample`.

The distances to a prior are in `aejax.distances`; the classes here only describe distributions.
"""

from aejax.priors._base import KeyArray as KeyArray
from aejax.priors._base import Prior
from aejax.priors._base import check_dimension as check_dimension
from aejax.priors._base import same_prior as same_prior
from aejax.priors.heavy_tailed import Laplace, StudentT
from aejax.priors.mixture import GaussianMixture
from aejax.priors.normal import Normal, StandardNormal
from aejax.priors.uniform import UniformBall, UniformCube, UniformSphere

__all__ = [
  "GaussianMixture",
  "Laplace",
  "Normal",
  "Prior",
  "StandardNormal",
  "StudentT",
  "UniformBall",
  "UniformCube",
  "UniformSphere",
]
