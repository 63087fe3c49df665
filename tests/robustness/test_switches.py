"""Training under JAX's switches: nothing is refused, and the numbers of a run do not change.

With 64 bits, JAX draws other random numbers from the same key.
"""

import contextlib

import jax
import numpy as np
import pytest

import aejax
from aejax.data import Dataset

SLOW = pytest.mark.slow
SWITCHES = {
  "strict dtypes": lambda: jax.numpy_dtype_promotion("strict"),
  "no rank promotion": lambda: jax.numpy_rank_promotion("raise"),
  "NaN checks": lambda: jax.debug_nans(True),
  "key reuse checks": lambda: jax.debug_key_reuse(True),
  "no jit": jax.disable_jit,
  "64 bits": lambda: jax.enable_x64(True),
}
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (16, 6, 5, 1), np.uint8)
ROWS = RNG.normal(size=(16, 3)).astype(np.float32)
# Every part of the loop: clipping, moving average, schedules, skipped steps, the test loss.
EVERYTHING = dict(
  ema_decay=0.9,
  clip_norm=1.0,
  warmup_steps=2,
  schedule="cosine",
  weight_schedule="cyclic:1",
  skip_nonfinite=True,
  test_epochs=1,
)


def _figures(switch, method, model, examples, **options):
  """Returns the metrics of a run and what the trained model computes."""
  data = Dataset("noise", examples[:12], examples[12:])
  settings = dict(model=model, latent_dim=2, batch_size=4, epochs=2) | options
  with switch():
    run = aejax.fit(method, data, **settings)
    values = [run.reconstruct(examples), run.generate(jax.random.key(0), 2)]
    return run.history, [np.asarray(value, np.float32) for value in values]


CASES = {
  "vectors": ("cwae", "linear", ROWS, {}),
  "images": ("vae", "convolutional", IMAGES, EVERYTHING),
}


@pytest.fixture(scope="module")
def plain():
  return {
    name: _figures(contextlib.nullcontext, *case[:3], **case[3]) for name, case in CASES.items()
  }


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
  "switch",
  [
    *(pytest.param(name, id=name) for name in list(SWITCHES)[:2]),
    *(pytest.param(name, id=name, marks=SLOW) for name in list(SWITCHES)[2:]),
  ],
)
def test_training_under_a_switch_gives_the_same_run(switch, case, plain):
  *arguments, options = CASES[case]
  history, values = _figures(SWITCHES[switch], *arguments, **options)
  if switch == "64 bits":
    assert [list(line) for line in history] == [list(line) for line in plain[case][0]]
    assert all(np.isfinite(value).all() for value in values)
    return
  for line, expected in zip(history, plain[case][0], strict=True):
    assert line == pytest.approx(expected, rel=1e-4)
  for value, expected in zip(values, plain[case][1], strict=True):
    np.testing.assert_allclose(value, expected, rtol=1e-3, atol=1e-4)
