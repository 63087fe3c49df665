"""Functions of other libraries, called as their documentation says, with arguments like ours."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peer import optional_import
from benchmarks.torch_formulas import epps_pulley

__all__ = [
  "LEJEPA_DIRECTIONS",
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

LEJEPA_DIRECTIONS = 1024


def silverman(n: int) -> float:
  """Returns the default γ of the Cramer-Wold distance for n latents."""
  return (4 / (3 * n)) ** 0.4


def bandwidth(d: int) -> float:
  """Returns the bandwidth of the Gaussian kernel exp(−|x − y|² / (2 D)), as in pythae."""
  return math.sqrt(d)


def epsilon(d: int) -> float:
  """Returns a tenth of the mean squared distance between two samples of N(0, I)."""
  return 0.2 * d


def cw_to_normal() -> Callable[..., Any]:
  """Returns cw-torch's Cramer-Wold distance to N(0, I)."""
  distance = optional_import("cw_torch.metric").cw_normality
  return lambda z: distance(z, _gamma(z))


def cw_to_samples() -> Callable[..., Any]:
  """Returns cw-torch's Cramer-Wold distance to samples."""
  distance = optional_import("cw_torch.metric").cw
  return lambda z, y: distance(z, y, _gamma(z))


def _gamma(z: Any) -> Any:
  return optional_import("torch").as_tensor(silverman(len(z)), device=z.device)


def lejepa() -> Callable[..., Any]:
  """Returns LeJEPA's SIGReg with its default number of directions, equal in every call."""
  torch = optional_import("torch")
  made = {}

  def statistic(z):
    if not made:
      made["directions"] = torch.tensor(lejepa_directions(z.shape[1]), device=z.device)
    return epps_pulley(z, made["directions"])

  return statistic


def lejepa_directions(d: int) -> np.ndarray:
  """Returns 1024 unit vectors as rows."""
  directions = np.random.default_rng(1).standard_normal((LEJEPA_DIRECTIONS, d), np.float32)
  return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def pythae(kernel: str) -> Callable[[], Callable[..., Any]]:
  """Returns a maker of the penalty of pythae's WAE_MMD."""

  def make():
    torch, models = optional_import("torch"), optional_import("pythae.models")
    made = {}

    def penalty(z, y):
      n, d = z.shape
      if not made:
        # The penalty is part of a model's loss. With images of one pixel, the rest costs nothing.
        options = models.WAE_MMD_Config(input_dim=(1,), latent_dim=d, kernel_choice=kernel)
        made["model"] = models.WAE_MMD(options)
        made["image"] = torch.zeros(n, 1, device=z.device)
      return made["model"].loss_function(made["image"], made["image"], z, y)[2]

    return penalty

  return make


def geomloss(
  loss: str, blur: Callable[[int], float] = lambda d: 0.05, **options: Any
) -> Callable[[], Callable[..., Any]]:
  """Returns a maker of a SamplesLoss of geomloss, whose blur is a function of the dimension."""

  def make():
    samples_loss = optional_import("geomloss").SamplesLoss
    # The other backends need KeOps, which has its own compiler.
    options["backend"] = "tensorized"
    return lambda z, y: samples_loss(loss, blur=blur(z.shape[1]), **options)(z, y)

  return make


def pot(name: str) -> Callable[[], Callable[..., Any]]:
  """Returns a maker of a sliced distance of POT, squared, because POT returns the root."""

  def make():
    function = getattr(optional_import("ot"), name)
    return lambda z, y, directions: function(z, y, projections=directions.T) ** 2

  return make


def ott_sliced() -> Callable[..., Any]:
  """Returns ott-jax's sliced Wasserstein distance on given directions."""
  sliced_wasserstein = optional_import("ott.tools.sliced").sliced_wasserstein

  def function(data):
    def project(x):
      return jnp.matmul(x, data["directions"].T, precision=jax.lax.Precision.HIGHEST)

    return sliced_wasserstein(data["latents"], data["samples"], proj_fn=project)[0]

  return function


def ott_sinkhorn() -> Callable[..., Any]:
  """Returns ott-jax's Sinkhorn divergence."""
  sinkdiv = optional_import("ott.tools.sinkhorn_divergence").sinkdiv

  def function(data):
    z, y = data["latents"], data["samples"]
    # The same tolerance of the marginals as ours; ott-jax's default is ten times larger.
    return sinkdiv(z, y, epsilon=epsilon(z.shape[1]), solve_kwargs={"threshold": 1e-4})[0]

  return function
