"""Compares the CPU and the accelerator implementation with XLA's own convolutions."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from aejax.networks import _conv_ops, _conv_products
from aejax.networks._conv_ops import convolve, transposed_convolve

LAYOUT = ("NHWC", "HWIO", "NHWC")
# The sums have at most 25·4 products of unit size; the kernel's gradient adds about 70 images.
# Another order of summation changes them by 6e-8 √(100·70) = 5e-6, relative to the largest entry.
TOLERANCE = 1e-5
# kernel size, stride, padding, (height, width), (channels in, channels out), number of images
CASES = [
  (4, 2, "SAME", (8, 8), (1, 3), 7),
  (4, 2, "SAME", (7, 5), (3, 4), 33),
  (3, 1, "SAME", (6, 5), (4, 2), 5),
  pytest.param((2, 1, "SAME", (5, 4), (2, 3), 32), marks=pytest.mark.slow),
  (5, 2, "SAME", (9, 6), (2, 3), 3),
  (3, 2, "VALID", (33, 32), (2, 3), 2),
  pytest.param((5, 1, "VALID", (7, 8), (3, 2), 34), marks=pytest.mark.slow),
  pytest.param((2, 3, "VALID", (8, 7), (2, 2), 4), marks=pytest.mark.slow),
  (3, 2, "SAME", (1, 1), (2, 2), 1),
]


def by_xla(x, kernel, stride, padding):
  return lax.conv_general_dilated(
    x, kernel, (stride, stride), padding, dimension_numbers=LAYOUT, precision="highest"
  )


def arrays(*shapes, dtype=jnp.float32):
  random = np.random.default_rng(0)
  return [jnp.asarray(random.standard_normal(shape), dtype) for shape in shapes]


def close(got, expected, tolerance=TOLERANCE):
  got, expected = np.asarray(got, np.float32), np.asarray(expected, np.float32)
  assert got.shape == expected.shape
  np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_convolve_equals_xla_with_gradients(case):
  side, stride, padding, size, (i, o), n = case
  x, kernel, dx, dkernel = arrays(*[(n, *size, i), (side, side, i, o)] * 2)

  def ours(x, kernel):
    return convolve(x, kernel, stride=stride, padding=padding)

  def expected(x, kernel):
    return by_xla(x, kernel, stride, padding)

  (weights,) = arrays(jax.eval_shape(expected, x, kernel).shape)

  def derivatives(function):
    def value_and_derivatives(x, kernel, weights, tangents):
      value, pull = jax.vjp(function, x, kernel)
      return value, pull(weights), jax.jvp(function, (x, kernel), tangents)[1]

    return jax.jit(value_and_derivatives)(x, kernel, weights, (dx, dkernel))

  reference = derivatives(expected)
  jax.tree.map(close, derivatives(ours), reference)
  close(ours(x, kernel), reference[0])  # outside a larger program


@pytest.mark.parametrize("case", CASES, ids=str)
def test_transposed_convolve_equals_the_adjoint_with_gradients(case):
  side, stride, padding, size, (i, o), n = case
  if padding != "SAME":
    size = tuple((length - side) // stride * stride + side for length in size)
  like = jax.ShapeDtypeStruct((n, *size, o), jnp.float32)
  down = jax.eval_shape(
    lambda v: by_xla(v, jnp.zeros((side, side, o, i)), stride, padding), like
  ).shape
  x, kernel, weights = arrays(down, (side, side, i, o), like.shape)

  def ours(x, kernel):
    return transposed_convolve(x, kernel, stride=stride, size=size)

  def expected(x, kernel):
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    return jax.linear_transpose(lambda v: by_xla(v, turned, stride, padding), like)(x)[0]

  def derivatives(function):
    def value_and_gradients(x, kernel, weights):
      value, pull = jax.vjp(function, x, kernel)
      return value, pull(weights)

    return jax.jit(value_and_gradients)(x, kernel, weights)

  jax.tree.map(close, derivatives(ours), derivatives(expected))


def test_convolve_and_transposed_convolve_agree_with_other_platforms(monkeypatch):
  """Runs the implementation for other platforms on the CPU."""
  x, kernel, bias, z = arrays((2, 7, 6, 3), (4, 4, 3, 2), (2,), (2, 4, 3, 3))

  def both(x, kernel, bias, z):
    down = convolve(x, kernel, bias, stride=2, padding="SAME")
    return down, transposed_convolve(z, kernel, bias, stride=2, size=(7, 6))

  def gradient(*arguments):
    return jax.grad(lambda *a: sum(jnp.sum(y**2) for y in both(*a)), (0, 1, 2, 3))(*arguments)

  with monkeypatch.context() as patch:
    patch.setattr(_conv_ops, "_by_platform", lambda on_cpu, elsewhere: elsewhere)
    expected = jax.jit(lambda *a: (both(*a), gradient(*a)))(x, kernel, bias, z)
  found = jax.jit(lambda *a: (both(*a), gradient(*a)))(x, kernel, bias, z)
  jax.tree.map(close, found, expected)
  assert "conv_general_dilated" in str(
    jax.make_jaxpr(lambda x, k: convolve(x, k, stride=2, padding="SAME"))(x, kernel)
  )


# kernel size, stride, (height, width) of the result
ADJOINT_CASES = [
  (4, 2, (14, 14)),
  (3, 2, (13, 7)),
  (2, 2, (7, 7)),
  (3, 1, (5, 6)),
  (2, 1, (5, 5)),
  (3, 2, (8, 9)),
  (4, 2, (1, 3)),
]


def on_accelerators(x, kernel, stride, size):
  """The implementation for accelerators, which also runs on a CPU."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(_conv_ops, "_by_platform", lambda on_cpu, elsewhere: elsewhere)
    return transposed_convolve(x, kernel, stride=stride, size=size)


