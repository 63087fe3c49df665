"""Kernels: their sums, their closed forms to N(0, I), and kernels of a user."""

import dataclasses

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from catalogue import latents

from aejax import distances, priors
from aejax.distances import _quotients
from aejax.distances._kernel_algebra import KernelSum, NormalKernel
from aejax.distances.kernels import _imq_rule

GAUSSIAN, IMQ = distances.gaussian(1.0), distances.imq((0.5, 2.0))


@dataclasses.dataclass(frozen=True)
class Laplace:
  """A kernel of a user, without closed form."""

  def __call__(self, squared_distances, dim):
    return jnp.exp(-jnp.sqrt(squared_distances + 1e-6))


@dataclasses.dataclass(frozen=True)
class Linear:
  """1 + x·y up to functions of x and of y alone, a kernel of a user with a closed form."""

  def __call__(self, squared_distances, dim):
    return 1 - squared_distances / 2

  def normal_mean(self, squared_norms, dim):
    return 1 - (squared_norms + dim) / 2

  def normal_pair_mean(self, dim):
    return 1.0 - dim


def laplace(squared_distances, dim):
  return Laplace()(squared_distances, dim)


@pytest.mark.parametrize(
  "terms",
  [
    (GAUSSIAN, IMQ),
    (GAUSSIAN, Laplace()),
    (Laplace(), GAUSSIAN),
    (laplace, IMQ),
    (GAUSSIAN, laplace),
    (Laplace(), GAUSSIAN, laplace, IMQ),
    (IMQ, GAUSSIAN, Linear()),
  ],
  ids=lambda terms: "+".join(getattr(k, "__name__", type(k).__name__) for k in terms),
)
def test_kernel_sum_adds_mmds_to_samples(terms):
  z, rest = latents(6, 3)
  total = terms[0] + terms[1]
  for term in terms[2:]:
    total = total + term
  assert isinstance(total, KernelSum)
  assert total.terms == terms
  # The MMD is linear in the kernel; float32 sums of terms of order one.
  expected = sum(float(distances.mmd(z, rest["samples"], kernel=term)) for term in terms)
  assert distances.mmd(z, rest["samples"], kernel=total) == pytest.approx(expected, abs=5e-6)


@pytest.mark.parametrize("terms", [(GAUSSIAN, IMQ), (Linear(), GAUSSIAN), (IMQ, Linear())])
def test_kernel_sum_has_closed_form_if_all_terms_have_one(terms):
  z, _ = latents(6, 3)
  total = terms[0] + terms[1]
  assert isinstance(total, NormalKernel)
  expected = sum(float(distances.mmd(z, kernel=term)) for term in terms)
  assert distances.mmd(z, kernel=total) == pytest.approx(expected, abs=5e-6)


@pytest.mark.parametrize(
  ("kernel", "words"),
  [
    (Laplace(), r"Laplace\(\)"),
    (laplace, "laplace"),
    (GAUSSIAN + Laplace(), r"Gaussian\(bandwidth=1\.0\) \+ Laplace\(\)"),
    (laplace + GAUSSIAN, r"laplace \+ Gaussian\(bandwidth=1\.0\)"),
    (GAUSSIAN + IMQ + Laplace(), r"Gaussian.* \+ InverseMultiquadric.* \+ Laplace\(\)"),
  ],
)
def test_kernel_without_closed_form_asks_for_samples(kernel, words):
  z, _ = latents(6, 3)
  assert not isinstance(kernel, NormalKernel)
  sentence = (
    f"^mmd with kernel {words} has no closed form for a StandardNormal target: pass samples"
  )
  for target in (None, priors.StandardNormal(3)):
    with pytest.raises(ValueError, match=sentence):
      distances.mmd(z, target, kernel=kernel)


def test_kernel_sum_is_hashable_and_compares_by_terms():
  assert GAUSSIAN + Laplace() == distances.gaussian(1.0) + Laplace()
  assert GAUSSIAN + Laplace() != Laplace() + GAUSSIAN
  assert hash(GAUSSIAN + laplace) == hash(GAUSSIAN + laplace)


