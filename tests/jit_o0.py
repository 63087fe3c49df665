"""How tests compile."""

import jax


def jit_o0(function):
  """Compiled with less optimisation, in half the time: for what is run once."""
  return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})
