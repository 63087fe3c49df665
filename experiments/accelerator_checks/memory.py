"""Peak memory of value and gradient: in the compiled program, and as the allocator reports it."""

from collections.abc import Iterator
from typing import Any

import jax
from benchmarks.catalogue import FORMS, NORMAL
from benchmarks.distances import value_and_gradient
from benchmarks.memory import peak_bytes

from accelerator_checks.distances import Case

__all__ = ["rows"]

# Rising memory: the allocator's peak is that of the whole process.
_CASES = (("sliced_wasserstein", 65_536), ("cramer_wold", 65_536), ("cramer_wold", 8192))


def rows(quick: bool) -> Iterator[dict[str, Any]]:
  """Yields the bytes of each case, beyond its arguments."""
  named = {form.distance: form for form in FORMS if form.form == NORMAL}
  for name, n in (("cramer_wold", 128),) if quick else _CASES:
    data = jax.tree.map(jax.numpy.asarray, Case(named[name], n, 64).data())
    program = jax.jit(value_and_gradient(named[name], ("latents",))).lower(data).compile()
    compiled = program.memory_analysis()
    measured = peak_bytes(lambda program=program, data=data: jax.block_until_ready(program(data)))
    yield {
      "distance": name,
      "n": n,
      "temporaries": None if compiled is None else compiled.temp_size_in_bytes,
      "peak": measured,
    }
