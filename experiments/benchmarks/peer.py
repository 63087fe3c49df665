"""Functions of other libraries to compare with ours: same data, number of threads and float32.

A library is imported only when its peer is prepared.
"""

import dataclasses
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.distances import Cell, Data, Form
from benchmarks.environment import num_threads
from benchmarks.optional_import import optional_import, quiet
from benchmarks.timing import compile_program

__all__ = ["DISTRIBUTIONS", "INSTALL", "Calls", "JaxPeer", "Peer", "TorchPeer", "absence"]

# Calls by mode: "forward" returns the value, "gradient" the value and the gradients.
Calls = dict[str, Callable[[], Any]]

INSTALL = "pip install 'aejax[bench]'"
DISTRIBUTIONS = ("ott-jax", "POT", "torch", "geomloss", "cw-torch", "pythae")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Peer:
  """A function of another library, or published code.

  Attributes:
    name: name in tables.
    distance: name of the distance of ours that it is compared with.
    rivals: forms of ours with the same purpose.
    form: target of the distance.
    prepare: function of the data that returns the calls.
    ours: our function that computes the same; the peer's value must be `factor` times as large.
    factor: ratio of the peer's value to that of `ours`.
    tolerance: relative tolerance of this check, for value and gradient.
    module: module that must be installed.
    num_bytes: function of a cell that estimates the memory of value and gradient.
  """

  name: str
  distance: str
  rivals: tuple[str, ...]
  form: str
  prepare: "Callable[[Data], Calls]"
  ours: Form
  module: str
  num_bytes: Callable[[Cell], float]
  factor: float = 1.0
  # float32 loses digits in the difference of sums over pairs; the largest error seen is 4e-5.
  tolerance: float = 2e-4

  def compiled(self) -> "Peer | None":
    """Returns the peer under torch.compile, or None if it does not use PyTorch."""
    if not isinstance(self.prepare, TorchPeer):
      return None
    prepare = dataclasses.replace(self.prepare, optimised=True)
    return dataclasses.replace(self, name=f"{self.name}, torch.compile", prepare=prepare)


@dataclasses.dataclass(frozen=True)
class TorchPeer:
  """Prepares a function of tensors.

  Attributes:
    make: function that imports the library and returns the function of tensors.
    names: names of the data that are its arguments.
    inputs: names of the data that the gradient is with respect to.
    optimised: whether torch.compile is used.
  """

  make: Callable[[], Callable[..., Any]]
  names: tuple[str, ...]
  inputs: tuple[str, ...] = ("latents",)
  optimised: bool = False

  def __call__(self, data: Data) -> Calls:
    """Returns the calls, on as many threads as XLA uses, or on the GPU that JAX uses."""
    torch = optional_import("torch")
    torch.set_num_threads(num_threads())
    function = self.make()
    if self.optimised:
      # torch.compile silently falls back to eager mode after eight shapes.
      torch._dynamo.reset()
      function = torch.compile(function, dynamic=False)
    device = _torch_device()
    tensors = {name: torch.tensor(np.asarray(data[name]), device=device) for name in self.names}
    leaves = [tensors[name].requires_grad_() for name in self.inputs]
    arguments = list(tensors.values())
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None

    def forward():
      with torch.no_grad():
        value = function(*arguments)
      wait()
      return value

    def gradient():
      value = function(*arguments)
      gradients = torch.autograd.grad(value, leaves)
      wait()
      return value, gradients

    calls = {"forward": forward, "gradient": gradient}
    if self.optimised:
      # The first call compiles, so it must not be timed.
      for call in calls.values():
        call()
    return calls


@dataclasses.dataclass(frozen=True)
class JaxPeer:
  """Prepares a function written in JAX, jitted like ours.

  Attributes:
    make: function that imports the library and returns the function of the data.
  """

  make: Callable[[], Callable[[Mapping[str, jax.Array]], jax.Array]]

  def __call__(self, data: Data) -> Calls:
    """Returns the compiled calls."""
    function = self.make()
    arrays = {name: jnp.asarray(value) for name, value in data.items()}

    def value_and_gradients(data):
      def value(z):
        return function({**data, "latents": z})

      value, gradient = jax.value_and_grad(value)(data["latents"])
      return value, (gradient,)

    with quiet():
      return {
        "forward": compile_program(function, arrays),
        "gradient": compile_program(value_and_gradients, arrays),
      }


def absence(peer: Peer) -> str | None:
  """Returns why a peer cannot run here, or None."""
  for module in {peer.module, "torch" if isinstance(peer.prepare, TorchPeer) else peer.module}:
    if importlib.util.find_spec(module) is None:
      return f"{module} is not installed: {INSTALL}"
  backend = jax.default_backend()
  if isinstance(peer.prepare, TorchPeer) and backend != "cpu" and _torch_device() == "cpu":
    return f"this torch does not compute on the {backend}"
  return None


def _torch_device() -> str:
  torch = optional_import("torch")
  return "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
