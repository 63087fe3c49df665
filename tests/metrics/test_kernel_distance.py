import importlib
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax.metrics import _chunked, kernel_distance, kernel_distance_in_blocks
from aejax.metrics.kernel_distance import KernelDistance

KEY = jax.random.key(0)


def normal(n: int, d: int, seed: int = 0) -> np.ndarray:
  return np.random.default_rng(seed).standard_normal((n, d))


def by_loops(x: np.ndarray, y: np.ndarray) -> float:
  def k(a, b):
    return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

  def within(s):
    return np.mean([k(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j])

  return within(x) + within(y) - 2 * np.mean([k(a, b) for a in x for b in y])


def test_kernel_distance_by_hand():
  # k(x, y) = (xy + 1)³ is 1 for the pair in x, 3³ for the pair in y, 1 + 1 + 2³ + 3³ across.
  x, y = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
  assert kernel_distance(x, y) == pytest.approx(1 + 27 - 2 * 37 / 4, rel=1e-15)


@pytest.mark.parametrize("entries", [1, 50, 10**6])
@pytest.mark.parametrize(("n", "m", "d"), [(2, 2, 1), (12, 9, 3), (9, 20, 7)])
def test_kernel_distance_matches_the_definition(monkeypatch, entries, n, m, d):
  monkeypatch.setattr(_chunked, "_BLOCK_ENTRIES", entries)
  x, y = normal(n, d), 1.2 * normal(m, d, seed=1) + 0.3
  # Float64 on both sides; the terms that cancel are about ten times the value.
  assert kernel_distance(x, y) == pytest.approx(by_loops(x, y), rel=1e-12, abs=1e-12)
  assert kernel_distance(y, x) == pytest.approx(by_loops(x, y), rel=1e-12, abs=1e-12)


def test_kernel_distance_is_unbiased():
  n, d, repeats = 100, 5, 200
  sets = normal(2 * n * repeats, d).reshape(repeats, 2, n, d)
  values = np.array([kernel_distance(x, y) for x, y in sets])
  error = values.std(ddof=1) / np.sqrt(repeats)
  assert abs(values.mean()) < 4 * error
  # The diagonal would add 2/n (E k(x, x) − E k(x, x')), with E|x|² = d, E|x|⁴ = d(d + 2), E|x|⁶ =
  # d(d + 2)(d + 4), which the test would detect.
  diagonal = 1 + 3 + 3 * (d + 2) / d + (d + 2) * (d + 4) / d**2 - (1 + 3 / d)
  assert 2 / n * diagonal > 20 * error


def test_kernel_distance_of_normal_distributions():
  # (xy + 1)³ = 1 + 3 xy + 3 x²y² + x³y³ gives 3 Δm₁² + 3 Δm₂² + Δm₃² of the raw moments. Those of
  # N(½, 1) and N(0, 1) differ by ½, ¼ and ⅛ + 3/2.
  expected = 3 * 0.25 + 3 / 16 + 1.625**2
  x, y = normal(20_000, 1), normal(20_000, 1, seed=1) + 0.5
  found = kernel_distance_in_blocks(x, y, key=KEY)
  # Student's t with 19 degrees of freedom exceeds 5 with a probability below 1e-4.
  assert abs(found.value - expected) < 5 * found.standard_error
  # The estimate from all pairs has no larger variance.
  assert abs(kernel_distance(x[:4000], y[:4000]) - expected) < 5 * np.sqrt(5) * found.standard_error


def test_kernel_distance_in_blocks_has_the_right_standard_error():
  n, repeats = 60, 150
  sets = normal(2 * n * repeats, 2).reshape(repeats, 2, n, 2)
  found = [kernel_distance_in_blocks(x, y + 0.5, key=KEY) for x, y in sets]
  spread = np.std([f.value for f in found], ddof=1)
  claimed = np.sqrt(np.mean([f.standard_error**2 for f in found]))
  # The spread of 150 values is known to 1 / sqrt(2 · 149) = 6 % (less well with these tails), and
  # the claimed errors, with nine degrees of freedom each, to 3 %.
  assert 0.7 < claimed / spread < 1.4


@pytest.mark.parametrize(
  ("n", "m", "size", "most", "count", "rows"),
  [
    (10_000, 12_000, 1000, 100, 10, 1000),
    (25_500, 60_000, 1000, 100, 25, 1000),
    (500, 400, 10, 7, 7, 10),
    # Too few rows for ten blocks of that size: smaller blocks.
    (5000, 5000, 1000, 100, 10, 500),
    (359, 359, 1000, 100, 10, 35),
    (5000, 5000, 4000, 3, 3, 1666),
    (4, 9, 1000, 100, 2, 2),
    (15, 15, 1000, 100, 7, 2),
  ],
)
def test_kernel_distance_in_blocks_uses_each_row_once(monkeypatch, n, m, size, most, count, rows):
  seen = []

  def record(x, y):
    seen.append((x[:, 0].tolist(), y[:, 0].tolist()))
    return float(len(seen))

  # Import by name, because the package's attribute is the function.
  module = importlib.import_module("aejax.metrics.kernel_distance")
  monkeypatch.setattr(module, "_squared_mmd", record)
  x, y = (np.arange(float(k))[:, None] for k in (n, m))
  found = kernel_distance_in_blocks(x, y, key=KEY, block_size=size, blocks=most)
  assert [(len(a), len(b)) for a, b in seen] == [(rows, rows)] * count
  for side in zip(*seen, strict=True):
    drawn = [value for block in side for value in block]
    assert len(set(drawn)) == count * rows
    assert drawn != sorted(drawn)
  # The values are 1 … count, with the variance count (count + 1) / 12.
  assert found.value == pytest.approx((count + 1) / 2, rel=1e-14)
  assert found.standard_error == pytest.approx(np.sqrt((count + 1) / 12), rel=1e-14)


def test_kernel_distance_in_blocks_is_determined_by_its_key():
  x, y = normal(50, 2), normal(60, 2, seed=1)
  first, again, other = (
    kernel_distance_in_blocks(x, y, key=jax.random.key(seed)) for seed in (0, 0, 1)
  )
  assert isinstance(first, KernelDistance)
  assert first == again
  assert first != other


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_kernel_distance_accepts_jax_arrays_of_every_float_dtype(dtype):
  x, y = (jnp.asarray(normal(20, 3, seed), dtype) for seed in (0, 1))
  exact = kernel_distance(*(np.asarray(a.astype(jnp.float32)) for a in (x, y)))
  assert kernel_distance(x, y) == exact


def test_kernel_distance_takes_memory_linear_in_n():
  x, y = normal(6000, 4), normal(6000, 4, seed=1)
  tracemalloc.start()
  kernel_distance(x, y)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  # The sets, and a few temporary blocks of 16 MiB; n² entries would be 288 MB.
  assert peak < 4 * x.size * 8 + 5 * _chunked._BLOCK_ENTRIES * 8 < 6000**2 * 8 / 3


@pytest.mark.usefixtures("without_beartype")
@pytest.mark.parametrize(
  ("first", "second", "message"),
  [
    (np.zeros((5, 2)), np.zeros((5, 3)), "first and second must have one dimension"),
    (np.zeros((1, 2)), np.zeros((5, 2)), "first must have shape"),
    (np.zeros((5, 2)), np.zeros(5), "second must have shape"),
    (np.zeros((5, 2), int), np.zeros((5, 2)), "first must be floating-point"),
    (np.zeros((5, 2)), np.full((5, 2), np.nan), "second must be finite"),
  ],
)
def test_kernel_distance_rejects_bad_sets(first, second, message):
  with pytest.raises(ValueError, match=message):
    kernel_distance(first, second)
  with pytest.raises(ValueError, match=message):
    kernel_distance_in_blocks(first, second, key=KEY)


def test_kernel_distance_in_blocks_rejects_bad_options():
  x = np.zeros((5, 2))
  with pytest.raises(ValueError, match="block_size must be a whole number from 2 up, but is 1"):
    kernel_distance_in_blocks(x, x, key=KEY, block_size=1)
  with pytest.raises(ValueError, match="blocks must be a whole number from 2 up, but is 0"):
    kernel_distance_in_blocks(x, x, key=KEY, blocks=0)
  with pytest.raises(ValueError, match="n at least 4"):
    kernel_distance_in_blocks(x[:3], x, key=KEY)
