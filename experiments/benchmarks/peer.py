"""Peers: functions of other libraries to compare ours with, on the same data and threads.

Another library is imported only when a peer is prepared.
"""

import contextlib
import dataclasses
import importlib
import importlib.util
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.distance_plan import Case
from benchmarks.distances import Data, Form
from benchmarks.environment import num_threads
from benchmarks.programs import compile_program

__all__ = [
  "DISTRIBUTIONS",
  "Calls",
  "JaxPeer",
  "Peer",
  "TorchPeer",
  "absence",
  "not_installed",
  "optional_import",
  "quiet",
  "torch_device",
]

Calls = dict[str, Callable[[], Any]]
"""Calls by mode: "forward", and "gradient", which returns the value and the gradients."""

DISTRIBUTIONS = ("ott-jax", "POT", "torch", "geomloss", "cw-torch", "pythae")


def optional_import(name: str) -> Any:
  """Imports a module of another library, untyped because a type checker may not find it."""
  with quiet():
    return importlib.import_module(name)


def not_installed(module: str) -> str | None:
  """Returns a sentence if a module is not installed, else None."""
  if importlib.util.find_spec(module) is None:
    return f"{module} is not installed: pip install 'aejax[bench]'"
  return None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
  """Ignores warnings in the block: other libraries warn when they are imported or traced."""
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    yield


def torch_device() -> str:
  """Returns "cuda" if both JAX and PyTorch use a GPU, else "cpu"."""
  torch = optional_import("torch")
  return "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Peer:
  """A function of another library, or published code.

  Attributes:
    name: name in tables.
    distance: our distance that it is compared with.
    counterparts: our forms that serve the same purpose.
    form: target that it compares with.
    prepare: function of the data that returns calls by mode.
    ours: our function whose value, times `factor`, it must compute.
    factor: constant factor of its value over that of `ours`.
    tolerance: relative tolerance of that check, for value and gradient.
    module: module that must be importable.
    num_bytes: function of the case: approximate memory of value and gradient.
  """

  name: str
  distance: str
  counterparts: tuple[str, ...]
  form: str
  prepare: "Callable[[Data], Calls]"
  ours: Form
  module: str
  num_bytes: Callable[[Case], float]
  factor: float = 1.0
  # A distance is about a hundredth of the float32 sums over pairs whose difference it is. Measured:
  # at most 4e-5.
  tolerance: float = 2e-4

  def compiled(self) -> "Peer | None":
    """Returns this peer under torch.compile, or None if it is not in PyTorch."""
    if not isinstance(self.prepare, TorchPeer):
      return None
    prepare = dataclasses.replace(self.prepare, torch_compile=True)
    return dataclasses.replace(self, name=f"{self.name}, torch.compile", prepare=prepare)


@dataclasses.dataclass(frozen=True)
class TorchPeer:
  """Prepares the calls of a function of PyTorch tensors.

  Attributes:
    make: function that imports what is needed and returns the function.
    names: names of the data that are its arguments.
    inputs: names of the arguments whose gradients are computed.
    torch_compile: whether to compile it with torch.compile.
  """

  make: Callable[[], Callable[..., Any]]
  names: tuple[str, ...]
  inputs: tuple[str, ...] = ("latents",)
  torch_compile: bool = False

  def __call__(self, data: Data) -> Calls:
    """Returns the calls, on as many threads as XLA uses, or on the GPU that JAX uses."""
    torch = optional_import("torch")
    torch.set_num_threads(num_threads())
    function = self.make()
    if self.torch_compile:
      # Without a reset, torch.compile silently falls back to eager mode after eight shapes.
      torch._dynamo.reset()
      function = torch.compile(function, dynamic=False)
    device = torch_device()
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
    if self.torch_compile:
      # The first call compiles, which must not count against the cut-off.
      for call in calls.values():
        call()
    return calls


@dataclasses.dataclass(frozen=True)
class JaxPeer:
  """Prepares the calls of a JAX function, which is jitted as ours are.

  Attributes:
    make: function that imports what is needed and returns the function of the data.
  """

  make: Callable[[], Callable[[Mapping[str, jax.Array]], jax.Array]]

  def __call__(self, data: Data) -> Calls:
    """Returns the calls."""
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
  """Returns why a peer cannot be compared on this machine, or None."""
  in_torch = isinstance(peer.prepare, TorchPeer)
  for module in {peer.module, "torch" if in_torch else peer.module}:
    if reason := not_installed(module):
      return reason
  backend = jax.default_backend()
  if in_torch and backend != "cpu" and torch_device() == "cpu":
    return f"this build of PyTorch cannot use the {backend}"
  return None
