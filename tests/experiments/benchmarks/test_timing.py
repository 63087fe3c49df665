import gc
import math

import jax
import jax.numpy as jnp
import pytest
from benchmarks.timing import Timing, compile_program, measure

pytestmark = pytest.mark.bench


class Clock:
  """A clock that only calls move."""

  def __init__(self):
    self.now = 0.0
    self.log = []

  def __call__(self):
    return self.now

  def call(self, name, *seconds):
    """Takes these seconds, one after the other, the last of them from then on."""
    left = list(seconds)

    def run():
      self.log.append(name)
      self.now += left.pop(0) if len(left) > 1 else left[0]

    return run


@pytest.fixture
def clock():
  return Clock()


def test_quartiles_without_the_first_call(clock):
  # The first call, which finds nothing warm, and the second, which sets the pace, do not count.
  times = (9.0, 1.0, *(float(t) for t in range(1, 10)))
  timing = measure({"a": clock.call("a", *times)}, seconds=9.1, clock=clock)["a"]
  assert timing == Timing(median=5.0, lower=3.0, upper=7.0, repetitions=9)


def test_repetitions_fill_the_time(clock):
  timings = measure(
    {"fast": clock.call("fast", 0.1), "slow": clock.call("slow", 2.0)}, seconds=3.0, clock=clock
  )
  assert timings["fast"].repetitions == 30
  assert timings["slow"].repetitions == 3  # never fewer, unless patience ends
  assert timings["slow"].median == pytest.approx(2.0)


def test_what_is_too_slow_to_repeat_is_called_once(clock):
  timing = measure({"a": clock.call("a", 11.0)}, patience=30.0, clock=clock)["a"]
  assert (timing.median, timing.repetitions) == (pytest.approx(11.0), 1)
  assert clock.log == ["a"]
  timing = measure({"a": clock.call("a", 10.0)}, patience=30.0, clock=clock)["a"]
  assert timing.repetitions == 3


def test_rivals_take_turns(clock):
  measure({"a": clock.call("a", 1.0), "b": clock.call("b", 1.0)}, seconds=5.0, clock=clock)
  warm_up, turns = clock.log[:4], clock.log[4:]
  assert sorted(warm_up) == ["a", "a", "b", "b"]
  assert turns == ["a", "b", "b", "a", "a", "b", "b", "a", "a", "b"]


def test_a_short_call_gets_one_uncounted_before_each_turn(clock):
  # Each turn is one call, twice as slow if it is the first after another one's turn.
  call = clock.call("a", 0.02, 0.01, *[0.02, 0.01] * 5)
  timing = measure({"a": call}, seconds=0.05, clock=clock)["a"]
  assert (timing.lower, timing.upper) == (pytest.approx(0.01), pytest.approx(0.01))
  assert timing.repetitions == 5


def test_garbage_collection_waits(clock):
  enabled = []

  def call():
    enabled.append(gc.isenabled())
    clock.now += 1.0

  measure({"a": call}, clock=clock)
  assert not any(enabled)
  assert gc.isenabled()
  with pytest.raises(ZeroDivisionError):
    measure({"a": lambda: 1 / 0}, clock=clock)
  assert gc.isenabled()


def test_a_program_knows_what_it_takes(clock):
  n = 64
  x = jnp.ones((n, n))

  def product(x):
    clock.now += 3.0  # while it is traced
    return x @ x

  program = compile_program(product, x, clock=clock)
  assert program.compile_seconds == 3.0
  assert program.flops == pytest.approx(2 * n**3, rel=0.01)
  assert program.bytes is not None
  assert program.bytes >= 2 * 4 * n**2  # what goes in and what comes out
  assert float(program()[0, 0]) == n
  assert clock.now == 3.0  # called, it is not traced again


def test_a_program_keeps_its_devices():
  program = compile_program(lambda d: d["x"] + 1, {"x": jax.device_put(1.0)})
  assert program() == 2.0
  assert math.isfinite(program.compile_seconds)