@pytest.mark.parametrize("other", [3, "imq", None, distances.Gaussian, distances.imq])
def test_kernel_sum_rejects_other_values(other, without_beartype):
  for add in (lambda: GAUSSIAN + other, lambda: other + GAUSSIAN):
    with pytest.raises(ValueError, match=r"^kernel must be a kernel such as"):
      add()


def exact_mean(scales, dim, squared_norm):
  """E k(x, y) over y ~ N(0, I) with |x|² = `squared_norm`, by quadrature to 15 digits.

  C / (C + q) = ∫ (C/2) exp(−(C + q) a/2) da, and E_y exp(−a |x − y|²/2) is
  (1 + a)^(−D/2) exp(−|x|² a / (2 (1 + a))). The integrand decays at a ≈ 2 / (C + D + |x|²).
  """
  total = mpmath.mpf(0)
  for scale in scales:
    c = 2 * dim * scale

    def integrand(a, c=c):
      exponent = -c * a / 2 - squared_norm * a / (2 * (1 + a))
      return c / 2 * mpmath.exp(exponent) * (1 + a) ** (-mpmath.mpf(dim) / 2)

    unit = mpmath.mpf(2) / (c + dim + squared_norm)
    total += mpmath.quad(integrand, [0, unit, 4 * unit, 16 * unit, 64 * unit, mpmath.inf])
  return float(total)


@pytest.mark.parametrize("dim", [1, 8, 1024])
def test_imq_expectation_is_as_accurate_as_promised(dim):
  scales = distances.imq().scales
  squared_norms = dim * np.array([0.0, 1.0, 1e2, 1e4])
  exact = np.array([exact_mean(scales, dim, s) for s in squared_norms])
  # The rules are evaluated in float64, so only the quadrature errs: relatively 3.1e-8 at the far
  # end in float32's rule, 1e-14 in float64's.
  for double, bound in ((False, 3.2e-8), (True, 1e-13)):
    exponents, weights = _imq_rule(scales, dim, double)
    values = np.exp(-squared_norms[:, None] * exponents) @ weights
    np.testing.assert_allclose(values, exact, rtol=bound, atol=0)
  with jax.enable_x64(True):
    values = distances.imq().normal_mean(jnp.asarray(squared_norms), dim)
  np.testing.assert_allclose(values, exact, rtol=1e-13, atol=0)


@pytest.mark.parametrize("power", [1, 2, 3, 4])
def test_polynomials_for_tpus_equal_quotients(power):
  cs = tuple(128 * s for s in distances.InverseMultiquadric.scales)
  d = np.concatenate([[0.0], np.geomspace(1e-6, 1e12, 400), [np.inf]])
  exact = sum((c / (c + d)) ** power for c in cs)
  weights = (1.0,) * len(cs)
  with jax.enable_x64(True):
    found = _quotients._by_polynomials(cs, weights, power, jnp.asarray(d))
    np.testing.assert_allclose(found, exact, rtol=1e-13, atol=1e-40)
  found = _quotients._by_polynomials(cs, weights, power, jnp.asarray(d, jnp.float32))
  # A quotient of polynomials is right to about two units in the last place (1.2e-7), and a power
  # multiplies its error.
  np.testing.assert_allclose(found, exact, rtol=(2 + 2 * power) * 1.2e-7, atol=1e-28)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_imq_divides_twice_on_a_tpu(platform):
  d = jax.ShapeDtypeStruct((8, 128), jnp.float32)
  program = jax.jit(lambda d: distances.imq()(d, 64))
  text = jax.export.export(program, platforms=[platform])(d).mlir_module()
  assert text.count("stablehlo.divide") == (2 if platform == "tpu" else 14)


def test_imq_of_scales_too_wide_for_polynomials():
  kernel = distances.imq((1e-9, 1.0, 1e9, 1e15))
  text = str(jax.make_jaxpr(lambda d: kernel(d, 1))(jnp.ones(3)))
  assert "platform_index" not in text
  value, slope = jax.value_and_grad(lambda d: kernel(d, 1))(jnp.float32(0.5))
  assert np.isfinite([value, slope]).all()