def dilated(x, kernel, stride, size):
  """Convolves the images with zeros between their pixels."""
  side, pads = kernel.shape[0], []
  for length, target in zip(x.shape[1:3], size, strict=True):
    surplus = stride * (length - 1) + side - target
    low = side - 1 - surplus // 2
    pads.append((low, target - stride * (length - 1) + side - 2 - low))
  dilation = (stride, stride)
  return lax.conv_general_dilated(
    x, kernel, (1, 1), pads, lhs_dilation=dilation, dimension_numbers=LAYOUT, precision="highest"
  )


@pytest.mark.parametrize("case", ADJOINT_CASES, ids=str)
def test_transposed_convolve_on_accelerators_equals_dilated_convolution(case):
  side, stride, size = case
  down = [-(-length // stride) for length in size]
  x, kernel, dx, dkernel = arrays(*[(3, *down, 5), (side, side, 5, 4)] * 2)
  (weights,) = arrays((3, *size, 4))

  def derivatives(function):
    def value_and_derivatives(x, kernel, weights, tangents):
      def call(x, kernel):
        return function(x, kernel, stride, size)

      value, pull = jax.vjp(call, x, kernel)
      forward = jax.jvp(call, (x, kernel), tangents)[1]
      kernels = jax.vmap(lambda k: call(x, k))(jnp.stack([kernel, -2 * kernel]))
      images = jax.vmap(lambda v: call(v, kernel))(jnp.stack([x, -2 * x]))
      return value, pull(weights), forward, kernels.sum(0), images.sum(0)

    return jax.jit(value_and_derivatives)(x, kernel, weights, (dx, dkernel))

  jax.tree.map(close, derivatives(on_accelerators), derivatives(dilated))


def test_transposed_convolve_on_accelerators_has_second_derivatives():
  x, kernel, direction = arrays((3, 3, 3, 2), (4, 4, 2, 2), (4, 4, 2, 2))

  def curvature(function):
    def slope(k):
      cost = jax.grad(lambda k: jnp.sum(jnp.tanh(function(x, k, 2, (5, 6)))))
      return jnp.vdot(cost(k), direction)

    return jax.jit(jax.grad(slope))(kernel)

  close(curvature(on_accelerators), curvature(dilated))


def test_transposed_convolve_gradient_on_gpus_convolves_no_dilated_images():
  """Only the forward pass dilates its input, as the adjoint that cuDNN computes without zeros."""
  shapes = jax.eval_shape(lambda: arrays((3, 7, 4, 5), (4, 4, 5, 2)))

  def cost(x, kernel):
    return jnp.sum(jnp.sin(transposed_convolve(x, kernel, stride=2, size=(13, 8))))

  gradient = jax.jit(jax.grad(cost, (0, 1)))
  program = jax.export.export(gradient, platforms=["cuda"])(*shapes).mlir_module()
  convolutions = re.findall(r"stablehlo\.convolution\((%\w+), (%\w+)\)(.*)", program)
  assert len(convolutions) == 3
  (forward,) = [found for found in convolutions if "lhs_dilate" in found[2]]
  # XLA recognises the gradient of a convolution by its reversed kernel. That reversal must not
  # cancel against the one that makes the adjoint's kernel, hence the barrier between them.
  reversal = re.escape(forward[1]) + r" = stablehlo\.reverse (%\w+),"
  assert re.search(re.search(reversal, program)[1] + r" = stablehlo\.optimization_barrier", program)
  strides = [found for found in convolutions if "stride = [2, 2]" in found[2]]
  assert len(strides) == 1
  assert sum("rhs_dilate = [2, 2]" in found[2] for found in convolutions) == 1


def test_convolve_vmaps_over_kernels():
  x, kernels = arrays((40, 6, 6, 2), (3, 4, 4, 2, 3))

  def cost(kernel):
    y = convolve(x, kernel, stride=2, padding="SAME")
    return jnp.sum(transposed_convolve(y, kernel.swapaxes(2, 3), stride=2, size=(6, 6)) ** 2)

  together = jax.jit(jax.vmap(jax.grad(cost)))(kernels)
  alone = jax.jit(jax.grad(cost))
  for kernel, gradient in zip(kernels, together, strict=True):
    close(gradient, alone(kernel))


def test_convolve_gives_the_same_in_chunks(monkeypatch):
  """Splits seven images into chunks of two."""
  x, kernel, bias, weights = arrays((7, 6, 6, 2), (4, 4, 2, 3), (3,), (7, 6, 6, 2))

  def cost(x, kernel, bias):
    y = convolve(x, kernel, bias, stride=2, padding="SAME")
    back = transposed_convolve(y, kernel.swapaxes(2, 3), stride=2, size=(6, 6))
    return jnp.sum(weights * jnp.tanh(back))

  def value_and_gradient():
    return jax.jit(lambda *a: jax.value_and_grad(cost, (0, 1, 2))(*a))(x, kernel, bias)

  expected = value_and_gradient()
  monkeypatch.setattr(_conv_products, "_MAX_WINDOW_ENTRIES", 2 * 9 * 32)
  loops = str(jax.make_jaxpr(lambda x: convolve(x, kernel, stride=2, padding="SAME"))(x))
  assert "length=4" in loops
  jax.tree.map(close, value_and_gradient(), expected)


def test_convolve_has_second_derivatives():
  x, kernel, direction = arrays((3, 5, 5, 2), (3, 3, 2, 2), (3, 3, 2, 2))

  def cost(kernel, function):
    return jnp.sum(jnp.tanh(function(x, kernel)))

  def curvature(function):
    def slope(k):
      return jnp.vdot(jax.grad(cost)(k, function), direction)

    return jax.grad(slope)(kernel)

  ours = curvature(lambda x, k: convolve(x, k, stride=1, padding="SAME"))
  close(ours, curvature(lambda x, k: by_xla(x, k, 1, "SAME")))


def test_convolve_sums_bfloat16_in_float32():
  x, kernel = arrays((4, 8, 8, 16), (4, 4, 16, 8), dtype=jnp.bfloat16)
  got = convolve(x, kernel, stride=2, padding="SAME")
  assert got.dtype == jnp.bfloat16
  exact = by_xla(x.astype(jnp.float32), kernel.astype(jnp.float32), 2, "SAME")
  # Products and sums are float32, so only the result is rounded to eight bits.
  close(got, exact, 2**-8)


def test_convolve_limits_memory_for_many_images():
  """The windows of 4096 images of 64×64, with 25·8 entries each, would take 13 GB."""
  x = jax.ShapeDtypeStruct((4096, 64, 64, 8), jnp.float32)
  kernel = jax.ShapeDtypeStruct((5, 5, 8, 8), jnp.float32)
  function = jax.jit(lambda x, k: convolve(x, k, stride=1, padding="SAME"))
  temporary = function.lower(x, kernel).compile().memory_analysis().temp_size_in_bytes
  images = 4096 * 64 * 64 * 8 * 4
  assert temporary < 6 * images


@pytest.mark.parametrize("on_cpu", [True, False], ids=["cpu", "accelerators"])
@pytest.mark.parametrize("check_vma", [False, True])
def test_convolve_gradient_under_shard_map(check_vma, on_cpu, monkeypatch):
  """Under shard_map an array's type has the axes it varies over, which gradients must keep."""
  x, kernel = arrays((4, 6, 6, 2), (4, 4, 2, 3))
  mesh = jax.make_mesh((1,), ("devices",), axis_types=(jax.sharding.AxisType.Auto,))
  rows = jax.sharding.PartitionSpec("devices")

  def there_and_back(x, kernel):
    y = convolve(x, kernel, stride=2, padding="SAME")
    return transposed_convolve(y, kernel.swapaxes(2, 3), stride=2, size=(6, 6))

  def gradient(x, kernel):
    return jax.grad(lambda x, k: jnp.sum(there_and_back(x, k) ** 2), (0, 1))(x, kernel)

  expected = gradient(x, kernel)
  if not on_cpu:
    monkeypatch.setattr(_conv_ops, "_by_platform", lambda on_cpu, elsewhere: elsewhere)
  whole = jax.sharding.PartitionSpec()
  mapped = jax.shard_map(
    gradient, mesh=mesh, in_specs=(rows, whole), out_specs=(rows, whole), check_vma=check_vma
  )
  jax.tree.map(close, jax.jit(mapped)(x, kernel), expected)
