"""Networks, objectives and optimizers of users, by import path: tests put this folder on it."""

import dataclasses

import jax.numpy as jnp
from flax import nnx

from aejax import Autoencoder
from aejax.objectives import Objective

__all__ = ["SecondMoment", "normalised", "plain", "wrong"]


def plain(shape, *, latent_dim, key):
  """A linear encoder and a linear decoder for vectors."""
  rngs = nnx.Rngs(key)
  return (
    nnx.Linear(shape[0], latent_dim, rngs=rngs),
    nnx.Linear(latent_dim, shape[0], rngs=rngs),
  )


def normalised(shape, latent_dim):
  """Networks with state: BatchNorm and Dropout."""
  rngs = nnx.Rngs(0)
  encoder = nnx.Sequential(
    nnx.Linear(shape[0], 8, rngs=rngs),
    nnx.BatchNorm(8, rngs=rngs),
    nnx.Dropout(0.2, rngs=rngs),
    nnx.Linear(8, latent_dim, rngs=rngs),
  )
  return Autoencoder(encoder, nnx.Linear(latent_dim, shape[0], rngs=rngs), latent_dim=latent_dim)


def wrong(shape, latent_dim):
  """A decoder that returns one column too many."""
  rngs = nnx.Rngs(0)
  return (
    nnx.Linear(shape[0], latent_dim, rngs=rngs),
    nnx.Linear(latent_dim, shape[0] + 1, rngs=rngs),
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SecondMoment(Objective):
  """The squared distance of the second moments from those of N(0, I).

  Attributes:
    weight: λ, the weight of the distance.
  """

  weight: float = 1.0

  def penalty(self, posterior, *, key, axis_name=None):
    z = posterior.mean
    return jnp.sum((z.T @ z / z.shape[0] - jnp.eye(z.shape[1])) ** 2)
