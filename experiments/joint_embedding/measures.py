"""What is measured of a penalty and of trained embeddings."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from benchmarks import timing
from jaxtyping import Array, Float, Key, Shaped
from threadpoolctl import threadpool_limits

from aejax.metrics import label_accuracy
from joint_embedding.penalties import PENALTIES, TIMED
from joint_embedding.training import Trainer

__all__ = ["accuracies", "effective_rank", "gradient_noise", "loss_times", "share_of_directions"]


def accuracies(
  train: Float[np.ndarray, "n d"],
  train_labels: Shaped[np.ndarray, " n"],
  test: Float[np.ndarray, "m d"],
  test_labels: Shaped[np.ndarray, " m"],
) -> dict[str, float]:
  """Returns `aejax.metrics.label_accuracy` and two measures of collapse.

  `deviation` is the mean standard deviation of the coordinates, `effective_rank` says along how
  many directions the embeddings spread.
  """
  with threadpool_limits(1):  # on a busy machine, threads that wait for each other take far longer
    found = label_accuracy(train, train_labels, test, test_labels)
  deviation = float(np.mean(np.std(test, 0)))
  return {**found, "deviation": deviation, "effective_rank": effective_rank(test)}


def effective_rank(z: Float[np.ndarray, "n d"]) -> float:
  """Returns the exponential of the entropy of the covariance's eigenvalues, from 1 to d.

  Reference: Roy & Vetterli, EUSIPCO 2007, of the covariance instead of the singular values.
  """
  eigenvalues = np.linalg.eigvalsh(np.cov(np.asarray(z, np.float64), rowvar=False))
  shares = np.maximum(eigenvalues, 0) / np.sum(np.maximum(eigenvalues, 0))
  shares = shares[shares > 0]
  return float(np.exp(-np.sum(shares * np.log(shares))))


def loss_times(names: Iterable[str], n: int, dim: int, seconds: float) -> dict[str, timing.Timing]:
  """Times value and gradient of penalties of n embeddings in turns, with their directions."""
  z = jax.random.normal(jax.random.key(0), (n, dim))

  def call(name: str) -> Callable[[], object]:
    function = jax.jit(jax.value_and_grad((PENALTIES | TIMED)[name]))
    return lambda: jax.block_until_ready(function(z, jax.random.key(1)))

  return timing.measure({name: call(name) for name in names}, seconds=seconds)


def gradient_noise(name: str, z: Float[Array, "n d"], draws: int) -> dict[str, float]:
  """Returns the noise that random directions add to the gradient of a penalty, over its norm.

  `noise` is the root of the mean squared difference of one draw from the mean. `error` is the
  difference of the mean of all draws from the gradient of `sigreg`, which has no directions; for
  SIGReg only. It contains noise/√draws.
  """
  gradient = jax.jit(jax.grad(PENALTIES[name]))
  keys = jax.random.split(jax.random.key(0), draws)
  found = np.stack([np.asarray(gradient(z, key), np.float64) for key in keys])
  mean = found.mean(0)
  variance = np.sum((found - mean) ** 2) / (draws - 1)
  result = {"noise": float(np.sqrt(variance) / np.linalg.norm(mean))}
  if name == "sliced_sigreg":
    exact = np.asarray(jax.grad(PENALTIES["sigreg"])(z, keys[0]), np.float64)
    result["error"] = float(np.linalg.norm(mean - exact) / np.linalg.norm(exact))
  return result


def share_of_directions(trainer: Trainer, params: Any, weight: float, batches: int) -> float:
  """Returns the share of the gradient's variance over batches that random directions cause."""
  gradient = jax.jit(jax.grad(trainer.loss))

  def flat(rows: Array, view_key: Key[Array, ""], direction_key: Key[Array, ""]) -> np.ndarray:
    leaves = jax.tree.leaves(gradient(params, rows, view_key, direction_key, jnp.asarray(weight)))
    return np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in leaves])

  found = []
  rows = trainer.batches(jax.random.key(0), batches)
  for batch, key in zip(rows, jax.random.split(jax.random.key(1), batches), strict=True):
    view_key, *direction_keys = jax.random.split(key, 3)
    found.append([flat(batch, view_key, direction_key) for direction_key in direction_keys])
  first, second = np.stack(found, 1)
  of_directions = np.sum((first - second) ** 2) / 2 / batches
  total = np.sum((first - first.mean(0)) ** 2) / (batches - 1)
  return float(of_directions / total)
