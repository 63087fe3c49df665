"""What a kernel is, and sums and multiples of kernels."""

import dataclasses
import functools
import inspect
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from aejax import _checks

__all__ = [
  "Combinable",
  "Kernel",
  "KernelSum",
  "NormalKernel",
  "WeightedKernel",
  "check_kernel",
  "describe",
  "number",
]


@runtime_checkable
class Kernel(Protocol):
  """A radial kernel k(|x − y|²). A kernel of your own needs this call and a hash.

  With the two expectations of `NormalKernel`, its MMD to N(0, I) has a closed form. Without them,
  the target must be samples.
  """

  def __call__(self, squared_distances: Array, dim: int) -> Array:
    """Returns the kernel at squared distances, elementwise, in dimension `dim`."""
    ...


@runtime_checkable
class NormalKernel(Kernel, Protocol):
  """A kernel whose expectations under N(0, I) are known."""

  def normal_mean(self, squared_norms: Array, dim: int) -> Array:
    """Returns E k(x, y) over y ~ N(0, I), a function of |x|²."""
    ...

  def normal_pair_mean(self, dim: int) -> float:
    """Returns E k(y, y′) over independent y, y′ ~ N(0, I)."""
    ...


class Combinable:
  """A kernel that can be added to others and weighted: k₁ + k₂ and 2.0 * k₁ are kernels."""

  __array_ufunc__ = None  # a NumPy number times a kernel is a kernel, not an array

  def __add__(self, other: Kernel) -> "KernelSum":
    return _added(self, other)

  def __radd__(self, other: Kernel) -> "KernelSum":
    return _added(other, self)

  def __mul__(self, weight: float) -> "WeightedKernel":
    kind = NormalWeightedKernel if isinstance(self, NormalKernel) else WeightedKernel
    return kind(number("The weight of a kernel", weight), check_kernel(self))

  __rmul__ = __mul__


@dataclasses.dataclass(frozen=True)
class KernelSum(Combinable):
  """The sum of kernels; made by adding them.

  Attributes:
    terms: the kernels.
  """

  terms: tuple[Kernel, ...]

  def __call__(self, squared_distances: Array, dim: int) -> Array:
    """Returns the sum at squared distances in dimension `dim`."""
    return functools.reduce(jnp.add, [k(squared_distances, dim) for k in self.terms])

  def __str__(self) -> str:
    return " + ".join(map(describe, self.terms))


@dataclasses.dataclass(frozen=True)
class NormalKernelSum(KernelSum):
  """The sum of kernels that all have closed forms to N(0, I); the sum has one too."""

  terms: tuple[NormalKernel, ...]

  def normal_mean(self, squared_norms: Array, dim: int) -> Array:
    """Returns E k(x, y) over y ~ N(0, I), a function of |x|²."""
    return functools.reduce(jnp.add, [k.normal_mean(squared_norms, dim) for k in self.terms])

  def normal_pair_mean(self, dim: int) -> float:
    """Returns E k(y, y′) over independent y, y′ ~ N(0, I)."""
    return sum(k.normal_pair_mean(dim) for k in self.terms)


@dataclasses.dataclass(frozen=True)
class WeightedKernel(Combinable):
  """A kernel times a positive number.

  Attributes:
    weight: the number.
    kernel: the kernel.
  """

  weight: float
  kernel: Kernel

  def __call__(self, squared_distances: Array, dim: int) -> Array:
    """Returns the weighted kernel at squared distances in dimension `dim`."""
    return self.weight * self.kernel(squared_distances, dim)

  def __str__(self) -> str:
    inner = describe(self.kernel)
    return f"{self.weight:.6g} * " + (f"({inner})" if isinstance(self.kernel, KernelSum) else inner)


@dataclasses.dataclass(frozen=True)
class NormalWeightedKernel(WeightedKernel):
  """A weighted kernel that has a closed form to N(0, I)."""

  kernel: NormalKernel

  def normal_mean(self, squared_norms: Array, dim: int) -> Array:
    """Returns E k(x, y) over y ~ N(0, I), a function of |x|²."""
    return self.weight * self.kernel.normal_mean(squared_norms, dim)

  def normal_pair_mean(self, dim: int) -> float:
    """Returns E k(y, y′) over independent y, y′ ~ N(0, I)."""
    return self.weight * self.kernel.normal_pair_mean(dim)


def _added(first: Any, second: Any) -> KernelSum:
  terms = []
  for kernel in (first, second):
    check_kernel(kernel)
    terms += kernel.terms if isinstance(kernel, KernelSum) else (kernel,)
  closed = all(isinstance(kernel, NormalKernel) for kernel in terms)
  return (NormalKernelSum if closed else KernelSum)(tuple(terms))


def check_kernel(kernel: Any) -> Any:
  """Returns the kernel if it is one.

  Raises:
    ValueError: if it cannot be called with squared distances and a dimension, or has no hash.
  """
  try:
    good = not isinstance(kernel, type) and callable(kernel) and not _is_maker(kernel)
    hash(kernel)
    if good and inspect.isfunction(kernel):
      inspect.signature(kernel).bind(None, 1)
  except TypeError:
    good = False
  if not good:
    raise ValueError(
      f"kernel must be a kernel such as imq() or gaussian(1.0), but is {_checks.type_name(kernel)}."
    )
  return kernel


def _is_maker(kernel: Any) -> bool:
  """Whether this is a function such as `imq` instead of the kernel that it returns."""
  return inspect.isfunction(kernel) and kernel.__module__.startswith("aejax.")


def number(name: str, value: Any) -> Any:
  """Returns a positive number of a kernel, which is static.

  Raises:
    ValueError: if it is not positive or is traced.
  """
  if isinstance(value, Tracer):
    raise ValueError(
      f"{name} is part of a static kernel and cannot be traced: divide latents and samples by a "
      "bandwidth instead, and multiply a distance by its weight."
    )
  value = _checks.positive(name, value)
  return float(value) if isinstance(value, Array | np.ndarray) else value


def describe(kernel: Kernel) -> str:
  """Returns a kernel in words for an error, without the address that Python shows by default."""
  if inspect.isfunction(kernel):
    return kernel.__name__
  if type(kernel).__repr__ is object.__repr__:
    return type(kernel).__name__
  return str(kernel)
