"""Calibrated distances: what samples of the prior score, and p-values."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from scipy import special

from aejax import _checks, distances
from aejax._memory import check_fits
from aejax.metrics._chunked import Real, check_features
from aejax.priors import Prior, StandardNormal

__all__ = [
  "STATISTICS",
  "NullDistribution",
  "PriorTest",
  "null_distribution",
  "prior_test",
  "statistic_of",
]

# Sets of latents that are drawn. They give a level of 5 % to within about a third of a percent.
_DRAWS = 4000
# Directions of the sliced statistics, which latents and draws share.
_DIRECTIONS = 50
# Statistics with a limit law are simulated with this many latents at most, and scaled.
_MAX_LATENTS = 512


class _Statistic(NamedTuple):
  """A distance as a test statistic.

  Attributes:
    function: (latents, prior or None, directions, gamma) -> scalar.
    power: the statistic times n^power has a limit law as n grows; None if it has none.
    unbiased: whether its mean is exactly zero for samples of the prior.
    sliced: whether it needs directions.
    any_prior: whether it takes priors other than N(0, I).
  """

  function: Callable[[Array, Any, Any, Any], Array]
  power: float | None
  unbiased: bool = False
  sliced: bool = False
  any_prior: bool = True


def _sliced(function: Callable[..., Array]) -> Callable[[Array, Any, Any, Any], Array]:
  return lambda z, _, directions, gamma: function(z, directions=directions)


_SLICED: dict[str, Any] = dict(sliced=True, any_prior=False)

STATISTICS: dict[str, _Statistic] = {
  "cramer_wold": _Statistic(lambda z, p, _, gamma: distances.cramer_wold(z, p, gamma=gamma), 1),
  "sigreg": _Statistic(lambda z, p, *_: distances.sigreg(z), 0, any_prior=False),
  "mmd": _Statistic(lambda z, p, *_: distances.mmd(z, p), 1, unbiased=True),
  "energy_distance": _Statistic(lambda z, p, *_: distances.energy_distance(z, p), 1, unbiased=True),
  "kernel_stein": _Statistic(lambda z, p, *_: distances.kernel_stein(z, p), 1, unbiased=True),
  "sliced_wasserstein": _Statistic(
    lambda z, p, directions, _: distances.sliced_wasserstein(z, p, directions=directions),
    None,
    sliced=True,
  ),
  "epps_pulley": _Statistic(_sliced(distances.epps_pulley), 0, **_SLICED),
  "cramer_von_mises": _Statistic(_sliced(distances.cramer_von_mises), 0, **_SLICED),
  "anderson_darling": _Statistic(_sliced(distances.anderson_darling), None, **_SLICED),
  "kolmogorov_smirnov": _Statistic(_sliced(distances.kolmogorov_smirnov), None, **_SLICED),
}
"""The distances that have a null distribution here, by name."""


@dataclasses.dataclass(frozen=True)
class NullDistribution:
  """Distribution of a distance over sets of latents that are samples of the prior.

  It is a gamma distribution with the mean, standard deviation and skewness of simulated sets. Their
  weighted sum of χ² variables is close to one, far better than to a normal distribution.

  Attributes:
    mean: mean of the distance.
    standard_deviation: standard deviation of the distance of one set.
    skewness: skewness of the distance.
  """

  mean: float
  standard_deviation: float
  skewness: float

  def p_value(self, statistic: float) -> float:
    """Returns the probability that samples of the prior have this distance or a larger one."""
    x = (statistic - self.mean) / self.standard_deviation
    if abs(self.skewness) < 1e-3:
      return float(special.ndtr(-x))
    shape = 4 / self.skewness**2
    upper = self.skewness > 0
    argument = max(shape + 2 * x / self.skewness, 0.0)
    return float((special.gammaincc if upper else special.gammainc)(shape, argument))

  def quantile(self, probability: float) -> float:
    """Returns the distance that samples of the prior stay below with this probability."""
    if not 0 < probability < 1:
      raise ValueError(f"probability must lie between 0 and 1, but is {probability}.")
    if abs(self.skewness) < 1e-3:
      return self.mean + self.standard_deviation * float(special.ndtri(probability))
    shape = 4 / self.skewness**2
    inverse = special.gammaincinv if self.skewness > 0 else special.gammainccinv
    x = float(inverse(shape, probability) - shape) * self.skewness / 2
    return self.mean + self.standard_deviation * x


class PriorTest(NamedTuple):
  """Whether a set of latents looks like samples of the prior.

  Attributes:
    statistic: the distance of the latents to the prior.
    null_mean: mean of the distance for as many samples of the prior.
    null_standard_deviation: its standard deviation.
    p_value: probability that samples of the prior have this distance or a larger one.
  """

  statistic: float
  null_mean: float
  null_standard_deviation: float
  p_value: float


def null_distribution(
  distance: str,
  n: int,
  dim: int,
  *,
  prior: Prior | None = None,
  key: Key[Array, ""],
  draws: int | None = None,
) -> NullDistribution:
  """Simulates the distribution of a distance for n samples of a prior.

  One compiled program draws the sets. The result is kept for the next call with the same
  arguments, unless the prior holds arrays. For more than 512 latents, a distance whose multiple
  n · distance has a limit law is simulated with 512 and scaled.

  Args:
    distance: a name of `STATISTICS`; each distance has its default arguments.
    n: number of latents.
    dim: dimension of the latents.
    prior: the prior; N(0, I) by default.
    key: random key that draws directions and samples.
    draws: number of sets, 4000 by default. These give a level of 5 % to within about a third of a
      percent; 200 sets give the standard deviation to 5 %.

  Raises:
    ValueError: if the name is unknown, the distance has no closed form for the prior, or a size is
      too small.

  Reference: Serfling, Approximation Theorems of Mathematical Statistics, 1980, section 5.5.
  """
  statistic = STATISTICS[_checks.one_of("distance", distance, STATISTICS)]
  _checks.integer("n", n, least=2)
  _checks.integer("dim", dim)
  draws = _DRAWS if draws is None else _checks.integer("draws", draws, least=10)
  key = _checks.new_key("key", key)
  prior = _check_prior(distance, statistic, prior, dim)
  used = min(n, _MAX_LATENTS) if statistic.power is not None else n
  check_fits("n", n, 4 * used * (dim + _DIRECTIONS))
  gamma = (4 / (3 * n)) ** 0.4  # Silverman's rule for n, also where fewer latents are drawn
  data, impl = tuple(map(int, jax.random.key_data(key))), jax.random.key_impl(key)
  simulate = _simulated if _is_hashable(prior) else _draw
  values = simulate(distance, used, dim, gamma, draws, data, impl, prior)
  if statistic.power:
    # n (n − 1) is the number of terms of an unbiased estimate.
    pairs = n * (n - 1) / (used * (used - 1)) if statistic.unbiased else (n / used) ** 2
    values = values / pairs ** (statistic.power / 2)
  mean = 0.0 if statistic.unbiased else float(values.mean())
  deviation = float(values.std(ddof=1))
  skewness = float(np.mean(((values - values.mean()) / deviation) ** 3))
  return NullDistribution(mean, deviation, skewness)


def prior_test(
  z: Float[Real, "n d"],
  distance: str = "cramer_wold",
  *,
  prior: Prior | None = None,
  key: Key[Array, ""],
  draws: int | None = None,
) -> PriorTest:
  """Tests whether latents look like samples of a prior: would a batch of samples look like this?

  The p-value is uniform on [0, 1] for latents that are samples of the prior. For latents of a
  trained model it says by how much they can be told from samples; the latents of the training set
  were chosen to have a small distance, so use those of a test set.

  Args:
    z: latents, one a row.
    distance: a name of `STATISTICS`.
    prior: the prior; N(0, I) by default.
    key: random key that draws directions and the simulated samples; the same key gives the same
      result.
    draws: number of simulated sets, as in `null_distribution`.

  Raises:
    ValueError: if `z` is not a finite floating-point [n, d] with n at least 2, the name is unknown,
      or the distance has no closed form for the prior.

  Example:
    >>> z = jax.random.normal(jax.random.key(0), (100, 2))
    >>> prior_test(z, key=jax.random.key(1)).p_value > 0.01
    True
    >>> prior_test(2 * z, key=jax.random.key(1)).p_value < 0.01
    True
  """
  latents = check_features("z", z, least=2)
  n, dim = latents.shape
  if not np.isfinite(np.asarray(latents, np.float64)).all():
    raise ValueError("z must be finite, but holds NaN or infinity.")
  null = null_distribution(distance, n, dim, prior=prior, key=key, draws=draws)
  statistic = STATISTICS[distance]
  prior = _check_prior(distance, statistic, prior, dim)
  function = statistic.function
  value = float(function(jnp.asarray(latents), prior, _directions(key, dim), (4 / (3 * n)) ** 0.4))
  return PriorTest(value, null.mean, null.standard_deviation, null.p_value(value))


def statistic_of(
  distance: str, n: int, dim: int, *, prior: Prior | None = None, key: Key[Array, ""]
) -> Callable[[Array], Array]:
  """Returns the distance of `prior_test` as a function of n latents, which may be traced."""
  key = _checks.new_key("key", key)
  statistic = STATISTICS[distance]
  prior = _check_prior(distance, statistic, prior, dim)
  directions = _directions(key, dim)
  return lambda z: statistic.function(z, prior, directions, (4 / (3 * n)) ** 0.4)


def _check_prior(
  distance: str, statistic: _Statistic, prior: Prior | None, dim: int
) -> Prior | None:
  if prior is None or isinstance(prior, StandardNormal):
    return None
  _checks.instance("prior", prior, Prior, "None or a prior")
  if prior.dim != dim:
    raise ValueError(f"prior has dimension {prior.dim}, but the latents have {dim}.")
  if not statistic.any_prior:
    raise ValueError(f"{distance} compares with N(0, I) only, not with {type(prior).__name__}.")
  return prior


def _directions(key: Key[Array, ""], dim: int) -> Float[Array, "num d"]:
  return distances.random_directions(jax.random.fold_in(key, 0), _DIRECTIONS, dim)


def _draw(
  distance: str,
  n: int,
  dim: int,
  gamma: float,
  draws: int,
  key_data: tuple[int, ...],
  key_impl: Any,
  prior: Prior | None,
) -> np.ndarray:
  """Returns the distances of sets of n samples."""
  function = STATISTICS[distance].function
  key = jax.random.wrap_key_data(jnp.asarray(key_data, jnp.uint32), impl=key_impl)
  sampled = StandardNormal(dim) if prior is None else prior

  @jax.jit
  def run(keys: Array, directions: Array) -> Array:
    # One set at a time: all sets at once would need n² numbers for each.
    return jax.lax.map(lambda k: function(sampled.sample(k, n), prior, directions, gamma), keys)

  keys = jax.random.split(jax.random.fold_in(key, 1), draws)
  return np.asarray(run(keys, _directions(key, dim)), np.float64)


def _is_hashable(prior: Prior | None) -> bool:
  try:
    hash(prior)
  except TypeError:
    return False
  return True


# Arguments of a cache must be hashable, which keys and priors with arrays are not.
_simulated = functools.lru_cache(maxsize=64)(_draw)
