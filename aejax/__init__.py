"""Autoencoders whose latent distribution is matched to a prior, in JAX.

    COST(X; E, D) = reconstruction(X, D(E(X))) + λ · d(P_E(X), P_Z)

`distances` are the d, `objectives` the whole equation, `networks` give E and D, `training`
minimises, and `load` opens what a run has trained.
"""

from aejax import data, distances, evaluation, networks, objectives, priors, training
from aejax.autoencoder import Autoencoder
from aejax.trained import TrainedAutoencoder, load

__all__ = [
  "Autoencoder",
  "TrainedAutoencoder",
  "data",
  "distances",
  "evaluation",
  "load",
  "networks",
  "objectives",
  "priors",
  "training",
]
