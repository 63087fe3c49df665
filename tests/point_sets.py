"""Sets of points for Hypothesis."""

import numpy as np
from hypothesis import strategies as st


@st.composite
def sets(draw, n, dim):
  """Draws points of any scale and offset: random, with ties, on a line, or with an outlier."""
  z = np.random.default_rng(draw(st.integers(0, 2**16))).standard_normal((n, dim))
  kind = draw(st.sampled_from(("plain", "equal", "zero", "twins", "line", "outlier", "integers")))
  if kind == "equal":
    z[:] = z[0]
  elif kind == "zero":
    z[:] = 0
  elif kind == "twins":
    z[1::2] = z[: n // 2 * 2 : 2]
  elif kind == "line":
    z[:, 1:] = 0
  elif kind == "outlier":
    z[0] *= draw(st.floats(1, 1e3))
  elif kind == "integers":
    z = np.rint(z)
  scale = 10.0 ** draw(st.integers(-6, 3))
  offset = draw(st.sampled_from((0.0, 0.0, 1.0, -30.0, 1e3)))
  return (scale * z + offset).astype(np.float32)
