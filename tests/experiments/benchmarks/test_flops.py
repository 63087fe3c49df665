import jax
import jax.numpy as jnp
import pytest
from benchmarks.flops import count_flops
from benchmarks.timing import compile_program
from jax.sharding import AbstractMesh, PartitionSpec

from aejax import distances

pytestmark = pytest.mark.bench

X = jax.ShapeDtypeStruct((32, 16), jnp.float32)
PRODUCT = 2 * 32 * 16 * 32


def test_a_product_and_what_is_done_to_it():
  assert count_flops(lambda x: x @ x.T, X) == PRODUCT
  assert count_flops(lambda x: jnp.sin(x @ x.T), X) == PRODUCT + 32 * 32
  assert count_flops(lambda x: (x @ x.T).sum(), X) == PRODUCT + 32 * 32
  assert count_flops(lambda x: x[::-1].T.reshape(-1), X) == 0


def test_loops_count_as_often_as_they_run():
  def loop(x):
    return jax.lax.scan(lambda c, _: (c + (x @ x.T).sum(), None), 0.0, None, length=7)[0]

  once = PRODUCT + 32 * 32 + 1
  assert count_flops(loop, X) == 7 * once
  assert count_flops(jax.jit(loop), X) == 7 * once


def test_the_dearest_branch_counts():
  def branch(x):
    return jax.lax.cond(x[0, 0] > 0, lambda x: (x @ x.T).sum(), lambda x: x.sum(), x)

  assert count_flops(branch, X) == pytest.approx(PRODUCT, rel=0.05)


def test_a_derivative_counts_its_own_pass_only():
  @jax.custom_jvp
  def f(x):
    return (x @ x.T).sum()

  f.defjvp(lambda primals, tangents: (f(*primals), (tangents[0] * primals[0]).sum()))
  assert count_flops(f, X) == PRODUCT + 32 * 32


def test_of_a_spread_batch_one_device_counts():
  mesh = AbstractMesh((4,), ("devices",))

  def local(x):
    whole = jax.lax.all_gather(x, "devices", tiled=True)
    return jax.lax.psum((x @ whole.T).sum(), "devices")

  rows, every = PartitionSpec("devices"), PartitionSpec()
  share = count_flops(jax.shard_map(local, mesh=mesh, in_specs=rows, out_specs=every), X)
  assert share == pytest.approx(PRODUCT / 4, rel=0.05)


def test_as_the_compiler_counts_where_there_is_no_loop():
  z = jnp.ones((128, 64))
  function = jax.value_and_grad(distances.energy_distance)
  # The compiler simplifies first, and counts roots and quotients apart.
  assert count_flops(function, z) == pytest.approx(compile_program(function, z).flops, rel=0.3)
