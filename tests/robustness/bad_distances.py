"""Bad calls of the distances and kernels, derived from their signatures."""

import inspect

import jax
import numpy as np
from robustness.cases import boolean, derive, each, integer, key, no_array, positive

from aejax import distances, priors

Z = np.linspace(-1, 1, 12, dtype=np.float32).reshape(6, 2)
E = np.eye(2, dtype=np.float32)
WIDE = np.zeros((4, 3), np.float32)


class Ring:
  """A prior of a user."""

  dim = 2

  def sample(self, key, n):
    return priors.UniformSphere(2).sample(key, n)


GOOD = {
  "z": Z,
  "samples": Z,
  "directions": E,
  "epsilon": 1.0,
  "mean": Z,
  "log_variance": Z,
  "key": jax.random.key(0),
  "num": 4,
  "dim": 2,
  "bandwidth": 1.0,
  "nu": 1.5,
  "power": 1.0,
  "scale": 1.0,
}
BAD = {
  "z": {r"^z must have shape \[n, d\], but has shape": [Z[:, 0]], **no_array("z")},
  "target": {
    "^z has dimension 2, but target has dimension 3": [WIDE],
    "^z has dimension 2, but the prior has dimension 3": [priors.StandardNormal(3)],
    "no closed form for a Ring target": [Ring()],
    "^target must be None, a prior or an array of samples, but is": ["normal"],
  },
  "kernel_stein.target": {
    "^z has dimension 2, but the prior has dimension 3": [priors.StandardNormal(3)],
    "that falls to zero smoothly, but UniformBall is uniform": [priors.UniformBall(2)],
    "^target must be None, a prior with a density, or a score function, but is": [
      "normal",
      Z,
      priors.StandardNormal,
    ],
  },
  "directions": {
    r"^directions must have shape \[num, 2\]": [np.eye(3, dtype=np.float32)],
    "^directions must be unit vectors, but one has length 2": [2 * E],
  },
  "axis_name": {"^axis_name must be the name of a mapped axis, .* but is 'batch'": ["batch"]},
  "kernel": {"^kernel must be a kernel such as .*, but is": ["imq", distances.Gaussian]},
  "samples": {
    r"^samples must have shape": [Z[0]],
    "^samples must have a floating-point dtype": [Z.astype(int)],
    "^z has dimension 2, but samples has dimension 3": [WIDE],
    "^samples must be an array of numbers, but is": [priors.StandardNormal(2)],
  },
  "unbiased": boolean("unbiased"),
  "approximate": boolean("approximate"),
  "orthogonal": boolean("orthogonal"),
  "normalized": boolean("normalized"),
  "gamma": positive("gamma"),
  "step_size": positive("step_size"),
  "epsilon": positive("epsilon"),
  "bandwidth": positive("bandwidth"),
  "nu": {"^nu must be 0.5, 1.5 or 2.5, but is": [2.0, np.nan, "one", None, [1.5]]},
  "power": {"^power must be positive and finite, but is": [0.0, np.inf, "one", None]},
  "scale": {"^scale must be positive and finite, but is": [-1.0, np.nan, "one", None]},
  "pairs": integer("pairs"),
  "ascent_steps": integer("ascent_steps", least=0),
  "max_iterations": integer("max_iterations"),
  "num": integer("num"),
  "dim": integer("dim"),
  "key": key("key"),
  "scales": {"^scales must be positive numbers, but are": [(), (1.0, -1.0)]},
  "mean": {"^mean must have shape": [Z[0]], **no_array("mean")},
  "log_variance": {"^log_variance must have shape": [Z[0]], **no_array("log_variance")},
}
# The other kinds of mistakes, and more values, for one function each.
MORE = {
  "z": {
    r"^z must have shape \[n, d\], but has shape": [Z[None], np.float32(1)],
    "^z must have a floating-point dtype, but has": [Z.astype(np.int32), Z > 0, Z.astype("c8")],
    "^z must have at least . rows? and one column, but has shape": [Z[:0], Z[:, :0]],
    "^z must be an array of numbers, but (is|has)": [
      "latents.npy",
      [[1.0], [1.0, 2.0]],
      Z.astype(object),
    ],
  },
  "target": {
    r"^target must have shape \[n, d\], but has shape": [Z[:, 0]],
    "^target must have a floating-point dtype, but has int32": [Z.astype(np.int32)],
    "^target must have at least . rows?": [Z[:0]],
    "^target must be .*, but is the class ": [priors.StandardNormal],
  },
  "directions": {
    r"^directions must have shape \[num, 2\]": [E[0], E[:0]],
    "^directions must be unit vectors, but one has length (0|nan)": [0 * E, np.nan * E],
    "^directions must have a floating-point dtype, but has int32": [np.eye(2, dtype=np.int32)],
    "^directions must be an array of numbers, but is": [None, 50],
  },
  "axis_name": {"^axis_name must be .*, or several in a tuple, but is": [3, ["batch"]]},
  "kernel": {"^kernel must be .*, but is (None|a function)": [None, distances.imq]},
  "key": {
    "^key must be a jax.random.key, but is ": ["seed", np.zeros(3), np.zeros(2, np.float32)],
    "^key must be one jax.random.key, but is 3": [jax.random.split(jax.random.key(0), 3)],
  },
  "num": {
    "^num must be a whole number from 1 up, but is": [2.5, "many", None, True, np.nan],
    "^num must be less than 2.31, but is": [2**40],
  },
  "pairs": {
    "^pairs must be a whole number from 1 up, but is": [0, 2.5, "many", True, np.nan],
    "^pairs must be less than 2.31, but is": [2**40],
  },
  "bandwidth": {"^bandwidth must be positive and finite, but is": [np.inf, "one", None, [1.0]]},
  "scales": {"^scales must be positive numbers, but are": [(np.nan,), ("a",), None, ((1.0, 2.0),)]},
}


