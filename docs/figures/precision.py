"""Compares float32 with float64 for φ_D and for every distance's value and gradient (two minutes).

Both precisions get the same 128 float32 latents, so that only the computation differs. The latents
have scale 0.01, 1 or 100, and are centred or shifted by 10 in every coordinate.
"""

import itertools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
from page import print_table

from aejax import distances
from aejax.distances import _radial

N, DIRECTIONS, DIMENSIONS = 128, 20, (1, 2, 3, 8, 64, 256, 1024)
PLACEMENTS = tuple(itertools.product((0.01, 1.0, 100.0), (0.0, 10.0)))
UNIT = 2.0**-24  # float32's unit roundoff


def terms():
  """Returns each distance, and the size of its largest term given D and mean |z|² / D."""
  d = distances
  gamma = (4 / (3 * N)) ** 0.4
  imq = len(d.imq().scales)

  def sliced(statistic):
    return lambda z, directions: statistic(z, directions=directions)

  return {
    "cramer_wold": (lambda z, _: d.cramer_wold(z), lambda dim, m: 0.5 * (np.pi * gamma) ** -0.5),
    "sigreg": (lambda z, _: d.sigreg(z), lambda dim, m: N * (2 * np.pi) ** 0.5),
    "mmd, imq": (lambda z, _: d.mmd(z), lambda dim, m: imq),
    "mmd, gaussian(√D)": (
      lambda z, _: d.mmd(z, kernel=d.gaussian(z.shape[1] ** 0.5)),
      lambda dim, m: 1,
    ),
    "energy_distance": (
      lambda z, _: d.energy_distance(z),
      lambda dim, m: 2 * (dim * (m + 1)) ** 0.5,
    ),
    "kernel_stein": (lambda z, _: d.kernel_stein(z), lambda dim, m: imq * dim * (m + 1)),
    "sliced_wasserstein": (sliced(d.sliced_wasserstein), lambda dim, m: m + 1),
    "epps_pulley": (sliced(d.epps_pulley), lambda dim, m: N * (2 * np.pi) ** 0.5),
    "anderson_darling": (sliced(d.anderson_darling), lambda dim, m: N * (m + 1)),
    "cramer_von_mises": (sliced(d.cramer_von_mises), lambda dim, m: N),
    "kolmogorov_smirnov": (sliced(d.kolmogorov_smirnov), lambda dim, m: 1),
  }


def phi_row(dim):
  """Returns a table row of φ_D: degree of the fit, bound of the error, and measured errors.

  The errors are those of φ_D and D φ_D′ in float32, and of φ_D in float64.
  """
  s = np.concatenate([[0], np.logspace(-6, 6, 300)]).astype(np.float32)

  def exact(a, b):
    with mpmath.workdps(30):
      return np.array([float(mpmath.hyp1f1(a, b, -mpmath.mpf(float(x)))) for x in s])

  with jax.enable_x64(True):
    double = np.asarray(_radial.phi(jnp.asarray(s.astype(np.float64)), dim))
  value = np.asarray(_radial.phi(jnp.asarray(s), dim), np.float64)
  slope = np.asarray(jax.vmap(jax.grad(lambda x: _radial.phi(x, dim)))(jnp.asarray(s)), np.float64)
  phi = exact(0.5, dim / 2)
  errors = [abs(value - phi), abs(dim * slope + exact(1.5, dim / 2 + 1)), abs(double - phi)]
  measured = [f"{e.max():.1e}" for e in errors]
  if dim == 1:  # φ_1(s) = e^(−s) is computed without a fit
    return [str(dim), "", "", *measured]
  # The bound adds the running error of Horner's scheme, the error of y and of t = 2y − 1 after the
  # polynomial, and the error of the root.
  _, coefficients = _radial._fit(0.5, dim / 2, 2e-8)
  size, k = np.abs(coefficients), np.arange(len(coefficients))
  bound = 2e-8 + UNIT * (size @ (2 * k + 1) + 9 * size @ k + 4)
  return [str(dim), str(k[-1]), f"{bound:.0e}", *measured]


def measure(function, dim):
  """Returns value and gradient at each placement in float32, in float64, and mean |z|² / D."""
  noise, direction_key = jax.random.split(jax.random.key(dim))
  noise = jax.random.normal(noise, (N, dim))
  z = np.stack([scale * noise + shift for scale, shift in PLACEMENTS])
  directions = np.asarray(distances.random_directions(direction_key, DIRECTIONS, dim))
  both = []
  for dtype in (np.float32, np.float64):
    with jax.enable_x64(dtype == np.float64):
      along = jnp.asarray(directions.astype(dtype))
      one = jax.jit(jax.value_and_grad(lambda z, along=along: function(z, along)))
      results = [jax.block_until_ready(one(jnp.asarray(each.astype(dtype)))) for each in z]
      both.append([(float(v), np.asarray(g, np.float64)) for v, g in results])
  return *both, (z.astype(np.float64) ** 2).mean((1, 2))


def main():
  """Measures and prints the three tables."""
  header = ["D", "degree", "bound", "error of φ_D", "of D φ_D′", "of φ_D in float64"]
  print_table(header, map(phi_row, (1, 2, 3, 4, 8, 16, 64, 256, 1024)))
  values, slopes = [], []
  for name, (function, largest) in terms().items():
    value_row, slope_row = [f"`{name}`"], [f"`{name}`"]
    for dim in DIMENSIONS:
      single, double, mean_squares = measure(function, dim)
      of_value, of_slope = [], {}
      steepest = max(np.linalg.norm(g) for _, g in double)
      for where, (v, g), (v64, g64), m in zip(
        PLACEMENTS, single, double, mean_squares, strict=True
      ):
        of_value.append(abs(v - v64) / largest(dim, m))
        # A gradient that underflows in float64 too has no relative error.
        if np.linalg.norm(g64) > 1e-12 * steepest:
          of_slope[where] = np.linalg.norm(g - g64) / np.linalg.norm(g64)
      value_row.append(f"{max(of_value):.0e}")
      slope_row.append(f"{of_slope[1.0, 0.0]:.0e}, {max(of_slope.values()):.0e}")
    values.append(value_row)
    slopes.append(slope_row)
  dimensions = [f"D = {dim}" for dim in DIMENSIONS]
  print_table(["value, worst placement", *dimensions], values)
  print_table(["gradient, at the prior and at the worst placement", *dimensions], slopes)


if __name__ == "__main__":
  main()
