"""A function of another library beside ours: the same data, as many threads, float32.

Nothing foreign is imported before a peer is prepared.
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
from benchmarks.foreign import foreign, quiet
from benchmarks.timing import compile_program

__all__ = ["DISTRIBUTIONS", "INSTALL", "Calls", "JaxPeer", "Peer", "TorchPeer", "absence"]

# By mode: "forward", and "gradient", which returns the value and the gradients.
Calls = dict[str, Callable[[], Any]]

INSTALL = "pip install 'aejax[bench]'"
DISTRIBUTIONS = ("ott-jax", "POT", "torch", "geomloss", "cw-torch", "pythae")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Peer:
  """A function of another library, or published code.

  Attributes:
    name: as tables have it.
    distance: ours that it stands beside.
    rivals: the forms of ours that serve the same end.
    form: the target it takes.
    prepare: data -> its calls.
    ours: what it computes, in our terms: it is checked to be `factor` times that.
    factor: see `ours`.
    tolerance: of that check, relative, of value and gradient.
    module: what must be importable.
    num_bytes: about how much memory value and gradient take.
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
  # float32 sums over pairs, whose difference is some hundredth of each: measured, at most 4e-5.
  tolerance: float = 2e-4

  def compiled(self) -> "Peer | None":
    """The same by torch.compile, or None if it is no PyTorch."""
    if not isinstance(self.prepare, TorchPeer):
      return None
    prepare = dataclasses.replace(self.prepare, optimised=True)
    return dataclasses.replace(self, name=f"{self.name}, torch.compile", prepare=prepare)


@dataclasses.dataclass(frozen=True)
class TorchPeer:
  """Prepares a function of tensors.

  Attributes:
    make: imports what it takes, and returns the function.
    names: the data it is called with.
    inputs: those of them that its gradient is taken by.
    optimised: by torch.compile.
  """

  make: Callable[[], Callable[..., Any]]
  names: tuple[str, ...]
  inputs: tuple[str, ...] = ("latents",)
  optimised: bool = False

  def __call__(self, data: Data) -> Calls:
    """The calls, on as many threads as XLA has, or on the GPU that JAX uses."""
    torch = foreign("torch")
    torch.set_num_threads(num_threads())
    function = self.make()
    if self.optimised:
      # Beyond eight shapes it would go back to eager without a word.
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
      # It compiles when it is first called, which says nothing of how long a call takes.
      for call in calls.values():
        call()
    return calls


@dataclasses.dataclass(frozen=True)
class JaxPeer:
  """Prepares a function written in JAX: jitted, as ours are.

  Attributes:
    make: imports what it takes, and returns the function of the data.
  """

  make: Callable[[], Callable[[Mapping[str, jax.Array]], jax.Array]]

  def __call__(self, data: Data) -> Calls:
    """The calls."""
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
  """Why a peer cannot be compared here, or None."""
  for module in {peer.module, "torch" if isinstance(peer.prepare, TorchPeer) else peer.module}:
    if importlib.util.find_spec(module) is None:
      return f"{module} is not installed: {INSTALL}"
  backend = jax.default_backend()
  if isinstance(peer.prepare, TorchPeer) and backend != "cpu" and _torch_device() == "cpu":
    return f"this torch does not compute on the {backend}"
  return None


def _torch_device() -> str:
  torch = foreign("torch")
  return "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
