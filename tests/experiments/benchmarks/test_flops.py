import jax
import jax.numpy as jnp
import pytest
from benchmarks.flops import count_flops
from benchmarks.programs import compile_program
from jax.sharding import AbstractMesh, PartitionSpec

from aejax import distances

pytestmark = pytest.mark.bench

X = jax.ShapeDtypeStruct((32, 16), jnp.float32)
PRODUCT = 2 * 32 * 16 * 32


def test_count_flops_of_products_and_elementwise_operations():
  assert count_flops(lambda x: x @ x.T, X) == PRODUCT
  assert count_flops(lambda x: jnp.sin(x @ x.T), X) == PRODUCT + 32 * 32
  assert count_flops(lambda x: (x @ x.T).sum(), X) == PRODUCT + 32 * 32
  assert count_flops(lambda x: x[::-1].T.reshape(-1), X) == 0


def test_count_flops_multiplies_by_the_length_of_a_loop():
  def loop(x):
    return jax.lax.scan(lambda c, _: (c + (x @ x.T).sum(), None), 0.0, None, length=7)[0]

  once = PRODUCT + 32 * 32 + 1
  assert count_flops(loop, X) == 7 * once
  assert count_flops(jax.jit(loop), X) == 7 * once


def test_count_flops_takes_the_most_expensive_branch():
  def branch(x):
    return jax.lax.cond(x[0, 0] > 0, lambda x: (x @ x.T).sum(), lambda x: x.sum(), x)

  assert count_flops(branch, X) == pytest.approx(PRODUCT, rel=0.05)


def test_count_flops_ignores_the_rule_of_a_derivative():
  @jax.custom_jvp
  def f(x):
    return (x @ x.T).sum()

  f.defjvp(lambda primals, tangents: (f(*primals), (tangents[0] * primals[0]).sum()))
  assert count_flops(f, X) == PRODUCT + 32 * 32


def test_count_flops_of_one_device_under_shard_map():
  mesh = AbstractMesh((4,), ("devices",))

  def local(x):
    rows = jax.lax.all_gather(x, "devices", tiled=True)
    return jax.lax.psum((x @ rows.T).sum(), "devices")

  sharded, replicated = PartitionSpec("devices"), PartitionSpec()
  share = count_flops(jax.shard_map(local, mesh=mesh, in_specs=sharded, out_specs=replicated), X)
  assert share == pytest.approx(PRODUCT / 4, rel=0.05)


def test_count_flops_is_near_the_count_of_xla_without_loops():
  z = jnp.ones((128, 64))
  function = jax.value_and_grad(distances.energy_distance)
  # XLA simplifies before it counts, and counts roots and quotients separately.
  assert count_flops(function, z) == pytest.approx(compile_program(function, z).flops, rel=0.3)