def _functions():
  return {name: getattr(distances, name) for name in distances.__all__ if name != "Kernel"}


def _special():
  """What is wrong only together with other arguments."""
  cramer_wold, kl_divergence = distances.cramer_wold, distances.kl_divergence
  for name, function in _functions().items():
    if "unbiased" in inspect.signature(function).parameters:
      few = "^z must have at least 2 rows and one column"
      yield from each(name, few, lambda v, f=function: f(Z[:1], unbiased=v), [True])
  one = "^approximate needs latents of dimension 2 or more, but z has dimension 1"
  yield from each("cramer_wold", one, lambda v: cramer_wold(v, approximate=True), [Z[:, :1]])
  none = "^cramer_wold with approximate=True has no closed form for a UniformBall target"
  ball = [priors.UniformBall(2)]
  yield from each("cramer_wold", none, lambda v: cramer_wold(Z, v, approximate=True), ball)
  heavy = "^energy_distance to StudentT needs df > 1, .*, but df is 1: use mmd or cramer_wold"
  cauchy = [priors.StudentT(2, df=1.0)]
  yield from each("energy_distance", heavy, lambda v: distances.energy_distance(Z, v), cauchy)
  for name in ("sliced_wasserstein", "max_sliced_wasserstein"):
    heavy = f"^{name} to StudentT needs df > 2, .*, but df is 1: use mmd or cramer_wold"
    function = getattr(distances, name)
    yield from each(name, heavy, lambda v, f=function: f(Z, v, directions=E), cauchy)
  narrow = "^mmd to a UniformBall of radius 1 .* width 0.05 or more, but it has 0.04: pass samples"
  kernel = distances.imq((10.0,)) + distances.gaussian(0.04)
  yield from each("mmd", narrow, lambda v: distances.mmd(Z, v, kernel=kernel), ball)
  same = "^mean and log_variance must have the same shape"
  yield from each("kl_divergence", same, lambda v: kl_divergence(Z, v), [Z[:3]])
  for argument, call in (
    ("mean", lambda v: kl_divergence(v, Z)),
    ("log_variance", lambda v: kl_divergence(Z, v)),
  ):
    dtype = f"^{argument} must have a floating-point dtype, but has int"
    yield from each("kl_divergence", dtype, call, [Z.astype(int)])


CASES = [*derive(_functions(), GOOD, BAD, MORE), *_special()]
