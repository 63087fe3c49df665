"""Bad calls of the distances and kernels.

One case for each argument and kind of mistake.
"""

import jax
import numpy as np

from aejax import distances, priors

Z = np.linspace(-1, 1, 12, dtype=np.float32).reshape(6, 2)
E = np.eye(2, dtype=np.float32)

# Wrong rank, wrong dtype, empty, wrong type.
NOT_LATENTS = [
  ("^z must have shape .n, d., but has shape .6.", Z[:, 0]),
  ("^z must have a floating-point dtype, but has int32", Z.astype(np.int32)),
  ("^z must have at least . rows? and one column, but has shape .0, 2.", Z[:0]),
  ("^z must be an array of numbers, but is a str", "latents.npy"),
]
NOT_TARGETS = [
  ("^target must have shape .n, d., but has shape .6.", Z[:, 0]),
  ("^z has dimension 2, but target has dimension 3", np.zeros((4, 3), np.float32)),
  ("^target must have a floating-point dtype, but has int32", Z.astype(np.int32)),
  ("^target must have at least . rows?", Z[:0]),
  ("^z has dimension 2, but the prior has dimension 3", priors.StandardNormal(3)),
  ("no closed form for a UniformBall target: pass samples", priors.UniformBall(2)),
  ("^target must be None, a prior or an array of samples, but is a str", "normal"),
]
NOT_DIRECTIONS = [
  (r"^directions must have shape \[num, 2\]", np.eye(3, dtype=np.float32)),
  ("^directions must be unit vectors, but one has length 2", 2 * E),
  ("^directions must be unit vectors, but one has length nan", np.nan * E),
  ("^directions must have a floating-point dtype, but has int32", np.eye(2, dtype=np.int32)),
  ("^directions must be an array of numbers, but is a str", "random"),
]
NOT_AXES = [
  ("^axis_name must be .* mapped axis, .* but is 'batch', which is not mapped here", "batch"),
  ("^axis_name must be the name of a mapped axis, .* but is 3", 3),
]
NOT_SWITCHES = ["yes"]
NOT_KERNELS = [
  ("^kernel must be a kernel such as .*, but is a str", "imq"),
  ("^kernel must be a kernel such as .*, but is the class ", distances.Gaussian),
]
SLICED = dict(directions=E)
TAKE_Z = {
  "cramer_wold": {},
  "sigreg": {},
  "mmd": {},
  "energy_distance": {},
  "kernel_stein": {},
  "sliced_wasserstein": SLICED,
  "max_sliced_wasserstein": SLICED,
  "epps_pulley": SLICED,
  "cramer_von_mises": SLICED,
  "anderson_darling": SLICED,
  "kolmogorov_smirnov": SLICED,
}
TAKE_TARGET = ("cramer_wold", "mmd", "energy_distance", "sliced_wasserstein")
SWITCHES = [
  ("cramer_wold", "unbiased"),
  ("cramer_wold", "approximate"),
  ("mmd", "unbiased"),
  ("energy_distance", "unbiased"),
  ("kernel_stein", "unbiased"),
]


def _call(name, *args, **kwargs):
  return lambda _: getattr(distances, name)(*args, **kwargs)


def _every():
  for name, rest in TAKE_Z.items():
    for pattern, z in NOT_LATENTS:
      yield name, pattern, _call(name, z, **rest)
    for pattern, axis in NOT_AXES:
      yield name, pattern, _call(name, Z, axis_name=axis, **rest)
    for pattern, directions in NOT_DIRECTIONS if rest else ():
      yield name, pattern, _call(name, Z, directions=directions)
    for pattern, target in NOT_TARGETS if name in TAKE_TARGET else ():
      yield name, pattern, _call(name, Z, target, **rest)
  for name, switch in SWITCHES:
    for value in NOT_SWITCHES:
      yield name, f"^{switch} must be True or False, but is", _call(name, Z, **{switch: value})
  for pattern, kernel in NOT_KERNELS:
    yield "mmd", pattern, _call("mmd", Z, Z, kernel=kernel)
    yield "kernel_stein", pattern, _call("kernel_stein", Z, kernel=kernel)
  for name in ("cramer_wold", "mmd", "energy_distance", "kernel_stein"):
    yield name, "^z must have at least 2 rows and one", _call(name, Z[:1], unbiased=True)


def _numbers(name, argument, call, values, pattern="positive and finite"):
  for value in values:
    yield name, f"^{argument} must be .*{pattern}, but (is|are)", lambda _, v=value: call(v)


