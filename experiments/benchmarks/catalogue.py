"""The catalogue: every distance in every form, for the benchmarks and for the tests.

A form is one way to call a distance: to N(0, I), to samples, with other options. A new distance
needs its forms here and, to be measured, its costs in `benchmarks.distances`.
"""

from typing import Any

from aejax import distances
from benchmarks.forms import (
  NORMAL,
  SAMPLES,
  Data,
  DistanceForm,
  Form,
  gaussian,
  kl,
  mixture,
  sinkhorn,
  sliced,
  sliced_to_samples,
  to_normal,
  to_prior,
  to_priors,
  to_samples,
)

__all__ = ["FORMS", "NORMAL", "SAMPLES", "Data", "DistanceForm", "Form"]

# Properties of unbiased forms, of sliced forms, and of forms for the tests only.
_UNBIASED: dict[str, Any] = dict(min_latents=2, unbiased=True)
_SLICED: dict[str, Any] = dict(rotation_invariant=False)
_TEST: dict[str, Any] = dict(measured=False)

FORMS: tuple[DistanceForm, ...] = (
  DistanceForm("kl_divergence", NORMAL, kl, rotation_invariant=False),
  DistanceForm("cramer_wold", NORMAL, to_normal(distances.cramer_wold)),
  DistanceForm(
    "cramer_wold",
    "approximate",
    to_normal(distances.cramer_wold, approximate=True),
    # It may be negative and needs two dimensions.
    tested=False,
  ),
  DistanceForm(
    "cramer_wold",
    SAMPLES,
    to_samples(distances.cramer_wold),
    samples=True,
    # The default γ depends on the standard deviation of all coordinates, which a rotation changes.
    rotation_invariant=False,
  ),
  DistanceForm(
    "cramer_wold",
    "unbiased",
    to_normal(distances.cramer_wold, unbiased=True),
    **_UNBIASED,
    **_TEST,
  ),
  DistanceForm("cramer_wold", "gamma", to_normal(distances.cramer_wold, gamma=0.3), **_TEST),
  DistanceForm(
    "cramer_wold",
    "mixture",
    to_prior(distances.cramer_wold, mixture),
    rotation_invariant=False,
    **_TEST,
  ),
  DistanceForm(
    "cramer_wold",
    "samples-gamma",
    to_samples(distances.cramer_wold, gamma=0.3),
    samples=True,
    **_TEST,
  ),
  DistanceForm("sigreg", NORMAL, to_normal(distances.sigreg)),
  DistanceForm("mmd_imq", NORMAL, to_normal(distances.mmd), **_UNBIASED),
  DistanceForm("mmd_imq", SAMPLES, to_samples(distances.mmd), samples=True, **_UNBIASED),
  DistanceForm("mmd_imq", "biased", to_normal(distances.mmd, unbiased=False), **_TEST),
  DistanceForm(
    "mmd_imq",
    "sum",
    to_normal(distances.mmd, kernel=distances.gaussian(1.0) + distances.imq((1.0,))),
    **_UNBIASED,
    **_TEST,
  ),
  *(
    DistanceForm("mmd_imq", name, to_normal(distances.mmd, kernel=kernel), **_UNBIASED, **_TEST)
    for name, kernel in (
      ("laplace", distances.laplace(2.0)),
      ("matern", distances.matern(1.5, 2.0) + 0.5 * distances.matern(2.5, 1.0)),
      ("rational", 2.0 * distances.rational_quadratic(0.7, 1.5)),
    )
  ),
  DistanceForm("mmd_gaussian", NORMAL, gaussian(to_normal), **_UNBIASED),
  DistanceForm("mmd_gaussian", SAMPLES, gaussian(to_samples), samples=True, **_UNBIASED),
  DistanceForm(
    "mmd_gaussian",
    "samples-biased",
    gaussian(to_samples, unbiased=False),
    samples=True,
    **_TEST,
  ),
  DistanceForm(
    "mmd_gaussian",
    "mixture",
    to_prior(distances.mmd, mixture, kernel=distances.gaussian(0.8) + distances.gaussian(2.0)),
    rotation_invariant=False,
    **_UNBIASED,
    **_TEST,
  ),
  DistanceForm("energy_distance", NORMAL, to_normal(distances.energy_distance), **_UNBIASED),
  DistanceForm(
    "energy_distance", SAMPLES, to_samples(distances.energy_distance), samples=True, **_UNBIASED
  ),
  DistanceForm(
    "energy_distance", "biased", to_normal(distances.energy_distance, unbiased=False), **_TEST
  ),
  DistanceForm(
    "energy_distance",
    "samples-biased",
    to_samples(distances.energy_distance, unbiased=False),
    samples=True,
    **_TEST,
  ),
  DistanceForm("kernel_stein", NORMAL, to_normal(distances.kernel_stein), **_UNBIASED),
  DistanceForm(
    "kernel_stein",
    "gaussian",
    to_normal(distances.kernel_stein, kernel=distances.gaussian(1.5), unbiased=False),
    **_TEST,
  ),
  # Seven latents have three partners on each side: two are some of the pairs.
  DistanceForm(
    "cramer_wold",
    "pairs",
    to_normal(distances.cramer_wold, unbiased=True, pairs=2),
    incomplete=True,
    **_UNBIASED,
    **_TEST,
  ),
  DistanceForm(
    "energy_distance",
    "samples-pairs",
    to_samples(distances.energy_distance, pairs=2),
    samples=True,
    incomplete=True,
    **_UNBIASED,
    **_TEST,
  ),
  DistanceForm(
    "kernel_stein",
    "pairs",
    to_normal(distances.kernel_stein, pairs=2),
    incomplete=True,
    **_UNBIASED,
    **_TEST,
  ),
  DistanceForm("sliced_wasserstein", NORMAL, sliced(distances.sliced_wasserstein), **_SLICED),
  DistanceForm(
    "sliced_wasserstein",
    SAMPLES,
    sliced_to_samples(distances.sliced_wasserstein),
    samples=True,
    **_SLICED,
  ),
  DistanceForm(
    "max_sliced_wasserstein", NORMAL, sliced(distances.max_sliced_wasserstein), **_SLICED
  ),
  DistanceForm(
    "max_sliced_wasserstein",
    SAMPLES,
    sliced_to_samples(distances.max_sliced_wasserstein),
    samples=True,
    **_SLICED,
  ),
  DistanceForm(
    "max_sliced_wasserstein",
    "ascent",
    sliced(distances.max_sliced_wasserstein, ascent_steps=5),
    # The gradient holds the winning direction fixed, which is exact only at a maximum.
    smooth=False,
    **_SLICED,
    **_TEST,
  ),
  DistanceForm("epps_pulley", NORMAL, sliced(distances.epps_pulley), **_SLICED),
  DistanceForm("cramer_von_mises", NORMAL, sliced(distances.cramer_von_mises), **_SLICED),
  DistanceForm("anderson_darling", NORMAL, sliced(distances.anderson_darling), **_SLICED),
  DistanceForm("kolmogorov_smirnov", NORMAL, sliced(distances.kolmogorov_smirnov), **_SLICED),
  # It compiles a solver for each shape and has tests of its own.
  DistanceForm("sinkhorn_divergence", SAMPLES, sinkhorn, samples=True, tested=False),
  # One for each way to compute a distance to a prior.
  *to_priors("mmd_imq", distances.mmd, "sphere ball student mixture normal cube", unbiased=False),
  *to_priors(
    "energy_distance",
    distances.energy_distance,
    "sphere ball student mixture normal laplace",
    unbiased=False,
  ),
  *to_priors("cramer_wold", distances.cramer_wold, "ball student normal laplace"),
  *to_priors("sliced_wasserstein", distances.sliced_wasserstein, "ball normal"),
  *to_priors("max_sliced_wasserstein", distances.max_sliced_wasserstein, "student"),
)
