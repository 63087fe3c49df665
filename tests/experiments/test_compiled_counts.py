"""What is counted in compiled programs."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from compiled import hlo, thunks
from compiled.counts import count, loop_body
from jax import lax

TEXT = """HloModule example, num_partitions=2

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
  counts = count(hlo.parse(TEXT))
  # Five turns of add and dot, six of them with the comparison counted five times, one gather.
  assert counts.opcodes == {"add": 5, "dot": 5, "compare": 5, "all-gather": 1}
  assert counts.kernels == 16
  assert counts.collectives == {"all-gather": 1}
  assert counts.received == 8 * 8 * 4
  assert counts.unknown_loops == 0
  both = dataclasses.replace(counts, opcodes={"scatter": 2}, fused={"scatter": 3})
  assert (both.of("scatter"), both.of("sort")) == (5, 0)
  assert counts.products == 5 * 2 * 8**3
  body = count(hlo.parse(TEXT), "body")
  assert (body.kernels, body.products) == (2, 2 * 8**3)
  dot, add, compare = 3 * 8 * 8 * 4, 3 * 4, 1 + 2 * 4
  assert counts.bytes == 5 * (dot + add + compare) + 3 * 8 * 8 * 4


@pytest.mark.parametrize(
  ("kind", "result", "received"),
  [
    ("all-gather", "(f32[8], f32[32])", 3 * 32),
    ("all-reduce", "f32[8]", 2 * 24),
    ("reduce-scatter", "f32[2]", 24),
    ("all-to-all", "f32[8]", 24),
    ("collective-permute", "f32[8]", 32),
  ],
)
def test_received_bytes_of_four_devices(kind, result, received):
  text = f"""HloModule example, num_partitions=4

ENTRY %main (x: f32[8]) -> f32[8] {{
  %x = f32[8]{{0}} parameter(0)
  ROOT %y = {result} {kind}-start(%x), dimensions={{0}}
}}
"""
  counts = count(hlo.parse(text))
  assert (counts.collectives, counts.received) == ({kind: 1}, received)


def test_loop_body_is_the_loop_whose_length_is_an_argument():
  assert loop_body(hlo.parse(TEXT)) is None

  def function(x, count):
    x = lax.fori_loop(0, 3, lambda _, v: jnp.cos(v), x)
    return lax.fori_loop(0, count, lambda _, v: jnp.sin(v @ v), x)

  text = jax.jit(function).lower(jnp.ones((4, 4)), 7).compile().as_text()
  module = hlo.parse(text)
  assert count(module, loop_body(module)).products == 2 * 4**3


def test_products_of_a_tpu_are_convolutions_and_those_of_a_gpu_calls():
  def products(line):
    text = f"""HloModule example

ENTRY %main (x: f32[8,4], y: f32[4,16]) -> f32[8,16] {{
  %x = f32[8,4]{{1,0}} parameter(0)
  %y = f32[4,16]{{1,0}} parameter(1)
  ROOT %z = f32[8,16]{{1,0}} {line}
}}
"""
    return count(hlo.parse(text)).products

  assert products("convolution(%x, %y), dim_labels=bf_io->bf") == 2 * 8 * 16 * 4
  gemm = 'custom-call(%x, %y), custom_call_target="__cublas$gemm", backend_config='
  assert products(gemm + '{"lhs_contracting_dimensions":["1"]}') == 2 * 8 * 16 * 4
  assert products("add(%x, %y)") == 0


THUNKS = """000: kCommandBuffer [source       | next=007 (1)]
    001: kCopy [source | sink] kCopy
002: kWhile         [prev=000 (1) | next=100 (1)]
condition:
    003: kCustomKernel [source | sink] wrapped_compare
  body:
    004: kCustomKernel [source | sink] loop_reverse_fusion
    000: kCommandBuffer [source | sink]
        005: kCustomKernel [source | sink] loop_pad_fusion_1
        006: kCustomKernel [source | sink] loop_pad_fusion_7
    007: kConvolution [source | sink] kConvolution
    000: kCommandBuffer [source | sink]
        008: kCopy [source | sink] kCopy
009: kCopy [source | sink] kCopy
"""


def test_loop_launches_counts_graphs_and_what_is_outside_of_them():
  assert thunks.loop_launches(THUNKS) == thunks.Launches(graphs=2, others=2)
  assert thunks.loop_launches(THUNKS.partition("002")[0]) is None


def test_parse_reads_what_xla_writes():
  def function(x):
    return lax.fori_loop(0, 7, lambda _, v: jnp.sin(v @ v), x)

  text = jax.jit(function).lower(jnp.ones((4, 4))).compile().as_text()
  counts = count(hlo.parse(text))
  assert counts.kernels >= 7
  assert counts.bytes > 0
  with pytest.raises(ValueError, match="no ENTRY"):
    hlo.parse("nothing")