# Zero, not finite, wrong type.
POSITIVE = [0, np.nan, "one"]
# Empty, not positive, not finite, wrong type inside, wrong type, wrong rank.
SCALES = [(), (0.0,), (np.nan,), ("a",), None, ((1.0, 2.0),)]


def _draw(key, num=4, dim=2, **options):
  return lambda _: distances.random_directions(key, num, dim, **options)


def _directions():
  name = "random_directions"
  for key in ("seed", np.zeros(3)):
    yield name, "^key must be a jax.random.key, but is", _draw(key)
  key = jax.random.key(0)
  yield name, "^key must be one jax.random.key, but is 3 of them", _draw(jax.random.split(key, 3))
  for value in (0, 2.5, "many", 2**40):
    yield (
      name,
      "^num must be (a whole number from 1 up|less than 2.31), but is",
      _draw(key, num=value),
    )
    yield (
      name,
      "^dim must be (a whole number from 1 up|less than 2.31), but is",
      _draw(key, dim=value),
    )
  yield name, "^orthogonal must be True or False, but is 'yes'", _draw(key, orthogonal="yes")


def _kl(mean, log_variance):
  return lambda _: distances.kl_divergence(mean, log_variance)


CASES = [
  *_every(),
  *_directions(),
  *_numbers("cramer_wold", "gamma", lambda v: distances.cramer_wold(Z, gamma=v), POSITIVE),
  *_numbers("gaussian", "bandwidth", distances.gaussian, POSITIVE),
  *_numbers("Gaussian", "bandwidth", distances.Gaussian, POSITIVE),
  *_numbers("imq", "scales", distances.imq, SCALES, "positive numbers"),
  *_numbers(
    "InverseMultiquadric", "scales", distances.InverseMultiquadric, SCALES, "positive numbers"
  ),
  *_numbers(
    "sinkhorn_divergence",
    "epsilon",
    lambda v: distances.sinkhorn_divergence(Z, Z, epsilon=v),
    POSITIVE,
  ),
  *_numbers(
    "sinkhorn_divergence",
    "max_iterations",
    lambda v: distances.sinkhorn_divergence(Z, Z, epsilon=1.0, max_iterations=v),
    [0, 2.5, "many"],
    "whole number from 1 up",
  ),
  *_numbers(
    "max_sliced_wasserstein",
    "ascent_steps",
    lambda v: distances.max_sliced_wasserstein(Z, directions=E, ascent_steps=v),
    [-1, 1.5, "many"],
    "whole number from 0 up",
  ),
  *_numbers(
    "max_sliced_wasserstein",
    "step_size",
    lambda v: distances.max_sliced_wasserstein(Z, directions=E, ascent_steps=1, step_size=v),
    POSITIVE,
  ),
  (
    "max_sliced_wasserstein",
    "no closed form for a UniformCube target: .* or set sample_prior=True in an objec",
    _call("max_sliced_wasserstein", Z, priors.UniformCube(2), **SLICED),
  ),
  (
    "cramer_wold",
    "^approximate needs latents of dimension 2 or more, but z has dimension 1",
    _call("cramer_wold", Z[:, :1], approximate=True),
  ),
  (
    "mmd",
    "no closed form for a GaussianMixture target: pass samples",
    lambda _: distances.mmd(Z, priors.GaussianMixture(np.ones(1), np.zeros((1, 2)), np.ones(1))),
  ),
  ("kl_divergence", "^mean must have shape", _kl(Z[0], Z[0])),
  ("kl_divergence", "^log_variance must have shape", _kl(Z, Z[0])),
  ("kl_divergence", "^mean and log_variance must have the same shape", _kl(Z, Z[:3])),
  ("kl_divergence", "^mean must have a floating-point dtype, but has int", _kl(Z.astype(int), Z)),
  ("kl_divergence", "^mean must be an array of numbers, but is None", _kl(None, Z)),
  ("kl_divergence", "^log_variance must be an array of numbers, but is a str", _kl(Z, "x")),
  *(
    (
      "sinkhorn_divergence",
      pattern,
      lambda _, z=z: distances.sinkhorn_divergence(z, Z, epsilon=1.0),
    )
    for pattern, z in NOT_LATENTS
  ),
  *(
    (
      "sinkhorn_divergence",
      pattern,
      lambda _, y=y: distances.sinkhorn_divergence(Z, y, epsilon=1.0),
    )
    for pattern, y in [
      ("^samples must have shape", Z[0]),
      ("^z has dimension 2, but samples has dimension 3", np.zeros((4, 3), np.float32)),
      ("^samples must be an array of numbers, but is a StandardNormal", priors.StandardNormal(2)),
      ("^samples must have a floating-point dtype, but has int32", Z.astype(np.int32)),
    ]
  ),
]
