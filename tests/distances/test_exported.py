"""Operations of programs exported for accelerators, which JAX lowers on a CPU."""

import re

import jax
import jax.numpy as jnp
import pytest

from aejax import distances

ACCELERATORS = ("cuda", "tpu")
PAIRWISE = {
  "cramer_wold": distances.cramer_wold,
  "sigreg": distances.sigreg,
  "mmd": distances.mmd,
  "energy_distance": distances.energy_distance,
}


def _sliced(name):
  function = getattr(distances, name)
  return lambda z, directions: function(z, directions=directions)


SORTED = (
  "sliced_wasserstein",
  "max_sliced_wasserstein",
  "anderson_darling",
  "cramer_von_mises",
  "kolmogorov_smirnov",
)
SLICED = {name: _sliced(name) for name in SORTED}


def _operations(function, platform, n, dim=16, slices=8):
  """Returns the operations of the value and gradient of a distance, and the program's text."""
  z = jax.ShapeDtypeStruct((n, dim), jnp.float32)
  directions = jax.ShapeDtypeStruct((slices, dim), jnp.float32)
  program = jax.jit(jax.value_and_grad(function))
  arguments = (z, directions) if function in SLICED.values() else (z,)
  text = jax.export.export(program, platforms=[platform])(*arguments).mlir_module()
  return re.findall(r"stablehlo\.(\w+)", text), text


@pytest.mark.parametrize("platform", ACCELERATORS)
@pytest.mark.parametrize("name", PAIRWISE)
def test_pairwise_uses_one_tile_up_to_8192_rows(name, platform):
  single, text = _operations(PAIRWISE[name], platform, 8192)
  assert "while" not in single
  assert "tensor<8192x8192xf32>" in text
  several, text = _operations(PAIRWISE[name], platform, 16_384)
  assert "while" in several
  widths = {int(w) for w in re.findall(r"tensor<(?:1024|2048)x(\d+)xf32>", text)}
  assert any(w > 4096 and w % 128 == 0 for w in widths)


@pytest.mark.parametrize("name", PAIRWISE)
def test_pairwise_uses_small_tiles_on_a_cpu(name):
  _, text = _operations(PAIRWISE[name], "cpu", 8192)
  assert "tensor<8192x8192xf32>" not in text
  assert "tensor<256x" in text


@pytest.mark.parametrize("platform", ACCELERATORS)
@pytest.mark.parametrize("function", SLICED.values(), ids=SLICED)
def test_sorted_gradients_have_no_scatter(function, platform):
  operations, text = _operations(function, platform, 64)
  assert "scatter" not in operations
  assert operations.count("sort") == 2
  assert "is_stable = true" not in text
  assert "custom_call" not in operations


@pytest.mark.parametrize("platform", ACCELERATORS)
def test_energy_on_a_line_sorts_without_scatter(platform):
  operations, text = _operations(distances.energy_distance, platform, 64, dim=1)
  assert "scatter" not in operations
  assert "tensor<64x64xf32>" not in text


def test_kernel_stein_uses_one_tile_up_to_8192_rows():
  def to_score(z):
    return distances.kernel_stein(z, lambda z: -2 * z, kernel=distances.gaussian(8.0))

  for function in (distances.kernel_stein, to_score):
    operations, text = _operations(function, "cuda", 8192)
    assert "while" not in operations
    assert "tensor<8192x8192xf32>" in text


@pytest.mark.parametrize("platform", ACCELERATORS)
def test_sorts_run_along_the_axis_that_the_platform_wants(platform):
  _, text = _operations(SLICED["sliced_wasserstein"], platform, 64)
  dimensions = set(re.findall(r"dimension = (\d)", text))
  assert dimensions == ({"1"} if platform == "cuda" else {"0"})
