"""Products of matrices against XLA's own convolutions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jit_o0 import jit_o0

from aejax.networks import _conv_ops
from aejax.networks._conv_ops import convolve, transposed_convolve

LAYOUT = ("NHWC", "HWIO", "NHWC")
# Sums of at most 25·4 products of unit size, of some 70 images for the kernel's gradient, in
# another order: 6e-8 √(100·70) is 5e-6, relative to the largest entry.
TOLERANCE = 1e-5
# kernel, stride, padding, height and width, channels in and out, images
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
def test_convolution_and_its_gradients(case):
  side, stride, padding, size, (i, o), n = case
  x, kernel, dx, dkernel = arrays(*[(n, *size, i), (side, side, i, o)] * 2)

  def ours(x, kernel):
    return convolve(x, kernel, stride=stride, padding=padding)

  def expected(x, kernel):
    return by_xla(x, kernel, stride, padding)

  (weights,) = arrays(jax.eval_shape(expected, x, kernel).shape)

  def derivatives(function):
    def all_of_them(x, kernel, weights, tangents):
      value, pull = jax.vjp(function, x, kernel)
      return value, pull(weights), jax.jvp(function, (x, kernel), tangents)[1]

    return jit_o0(all_of_them)(x, kernel, weights, (dx, dkernel))

  wanted = derivatives(expected)
  jax.tree.map(close, derivatives(ours), wanted)
  close(ours(x, kernel), wanted[0])  # not within a larger program


@pytest.mark.parametrize("case", CASES, ids=str)
def test_transposed_convolution_and_its_gradients(case):
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

    return jit_o0(value_and_gradients)(x, kernel, weights)

  jax.tree.map(close, derivatives(ours), derivatives(expected))


def test_elsewhere_xla_convolves(monkeypatch):
  """What other platforms get, run here."""
  x, kernel, bias, z = arrays((2, 7, 6, 3), (4, 4, 3, 2), (2,), (2, 4, 3, 3))

  def both(x, kernel, bias, z):
    down = convolve(x, kernel, bias, stride=2, padding="SAME")
    return down, transposed_convolve(z, kernel, bias, stride=2, size=(7, 6))

  def gradient(*arguments):
    return jax.grad(lambda *a: sum(jnp.sum(y**2) for y in both(*a)), (0, 1, 2, 3))(*arguments)

  with monkeypatch.context() as patch:
    patch.setattr(_conv_ops, "_by_platform", lambda on_cpu, elsewhere: elsewhere)
    expected = jit_o0(lambda *a: (both(*a), gradient(*a)))(x, kernel, bias, z)
  found = jit_o0(lambda *a: (both(*a), gradient(*a)))(x, kernel, bias, z)
  jax.tree.map(close, found, expected)
  assert "conv_general_dilated" in str(
    jax.make_jaxpr(lambda x, k: convolve(x, k, stride=2, padding="SAME"))(x, kernel)
  )


@pytest.mark.parametrize(
  ("side", "stride", "size"),
  [(4, 2, (14, 14)), (3, 2, (13, 7)), (2, 2, (7, 7)), (3, 1, (5, 6)), (4, 2, (1, 3))],
)
def test_adjoint_equals_the_dilated_convolution(side, stride, size, monkeypatch):
  """The form that accelerators get, in every mode of differentiation."""
  monkeypatch.setattr(_conv_ops, "_by_platform", lambda on_cpu, elsewhere: elsewhere)
  small = tuple(-(-length // stride) for length in size)
  x, kernel, dx, dkernel = arrays(*[(3, *small, 5), (side, side, 5, 4)] * 2)

  def ours(x, kernel):
    return transposed_convolve(x, kernel, stride=stride, size=size)

  def expected(x, kernel):
    pads = []
    for length, target in zip(small, size, strict=True):
      dilated = stride * (length - 1) + 1
      low = (dilated + side - 1 - target) // 2
      pads.append((side - 1 - low, target - dilated + low))
    return lax.conv_general_dilated(
      x, kernel, (1, 1), pads, lhs_dilation=(stride, stride), dimension_numbers=LAYOUT
    )

  def derivatives(function):
    def compute(x, kernel):
      forward = jax.jvp(function, (x, kernel), (dx, dkernel))
      backward = jax.grad(lambda *a: jnp.sum(jnp.sin(function(*a))), (0, 1))(x, kernel)
      several = jax.vmap(lambda k: function(x, k))(jnp.stack([kernel, dkernel]))
      return forward, backward, several

    return jit_o0(compute)(x, kernel)

  jax.tree.map(close, derivatives(ours), derivatives(expected))


def test_adjoint_exported_for_gpus_has_gradients_with_small_windows():
  x, kernel = jax.ShapeDtypeStruct((8, 16, 16, 4), jnp.float32), arrays((4, 4, 4, 3))[0]

  def cost(x, kernel):
    return jnp.sum(transposed_convolve(x, kernel, stride=2, size=(32, 32)) ** 2)

  program = jax.jit(jax.grad(cost, (0, 1)))
  text = jax.export.export(program, platforms=["cuda"])(x, kernel).mlir_module()
  # The value, and the gradients for x and for the kernel. With automatic differentiation the last
  # would dilate the left operand and have windows of 31 by 31 pixels.
  convolutions = [line for line in text.splitlines() if "stablehlo.convolution" in line]
  assert len(convolutions) == 3
  dilated = [line for line in convolutions if "lhs_dilate = [2, 2]" in line]
  assert len(dilated) == 1
  assert "tensor<4x4x" in dilated[0]


def test_a_kernel_for_each_of_several_runs():
  x, kernels = arrays((40, 6, 6, 2), (3, 4, 4, 2, 3))

  def cost(kernel):
    y = convolve(x, kernel, stride=2, padding="SAME")
    return jnp.sum(transposed_convolve(y, kernel.swapaxes(2, 3), stride=2, size=(6, 6)) ** 2)

  together = jit_o0(jax.vmap(jax.grad(cost)))(kernels)
  alone = jit_o0(jax.grad(cost))
  for kernel, gradient in zip(kernels, together, strict=True):
    close(gradient, alone(kernel))


def test_images_in_chunks_change_nothing(monkeypatch):
  """Seven images, the windows of two of them at a time."""
  x, kernel, bias, weights = arrays((7, 6, 6, 2), (4, 4, 2, 3), (3,), (7, 6, 6, 2))

  def cost(x, kernel, bias):
    y = convolve(x, kernel, bias, stride=2, padding="SAME")
    back = transposed_convolve(y, kernel.swapaxes(2, 3), stride=2, size=(6, 6))
    return jnp.sum(weights * jnp.tanh(back))

  def value_and_gradient():
    return jax.jit(lambda *a: jax.value_and_grad(cost, (0, 1, 2))(*a))(x, kernel, bias)

  whole = value_and_gradient()
  monkeypatch.setattr(_conv_ops, "_MAX_WINDOWS", 2 * 9 * 32)
  loops = str(jax.make_jaxpr(lambda x: convolve(x, kernel, stride=2, padding="SAME"))(x))
  assert "length=4" in loops
  jax.tree.map(close, value_and_gradient(), whole)


def test_second_derivatives():
  x, kernel, direction = arrays((3, 5, 5, 2), (3, 3, 2, 2), (3, 3, 2, 2))

  def cost(kernel, function):
    return jnp.sum(jnp.tanh(function(x, kernel)))

  def curvature(function):
    def slope(k):
      return jnp.vdot(jax.grad(cost)(k, function), direction)

    return jax.grad(slope)(kernel)

  ours = curvature(lambda x, k: convolve(x, k, stride=1, padding="SAME"))
  close(ours, curvature(lambda x, k: by_xla(x, k, 1, "SAME")))


def test_bfloat16():
  x, kernel = arrays((4, 8, 8, 16), (4, 4, 16, 8), dtype=jnp.bfloat16)
  got = convolve(x, kernel, stride=2, padding="SAME")
  assert got.dtype == jnp.bfloat16
  exact = by_xla(x.astype(jnp.float32), kernel.astype(jnp.float32), 2, "SAME")
  # One rounding to eight bits: products and sums are float32.
  close(got, exact, 2**-8)


def test_memory_of_many_images_is_that_of_a_few_windows():
  """Windows of 4096 images of 64×64 with 25·8 entries each would be 13 GB."""
  x = jax.ShapeDtypeStruct((4096, 64, 64, 8), jnp.float32)
  kernel = jax.ShapeDtypeStruct((5, 5, 8, 8), jnp.float32)
  function = jax.jit(lambda x, k: convolve(x, k, stride=1, padding="SAME"))
  temporary = function.lower(x, kernel).compile().memory_analysis().temp_size_in_bytes
  images = 4096 * 64 * 64 * 8 * 4
  assert temporary < 6 * images


@pytest.mark.parametrize("check_vma", [False, True])
def test_under_shard_map(check_vma):
  """The types of arrays say which axes they vary over, and a gradient must keep them."""
  x, kernel = arrays((4, 6, 6, 2), (4, 4, 2, 3))
  mesh = jax.make_mesh((1,), ("devices",), axis_types=(jax.sharding.AxisType.Auto,))
  rows = jax.sharding.PartitionSpec("devices")

  def there_and_back(x, kernel):
    y = convolve(x, kernel, stride=2, padding="SAME")
    return transposed_convolve(y, kernel.swapaxes(2, 3), stride=2, size=(6, 6))

  def gradient(x):
    return jax.grad(lambda x: jnp.sum(there_and_back(x, kernel) ** 2))(x)

  mapped = jax.shard_map(gradient, mesh=mesh, in_specs=rows, out_specs=rows, check_vma=check_vma)
  close(jax.jit(mapped)(x), gradient(x))
