"""From the values of a data set to what networks see, and back."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Num

from aejax import _checks
from aejax.data.dataset import Dataset, Examples
from aejax.data.lazy import LazyImages, chunks

__all__ = ["Scaling", "choose_scaling"]

Values = TypeVar("Values", Array, np.ndarray)


@dataclasses.dataclass(frozen=True)
class Scaling:
  """What a model's networks see: values in [0, 1], values as they are, or standardised ones.

  uint8 counts as values in [0, 1]: it is divided by 255.

  Attributes:
    unit: whether the values lie in [0, 1]. A decoder's output activation then gives such values.
    mean: mean of each feature of vectors, or of each channel, over the training set; None if the
      values are not standardised.
    scale: standard deviation of each feature or channel; 1 for one that is constant.
  """

  unit: bool = True
  mean: tuple[float, ...] | None = None
  scale: tuple[float, ...] | None = None

  @property
  def output(self) -> str | None:
    """The output activation that the values need; None for that of the architecture."""
    return None if self.unit else "identity"

  def apply(self, values: Num[Array | np.ndarray, "n ..."]) -> Float[Array, "n ..."]:
    """Returns what the networks see; it may be traced."""
    x = jnp.asarray(values, jnp.float32)
    if values.dtype == jnp.uint8:
      x = x / 255
    if self.mean is None or self.scale is None:
      return x
    with jax.numpy_rank_promotion("allow"):  # users may forbid it in their own code
      return (x - jnp.asarray(self.mean, jnp.float32)) / jnp.asarray(self.scale, jnp.float32)

  def undo(self, x: Float[Array | np.ndarray, "n ..."]) -> Float[Array, "n ..."]:
    """Returns values of the data set for values that the networks see; it may be traced."""
    x = jnp.asarray(x)
    if self.mean is None or self.scale is None:
      return x
    with jax.numpy_rank_promotion("allow"):
      return x * jnp.asarray(self.scale, jnp.float32) + jnp.asarray(self.mean, jnp.float32)

  def dataset(self, dataset: Dataset) -> Dataset:
    """Returns the data set as training stores it: standardised, or unchanged."""
    if self.mean is None:
      return dataset
    train = dataset.train
    if isinstance(train, LazyImages):
      lazy = train
      train = LazyImages(
        lazy.shape, lambda rows: self._apply_in_chunks(lazy._read(rows)), dtype=np.float32
      )
    else:
      train = self._apply_in_chunks(train)
    return dataclasses.replace(dataset, train=train, test=self._apply_in_chunks(dataset.test))

  def check(
    self, examples: Any, shape: tuple[int, ...], *, name: str = "images"
  ) -> Num[Array | np.ndarray, "n ..."]:
    """Returns examples for a model, of any dtype and layout, as an array that `apply` takes.

    NumPy and JAX arrays are treated alike. A traced array has no values to check.

    Args:
      examples: any number of examples.
      shape: shape of one example.
      name: name of the argument in error messages.

    Raises:
      ValueError: if they have another shape or dtype, or values that the model was not trained for.
    """
    examples = _checks.array(name, examples)
    if examples.ndim != len(shape) + 1 or examples.shape[1:] != shape:
      raise ValueError(
        f"{name} must have shape [n, {', '.join(map(str, shape))}], but have shape "
        f"{list(examples.shape)}."
      )
    floating = jnp.issubdtype(examples.dtype, jnp.floating)
    expected = "uint8, or floats in [0, 1]" if self.unit else "finite floats"
    if examples.dtype == jnp.uint8:
      if not self.unit and self.mean is None:
        raise ValueError(f"{name} must be {expected}, but are uint8.")
      return examples
    if not floating and (self.unit or examples.dtype.kind not in "iub"):
      raise ValueError(f"{name} must be {expected}, but are {examples.dtype}.")
    if examples.size and not isinstance(examples, Tracer):
      low, high = examples.min(), examples.max()
      inside = low >= 0 and high <= 1 if self.unit else np.isfinite(low) and np.isfinite(high)
      if not inside:  # also for NaN
        raise ValueError(f"{name} must be {expected}, but span [{low}, {high}].")
    return examples

  def to_json(self) -> str | dict[str, list[float]]:
    """Returns the value for config.json: "unit", "none", or mean and scale."""
    if self.mean is not None and self.scale is not None:
      return {"mean": list(self.mean), "scale": list(self.scale)}
    return "unit" if self.unit else "none"

  @classmethod
  def from_json(cls, value: Any) -> "Scaling":
    """Returns the scaling that `to_json` wrote.

    Raises:
      ValueError: if the value is anything else.
    """
    if value in ("unit", "none"):
      return cls(unit=value == "unit")
    try:
      if isinstance(value, Mapping) and set(value) == {"mean", "scale"}:
        mean = tuple(float(_checks.finite("mean", each)) for each in value["mean"])
        scale = tuple(float(_checks.positive("scale", each)) for each in value["scale"])
        if len(mean) == len(scale) > 0:
          return cls(False, mean, scale)
    except (TypeError, ValueError):
      pass
    raise ValueError(
      'scaling must be "unit", "none", or an object with as many means as scales, but is '
      f"{_checks.short_repr(value)}."
    )

  def _apply_in_chunks(self, values: Examples) -> Examples:
    result = np.empty(values.shape, np.float32)
    for rows in chunks(result):
      result[rows] = self.apply(values[rows])
    return result


def choose_scaling(dataset: Dataset, standardise: bool | None = None) -> Scaling:
  """Returns how the values of a data set reach the networks.

  By default, uint8 and floats in [0, 1] stay as they are, and other vectors, signals and volumes
  are standardised.

  Args:
    dataset: the data set; only its training examples give mean and scale.
    standardise: whether to subtract the mean of each feature or channel and to divide by its
      standard deviation.

  Raises:
    ValueError: if images have values outside [0, 1] and `standardise` is not given.
  """
  low, high = (0.0, 1.0) if dataset.train.dtype == np.uint8 else _span(dataset)
  unit = low >= 0 and high <= 1
  if standardise is None:
    if dataset.kind == "images" and not unit:
      raise ValueError(
        f"the images of {dataset.name} hold floats in [{low:.9g}, {high:.9g}], not in [0, 1]: "
        "divide them by the value of white, or choose --standardise or --no-standardise."
      )
    standardise = not unit
  if not standardise:
    return Scaling(unit)
  return Scaling(False, *_moments(dataset.train))


def _span(dataset: Dataset) -> tuple[float, float]:
  spans = [
    (float(values.min()), float(values.max()))
    for part in (dataset.train, dataset.test)
    for values in (part[rows] for rows in chunks(part))
  ]
  return min(low for low, _ in spans), max(high for _, high in spans)


def _moments(train: Examples | LazyImages) -> tuple[tuple[float, ...], tuple[float, ...]]:
  """Returns mean and standard deviation along the last axis, summed in float64."""
  unit = 255 if train.dtype == np.uint8 else 1
  count = int(np.prod(train.shape[:-1]))
  axes = tuple(range(len(train.shape) - 1))
  total = squares = np.zeros(train.shape[-1])
  for rows in chunks(train):
    total = total + train[rows].sum(axes, np.float64)
  mean = total / count
  for rows in chunks(train):
    squares = squares + np.square(train[rows] - mean).sum(axes)
  scale = np.sqrt(squares / count) / unit
  mean = mean / unit
  # A constant feature has a deviation of zero up to rounding.
  scale = np.where(scale > 1e-7 * np.abs(mean), scale, 1.0)
  return tuple(map(float, mean.astype(np.float32))), tuple(map(float, scale.astype(np.float32)))
