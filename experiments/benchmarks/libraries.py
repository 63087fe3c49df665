"""Functions of other libraries, called as their documentation says, with our arguments' meaning."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.foreign import foreign
from benchmarks.torch_formulas import epps_pulley

__all__ = [
  "LEJEPA_SLICES",
  "bandwidth",
  "cw_to_normal",
  "cw_to_samples",
  "epsilon",
  "geomloss",
  "lejepa",
  "lejepa_directions",
  "ott_sinkhorn",
  "ott_sliced",
  "pot",
  "pythae",
  "silverman",
]

LEJEPA_SLICES = 1024


def silverman(n: int) -> float:
  """The Cramer-Wold distance's γ for n latents."""
  return (4 / (3 * n)) ** 0.4


def bandwidth(d: int) -> float:
  """The Gaussian kernel's: k = exp(−|x − y|² / (2 D)), as pythae has it."""
  return math.sqrt(d)


def epsilon(d: int) -> float:
  """A tenth of the mean squared distance of two draws from N(0, I)."""
  return 0.2 * d


def cw_to_normal() -> Callable[..., Any]:
  """cw-torch's distance to N(0, I)."""
  distance = foreign("cw_torch.metric").cw_normality
  return lambda z: distance(z, _gamma(z))


def cw_to_samples() -> Callable[..., Any]:
  """cw-torch's distance to samples."""
  distance = foreign("cw_torch.metric").cw
  return lambda z, y: distance(z, y, _gamma(z))


def _gamma(z):
  return foreign("torch").as_tensor(silverman(len(z)), device=z.device)


def lejepa() -> Callable[..., Any]:
  """LeJEPA's SIGReg: as many slices as it has by default, here the same each time."""
  torch = foreign("torch")
  made = {}

  def statistic(z):
    if not made:
      made["directions"] = torch.tensor(lejepa_directions(z.shape[1]), device=z.device)
    return epps_pulley(z, made["directions"])

  return statistic


def lejepa_directions(d: int) -> np.ndarray:
  """1024 unit vectors, one a row."""
  directions = np.random.default_rng(1).standard_normal((LEJEPA_SLICES, d), np.float32)
  return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def pythae(kernel: str) -> Callable[[], Callable[..., Any]]:
  """The penalty of pythae's WAE_MMD."""

  def make():
    torch, models = foreign("torch"), foreign("pythae.models")
    made = {}

    def penalty(z, y):
      n, d = z.shape
      if not made:
        # A model is needed to call its loss; the smallest images make its other term free.
        options = models.WAE_MMD_Config(input_dim=(1,), latent_dim=d, kernel_choice=kernel)
        made["model"] = models.WAE_MMD(options)
        made["image"] = torch.zeros(n, 1, device=z.device)
      return made["model"].loss_function(made["image"], made["image"], z, y)[2]

    return penalty

  return make


def geomloss(
  loss: str, blur: Callable[[int], float] = lambda d: 0.05, **options: Any
) -> Callable[[], Callable[..., Any]]:
  """A SamplesLoss of geomloss, its blur a function of the dimension."""

  def make():
    loss_of = foreign("geomloss").SamplesLoss
    # The other backends take KeOps, a compiler of its own.
    options["backend"] = "tensorized"
    return lambda z, y: loss_of(loss, blur=blur(z.shape[1]), **options)(z, y)

  return make


def pot(name: str) -> Callable[[], Callable[..., Any]]:
  """A sliced distance of POT, squared, for it returns roots."""

  def make():
    function = getattr(foreign("ot"), name)
    return lambda z, y, directions: function(z, y, projections=directions.T) ** 2

  return make


def ott_sliced() -> Callable[..., Any]:
  """ott-jax's sliced distance on the directions given."""
  sliced_wasserstein = foreign("ott.tools.sliced").sliced_wasserstein

  def function(data):
    def project(x):
      return jnp.matmul(x, data["directions"].T, precision=jax.lax.Precision.HIGHEST)

    return sliced_wasserstein(data["latents"], data["samples"], proj_fn=project)[0]

  return function


def ott_sinkhorn() -> Callable[..., Any]:
  """ott-jax's Sinkhorn divergence."""
  sinkdiv = foreign("ott.tools.sinkhorn_divergence").sinkdiv

  def function(data):
    z, y = data["latents"], data["samples"]
    # The marginals as right as ours; its default is ten times as lax.
    return sinkdiv(z, y, epsilon=epsilon(z.shape[1]), solve_kwargs={"threshold": 1e-4})[0]

  return function
