"""The programs to compile: distances with their gradients, and loops of training steps."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh

from aejax import distances, networks, objectives
from aejax.training import create
from aejax.training.epoch import make_run_steps, zero_sums
from aejax.training.step import with_exact_products
from compiled.targets import Layout

__all__ = ["DISTANCES", "METHODS", "NETWORKS", "Program", "distance", "train_loop"]

_SLICES = 50


class Program(NamedTuple):
  """A program and the shapes of its arguments.

  Attributes:
    name: what it computes, for a table.
    function: pure; jitted already if `.lower` is one of its attributes.
    arguments: trees of `jax.ShapeDtypeStruct`.
    layout: where each argument lies on several devices, a name of `targets.Layout`; empty for a
      program on one device.
    results: where each result lies, "rows" or "copies"; empty if the compiler may choose.
    is_loop: whether it is a loop of training steps, of which one is counted.
  """

  name: str
  function: Callable[..., Any]
  arguments: tuple[Any, ...]
  layout: tuple[Layout, ...] = ()
  results: tuple[Layout, ...] = ()
  is_loop: bool = False


def _gaussian(z: jax.Array) -> jax.Array:
  return distances.mmd(z, kernel=distances.gaussian(z.shape[1] ** 0.5))


DISTANCES: dict[str, Callable[..., jax.Array]] = {
  "cramer_wold": distances.cramer_wold,
  "sigreg": distances.sigreg,
  "mmd_imq": distances.mmd,
  "mmd_gaussian": _gaussian,
  "energy_distance": distances.energy_distance,
  "kernel_stein": distances.kernel_stein,
  "sliced_wasserstein": distances.sliced_wasserstein,
  "max_sliced_wasserstein": distances.max_sliced_wasserstein,
  "epps_pulley": distances.epps_pulley,
  "cramer_von_mises": distances.cramer_von_mises,
  "anderson_darling": distances.anderson_darling,
  "kolmogorov_smirnov": distances.kolmogorov_smirnov,
}
"""The distances to N(0, I) by name; the last six take directions."""

_SLICED = tuple(DISTANCES)[6:]

METHODS = ("ae", "vae", "wae-mmd", "cwae", "swae")
"""The methods whose training steps are compiled."""


class Network(NamedTuple):
  """A network and its training images.

  Attributes:
    architecture: a name of `networks.ARCHITECTURES`.
    image_shape: height, width and channels.
    latent_dim: dimension of the latents.
    num_images: number of training images.
  """

  architecture: str
  image_shape: tuple[int, int, int]
  latent_dim: int
  num_images: int


NETWORKS: dict[str, Network] = {
  "mlp": Network("mlp", (28, 28, 1), 8, 60_000),
  "convolutional": Network("convolutional", (28, 28, 1), 8, 60_000),
  "cifar10": Network("cifar10", (32, 32, 3), 64, 50_000),
  "celeb_a": Network("celeb_a", (64, 64, 3), 64, 162_770),
  # Its first and last layer have 150 MiB each, so that several devices share them.
  "mlp-256": Network("mlp", (256, 256, 3), 64, 30_000),
}
"""The networks whose training steps are compiled."""


def distance(name: str, n: int, dim: int, *, several: bool = False) -> Program:
  """The value and gradient of a distance to N(0, I).

  Args:
    name: a name of `DISTANCES`.
    n: number of latents.
    dim: their dimension.
    several: spread the latents over the devices of the target.
  """
  z = jax.ShapeDtypeStruct((n, dim), jnp.float32)
  function = DISTANCES[name]
  results: tuple[Layout, ...] = ("copies", "rows") if several else ()
  if name not in _SLICED:
    return Program(name, jax.value_and_grad(function), (z,), ("rows",) if several else (), results)
  directions = jax.ShapeDtypeStruct((_SLICES, dim), jnp.float32)
  return Program(
    name,
    jax.value_and_grad(lambda z, directions: function(z, directions=directions)),
    (z, directions),
    ("rows", "copies") if several else (),
    results,
  )


def train_loop(
  method: str,
  network: str,
  *,
  batch_size: int,
  precision: str = "float32",
  mesh: Mesh | None = None,
) -> Program:
  """The compiled loop of training steps of a run, with images, state and metrics on the device.

  Args:
    method: a name of `METHODS`.
    network: a name of `NETWORKS`.
    batch_size: images of a step.
    precision: "float32", "highest" or "bfloat16", as of a run.
    mesh: mesh of the devices that share each batch, if there are several.
  """
  architecture, image_shape, latent_dim, num_images = NETWORKS[network]
  if mesh is not None:
    num_images = -(-num_images // mesh.size) * mesh.size  # as `shard_images` pads them
  objective = objectives.make(method, {})
  steps: dict[str, Any] = {}

  def make() -> Any:
    keys = jax.random.split(jax.random.key(0))
    model = networks.build(
      architecture,
      image_shape,
      latent_dim=latent_dim,
      gaussian=objective.gaussian_encoder,
      dtype=jnp.bfloat16 if precision == "bfloat16" else jnp.float32,
      key=keys[0],
    )
    state, steps["step"] = create(model, objective, optax.adam(1e-3), key=keys[1])
    return state, zero_sums()

  state, sums = nnx.eval_shape(make)
  step = with_exact_products(steps["step"]) if precision == "highest" else steps["step"]
  return Program(
    f"{method} {network} {precision}",
    make_run_steps(step, batch_size, image_shape=image_shape, mesh=mesh),
    (
      state,
      sums,
      jax.ShapeDtypeStruct((num_images, math.prod(image_shape)), jnp.uint8),
      jax.ShapeDtypeStruct((num_images,), jnp.int32),
      jax.ShapeDtypeStruct((), jnp.int32),
    ),
    () if mesh is None else ("state", "copies", "rows", "copies", "copies"),
    is_loop=True,
  )
