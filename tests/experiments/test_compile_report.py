"""Counts of compiled programs; the compilers for accelerators need not be installed."""

import json

import jax
import jax.numpy as jnp
import pytest
from compiled import hlo, programs, report, targets
from compiled.measure import Row
from jax import lax

TEXT = """HloModule example

%body (p: (s32[], f32[8,8])) -> (s32[], f32[8,8]) {
  %p = (s32[], f32[8,8]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%p), index=0
  %x = f32[8,8]{1,0} get-tuple-element(%p), index=1
  %one = s32[] constant(1)
  %next = s32[] add(%i, %one)
  %y = f32[8,8]{1,0} dot(%x, %x), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  ROOT %t = (s32[], f32[8,8]{1,0}) tuple(%next, %y)
}

%condition (p: (s32[], f32[8,8])) -> pred[] {
  %p = (s32[], f32[8,8]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%p), index=0
  %limit = s32[] constant(5)
  ROOT %less = pred[] compare(%i, %limit), direction=LT
}

ENTRY %main (x: f32[8,8]) -> f32[16,8] {
  %x = f32[8,8]{1,0} parameter(0)
  %zero = s32[] constant(0)
  %start = (s32[], f32[8,8]{1,0}) tuple(%zero, %x)
  %loop = (s32[], f32[8,8]{1,0}) while(%start), condition=%condition, body=%body
  %z = f32[8,8]{1,0} get-tuple-element(%loop), index=1
  ROOT %all = f32[16,8]{1,0} all-gather(%z), dimensions={0}
}
"""


def test_count_multiplies_loops_by_their_trip_counts():
  counts = hlo.count(hlo.parse(TEXT))
  # Five turns of add and dot, six of them with the comparison counted five times, one gather.
  assert counts.opcodes == {"add": 5, "dot": 5, "compare": 5, "all-gather": 1}
  assert counts.kernels == 16
  assert counts.collectives == {"all-gather": 1}
  assert counts.collective_bytes == 16 * 8 * 4
  assert counts.unknown_loops == 0
  dot, add, compare = 3 * 8 * 8 * 4, 3 * 4, 1 + 2 * 4
  assert counts.bytes == 5 * (dot + add + compare) + 3 * 8 * 8 * 4


def test_parse_reads_what_xla_writes():
  def function(x):
    return lax.fori_loop(0, 7, lambda _, v: jnp.sin(v @ v), x)

  text = jax.jit(function).lower(jnp.ones((4, 4))).compile().as_text()
  counts = hlo.count(hlo.parse(text))
  assert counts.kernels >= 7
  assert counts.bytes > 0
  with pytest.raises(ValueError, match="no ENTRY"):
    hlo.parse("nothing")


def test_check_names_targets_and_the_missing_compiler(monkeypatch):
  with pytest.raises(ValueError, match=r"There is no target 'v9'\. There are h100, h100:8, v5e"):
    targets.check("v9")
  monkeypatch.setattr(targets.importlib.util, "find_spec", lambda name: None)
  with pytest.raises(ValueError, match=r"compiler for v5e is not installed: pip install 'jax\[tpu"):
    targets.check("v5e")
  with pytest.raises(ValueError, match="compiler for h100 is not installed: pip install --no-deps"):
    targets.check("h100")


def test_programs_have_the_shapes_of_a_run():
  program = programs.train_loop("cwae", "mlp", batch_size=64)
  _, _, images, order, _ = program.arguments
  assert images.shape == (60_000, 28 * 28)
  assert order.shape == (60_000,)
  z, directions = programs.distance("sliced_wasserstein", 256, 16).arguments
  assert (z.shape, directions.shape) == ((256, 16), (50, 16))


def test_write_makes_a_table_for_each_target(tmp_path):
  rows = [
    Row("h100", "cramer_wold", "n 256", kernels=12, traffic=3_000_000, seconds=0.5),
    Row("v5e", "cramer_wold", "n 256", kernels=20, cycles=1_500_000, collectives={"all-reduce": 2}),
    Row("v5e", "sigreg", "n 256", error="out of memory"),
  ]
  report.write(tmp_path, rows, command="python experiments/compile_report.py h100 v5e")
  text = (tmp_path / "compiled.md").read_text()
  assert "Nothing here was timed on an accelerator" in text
  assert "| cramer_wold | n 256 | 12 | 3.0 |" in text
  assert "| 1.50 | 2 all-reduce" in text
  assert "does not compile: out of memory" in text
  stored = json.loads((tmp_path / "compiled.json").read_text())
  assert [row["target"] for row in stored["rows"]] == ["h100", "v5e", "v5e"]
