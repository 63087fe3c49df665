"""Distances to priors against exact values from 40-digit arithmetic (tests/golden/priors.json)."""

import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jit_o0 import jit_o0

from aejax import distances, priors
from aejax.distances._distance_kernels import NegativeDistance
from aejax.distances._expectations import prior_mean, prior_pair_mean

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "priors.json").read_text())
NAMES = {**vars(distances), **vars(priors)}


def expressions(case, wanted):
  """Returns {expression of the file: the same as Python}."""
  python = {}
  for text in case["exact"]:
    if text.startswith("kernel_stein") == wanted:
      code = text.replace("normal with mean and full covariance", "normal")
      code = code.replace("score of mixture", "mixture")
      code = re.sub(
        r"score of StudentT\(df=5\): [^,]*,", f"StudentT({len(case['z'][0])}, 5),", code
      )
      python[text] = code
  return python


def check(case, codes):
  z = jnp.asarray(case["z"], jnp.float32)
  laws = {"mixture": priors.GaussianMixture(**arrays(case["mixture"]))}
  if "normal" in case:
    laws["normal"] = priors.Normal(**arrays(case["normal"]))

  def total(z):
    values = jnp.stack([eval(code, NAMES, {"z": z, **laws}) for code in codes.values()])
    return jnp.sum(values), values

  gradient, values = jit_o0(jax.grad(total, has_aux=True))(z)
  for text, value in zip(codes, values, strict=True):
    largest = 7 if "imq" in text else 1
    np.testing.assert_allclose(
      value, case["exact"][text], rtol=1e-5, atol=2e-6 * largest, err_msg=text
    )
  # Some rows are at 0 and on the sphere, where roots and norms have no slope.
  assert np.isfinite(gradient).all()


def arrays(fields):
  return {name: np.asarray(value, np.float32) for name, value in fields.items()}


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"dim{len(case['z'][0])}")
def test_distance_to_prior_equals_golden_value(case):
  check(case, expressions(case, wanted=False))


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"dim{len(case['z'][0])}")
def test_stein_discrepancy_from_prior_equals_golden_value(case):
  check(case, expressions(case, wanted=True))


@pytest.mark.parametrize("entry", GOLDEN["expectations"], ids=range(len(GOLDEN["expectations"])))
def test_expectation_equals_golden_value(entry):
  prior = eval(re.search(r"~ (\w+\(.*?\))", entry["function"])[1], NAMES)
  kernel = NegativeDistance() if "k = -|x-y|" in entry["function"] else distances.imq()
  if "squared_norm_of_x" in entry:
    x = np.zeros((1, prior.dim), np.float32)
    x[0, 0] = np.sqrt(entry["squared_norm_of_x"])
    value = prior_mean(kernel, jnp.asarray(x), prior)[0]
  else:
    value = prior_pair_mean(kernel, prior, jnp.float32)
  np.testing.assert_allclose(value, entry["value"], rtol=1e-6)
