"""What the benchmark of training measures, from a user's wishes."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from aejax import _checks, objectives
from benchmarks.training_programs import Workload

__all__ = ["METHODS", "NETWORKS", "Plan", "make_plan"]

METHODS = ("ae", "vae", "wae-mmd", "cwae", "swae", "sigreg", "energy")
NETWORKS = ("mlp", "convolutional")


@dataclasses.dataclass(frozen=True)
class Plan:
  """What a run measures.

  Attributes:
    methods: names of `objectives.BY_NAME`.
    workloads: one a network.
    first_steps: methods whose first step is timed, in processes of their own.
    peers: whether other libraries are set beside.
    torch_compile: the most seconds it may take to compile; 0 leaves it out.
    seeds: so many runs together beside one; 1 leaves it out.
    seconds: to spend on each timing.
    quick: a minute's run.
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
    """What must be the same for two runs' rows to be comparable."""
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


def make_plan(
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
) -> Plan:
  """Completes a user's wishes.

  Args:
    methods: by default those of the papers, and two newer ones.
    networks: fully connected and convolutional by default.
    side: pixels a side of the images, of which a convolutional network needs a multiple of 4.
    latent_dim: D.
    batch_size: images a step.
    seeds: so many runs together beside one.
    peers: whether other libraries are set beside.
    torch_compile: the most seconds it may take to compile.
    quick: less of everything.

  Raises:
    ValueError: if a name or a number is none.
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
  return Plan(
    methods=methods,
    workloads=tuple(Workload(network, **shape) for network in networks or NETWORKS),
    first_steps=methods[-2:-1] or methods if quick else methods,
    peers=peers,
    torch_compile=0.0 if quick else torch_compile,
    seeds=seeds,
    seconds=0.25 if quick else 2.0,
    quick=quick,
  )
