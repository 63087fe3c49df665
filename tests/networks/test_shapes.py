"""Networks for vectors, signals and volumes."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import networks
from aejax.networks._conv_ops import convolve, transposed_convolve

KERNEL, STRIDE = 3, 2


def brute_force(x, kernel, sides):
  """Returns the strided convolution of float64 arrays with SAME padding, window by window."""
  result = np.zeros((len(x), *sides, kernel.shape[-1]))
  pads = [
    max(STRIDE * (out - 1) + KERNEL - side, 0)
    for out, side in zip(sides, x.shape[1:-1], strict=True)
  ]
  padded = np.pad(x, [(0, 0), *((pad // 2, pad - pad // 2) for pad in pads), (0, 0)])
  axes = tuple(range(1, x.ndim))
  for place in itertools.product(*map(range, sides)):
    window = tuple(slice(STRIDE * k, STRIDE * k + KERNEL) for k in place)
    product = np.tensordot(padded[(slice(None), *window)], kernel, (axes, range(x.ndim - 1)))
    result[(slice(None), *place)] = product
  return result


@pytest.mark.parametrize("size", [(8,), (7,), (5, 4, 3)], ids=str)
def test_convolutions_of_signals_and_volumes(size):
  random = np.random.default_rng(0)
  sides = tuple(-(-side // STRIDE) for side in size)
  x = random.normal(size=(2, *size, 2))
  y = random.normal(size=(2, *sides, 3))
  kernel = random.normal(size=(*[KERNEL] * len(size), 2, 3))
  expected = brute_force(x, kernel, sides)
  f32 = [jnp.asarray(array, jnp.float32) for array in (x, y, kernel)]
  found = convolve(f32[0], f32[2], stride=STRIDE, padding="SAME")
  np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())

  # The transposed convolution by the adjoint kernel satisfies ⟨conv(x), y⟩ = ⟨x, transposed(y)⟩.
  adjoint = jnp.flip(f32[2], tuple(range(len(size)))).swapaxes(-1, -2)

  def transposed(y, adjoint):
    return transposed_convolve(y, adjoint, stride=STRIDE, size=size)

  back = transposed(f32[1], adjoint)
  assert back.shape == x.shape
  np.testing.assert_allclose(np.vdot(x, back), np.vdot(expected, y), rtol=1e-4)
  # It is bilinear, so its gradients are given by its values.
  gradients = jax.grad(lambda *a: jnp.vdot(transposed(*a), f32[0]), (0, 1))(f32[1], adjoint)
  np.testing.assert_allclose(gradients[0], expected, atol=1e-5 * np.abs(expected).max())
  np.testing.assert_allclose(np.vdot(gradients[1], adjoint), np.vdot(expected, y), rtol=1e-4)


@pytest.mark.parametrize(
  ("architecture", "shape"),
  [
    ("mlp", (5,)),
    ("linear", (9, 2)),
    ("convolutional", (9, 2)),
    pytest.param("convolutional", (9, 8, 3, 1), marks=pytest.mark.slow),
  ],
)
def test_networks_for_every_kind_of_data(architecture, shape):
  if architecture != "linear":
    assert networks.default_architecture(shape) == architecture
  model = networks.build(
    architecture, shape, latent_dim=2, output="identity", key=jax.random.key(0)
  )
  x = jnp.ones((3, *shape))
  assert model.output == "identity"
  assert model.encode(x).shape == (3, 2)
  assert model.reconstruct(x).shape == x.shape
  with pytest.raises(ValueError, match="for which the network was built"):
    model.encode(jnp.ones((3, *shape, 1)))


def test_depth_follows_from_the_longest_axis():
  encoder = networks.build("convolutional", (100, 1), latent_dim=2, key=jax.random.key(0)).encoder
  kernels = [convolution.kernel.shape for convolution in encoder.convolutions]
  assert kernels == [(4, 1, 32), (4, 32, 64), (4, 64, 128), (4, 128, 256)]
