"""Networks of users: what is trained of them."""

import jax.numpy as jnp
import pytest
from flax import nnx

from aejax import AejaxWarning, Autoencoder
from aejax.networks.own import check_model


def test_a_half_without_parameters_is_said_not_to_be_trained():
  fixed = jnp.ones((5, 2))
  layer = nnx.Linear(2, 5, rngs=nnx.Rngs(0))
  with pytest.warns(AejaxWarning, match="the encoder of the network mine holds no nnx.Param, so"):
    check_model(
      Autoencoder(lambda x: x @ fixed, layer, latent_dim=2),
      (5,),
      latent_dim=2,
      gaussian=False,
      name="mine",
    )


def test_state_that_nnx_knows_is_accepted():
  rngs = nnx.Rngs(0)
  encoder = nnx.Sequential(
    nnx.Linear(5, 2, rngs=rngs), nnx.BatchNorm(2, rngs=rngs), nnx.Dropout(0.2, rngs=rngs)
  )
  model = Autoencoder(encoder, nnx.Linear(2, 5, rngs=rngs), latent_dim=2)
  check_model(model, (5,), latent_dim=2, gaussian=False)
