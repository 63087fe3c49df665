"""What the benchmark of training measures."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from aejax import _checks, objectives
from benchmarks.training_programs import Workload

__all__ = ["METHODS", "NETWORKS", "TrainingPlan", "plan_training"]

METHODS = ("ae", "vae", "wae-mmd", "cwae", "swae", "sigreg", "energy")
NETWORKS = ("mlp", "convolutional")


@dataclasses.dataclass(frozen=True)
class TrainingPlan:
  """What a run of the benchmark of training measures.

  Attributes:
    methods: names in `objectives.BY_NAME`.
    workloads: workloads, one for each network.
    first_steps: methods whose first step is timed, in processes of their own.
    peers: whether to compare with other libraries.
    torch_compile: maximum number of seconds for torch.compile; 0 leaves it out.
    seeds: number of runs that are trained together and compared with one; 1 leaves this out.
    seconds: seconds to spend on each timing.
    quick: whether this is the short version.
  """

  methods: tuple[str, ...]
  workloads: tuple[Workload, ...]
  first_steps: tuple[str, ...]
  peers: bool
  torch_compile: float
  seeds: int
  seconds: float
  quick: bool

  def settings(self) -> dict[str, Any]:
    """Returns the settings that must be equal for the rows of two runs to be comparable."""
    shape = self.workloads[0]
    return {
      "quick": self.quick,
      "peers": self.peers,
      "torch_compile": self.torch_compile,
      "seeds": self.seeds,
      "side": shape.side,
      "latent_dim": shape.latent_dim,
      "batch_size": shape.batch_size,
    }


def plan_training(
  *,
  methods: Iterable[str] = (),
  networks: Iterable[str] = (),
  side: int = 28,
  latent_dim: int = 8,
  batch_size: int = 256,
  seeds: int = 4,
  peers: bool = True,
  torch_compile: float = 120.0,
  quick: bool = False,
) -> TrainingPlan:
  """Makes a plan.

  Args:
    methods: names of methods; by default those of the papers and two newer ones.
    networks: names of networks; by default the fully connected and the convolutional one.
    side: height and width of the images in pixels, a multiple of 4 for the convolutional network.
    latent_dim: dimension of the latents.
    batch_size: number of images per step.
    seeds: number of runs that are trained together.
    peers: whether to compare with other libraries.
    torch_compile: maximum number of seconds for torch.compile; 0 leaves it out.
    quick: whether to measure less, for less time.

  Raises:
    ValueError: if an argument is out of range or a name is unknown.
  """
  methods, networks = tuple(dict.fromkeys(methods)), tuple(dict.fromkeys(networks))
  for method in methods:
    _checks.one_of("method", method, objectives.BY_NAME)
  for network in networks:
    _checks.one_of("network", network, NETWORKS)
  for name, value, least, most in (
    ("latent_dim", latent_dim, 1, 2**20),
    ("batch_size", batch_size, 2, 2**20),
    ("seeds", seeds, 1, 1000),
    ("side", side, 1, 4096),
  ):
    _checks.integer(name, value, least=least, most=most)
  if side % 4:
    raise ValueError(f"side must be a positive multiple of 4, but is {side}.")
  if not 0 <= torch_compile < math.inf:
    raise ValueError(f"torch_compile must be seconds, 0 or more, but is {torch_compile:g}.")
  methods = methods or (METHODS[:5] if quick else METHODS)
  shape = dict(side=side, latent_dim=latent_dim, batch_size=batch_size, num_images=64 * batch_size)
  return TrainingPlan(
    methods=methods,
    workloads=tuple(Workload(network, **shape) for network in networks or NETWORKS),
    first_steps=methods[-2:-1] or methods if quick else methods,
    peers=peers,
    torch_compile=0.0 if quick else torch_compile,
    seeds=seeds,
    seconds=0.25 if quick else 2.0,
    quick=quick,
  )
