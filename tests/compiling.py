"""How tests compile."""

import jax


def quickly(function):
  """Compiled with less optimisation, in half the time: for what is run once."""
  return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})
