import gc
import math
import signal
import time

import jax
import jax.numpy as jnp
import pytest
from benchmarks.programs import compile_program
from benchmarks.timing import Timing, alternate, measure, time_limit

pytestmark = pytest.mark.bench


class Clock:
  """A clock that only calls advance, each slower than the last by the factor `drift`."""

  def __init__(self, drift=1.0):
    self.now, self.pace, self.drift = 0.0, 1.0, drift
    self.log = []

  def __call__(self):
    return self.now

  def call(self, name, *seconds):
    """Returns a call that takes these seconds in turn, and the last of them from then on."""
    left = list(seconds)

    def run():
      self.log.append(name)
      self.now += self.pace * (left.pop(0) if len(left) > 1 else left[0])
      self.pace *= self.drift

    return run


@pytest.fixture
def clock():
  return Clock()


def test_measure_leaves_out_the_first_two_calls(clock):
  # The first call warms up, and the second estimates the time.
  times = (9.0, 1.0, *(float(t) for t in range(1, 10)))
  timing = measure({"a": clock.call("a", *times)}, seconds=9.1, clock=clock)["a"]
  assert timing == Timing(median=5.0, lower=3.0, upper=7.0, repetitions=9)


def test_measure_repeats_for_the_given_seconds(clock):
  timings = measure(
    {"fast": clock.call("fast", 0.1), "slow": clock.call("slow", 2.0)}, seconds=3.0, clock=clock
  )
  assert timings["fast"].repetitions == 30
  assert timings["slow"].repetitions == 3  # the minimum, unless max_seconds is exceeded
  assert timings["slow"].median == pytest.approx(2.0)


def test_measure_calls_slow_calls_once(clock):
  timing = measure({"a": clock.call("a", 11.0)}, max_seconds=30.0, clock=clock)["a"]
  assert (timing.median, timing.repetitions) == (pytest.approx(11.0), 1)
  assert clock.log == ["a"]
  timing = measure({"a": clock.call("a", 10.0)}, max_seconds=30.0, clock=clock)["a"]
  assert timing.repetitions == 3


def test_measure_takes_turns(clock):
  measure({"a": clock.call("a", 1.0), "b": clock.call("b", 1.0)}, seconds=5.0, clock=clock)
  warm_up, turns = clock.log[:4], clock.log[4:]
  assert sorted(warm_up) == ["a", "a", "b", "b"]
  assert turns == ["a", "b", "b", "a", "a", "b", "b", "a", "a", "b"]


def test_measure_leaves_out_the_first_call_of_a_turn_of_short_calls(clock):
  # A turn has one counted call. The first call after another implementation's turn is slower.
  call = clock.call("a", 0.02, 0.01, *[0.02, 0.01] * 5)
  timing = measure({"a": call}, seconds=0.05, clock=clock)["a"]
  assert (timing.lower, timing.upper) == (pytest.approx(0.01), pytest.approx(0.01))
  assert timing.repetitions == 5


def test_measure_disables_garbage_collection(clock):
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


def test_program_has_compile_time_bytes_and_flops(clock):
  n = 64
  x = jnp.ones((n, n))

  def product(x):
    clock.now += 3.0  # while the function is traced
    return x @ x

  program = compile_program(product, x, clock=clock)
  assert program.compile_seconds == 3.0
  assert program.flops == pytest.approx(2 * n**3, rel=0.01)
  assert program.bytes is not None
  assert program.bytes >= 2 * 4 * n**2  # argument and result
  assert float(program()[0, 0]) == n
  assert clock.now == 3.0  # a call does not trace again


def test_program_runs_on_arrays_with_a_sharding():
  program = compile_program(lambda d: d["x"] + 1, {"x": jax.device_put(1.0)})
  assert program() == 2.0
  assert math.isfinite(program.compile_seconds)


def test_alternate_cancels_a_drift():
  clock = Clock(drift=1.02)
  pairs = alternate(clock.call("a", 1.0), clock.call("b", 1.1), seconds=65.0, clock=clock)
  ratios = [b / a for a, b in pairs]
  # The second call of a pair is 2 % slower: the first implementation's, or the other's, in turn.
  assert len(pairs) > 20
  assert ratios[::2] == pytest.approx([1.1 * 1.02] * len(ratios[::2]))
  assert ratios[1::2] == pytest.approx([1.1 / 1.02] * len(ratios[1::2]))
  assert clock.log[:4] == ["a", "b", "a", "b"]  # warm-up and estimate
  assert clock.log[4:12] == ["a", "b", "b", "a", "a", "b", "b", "a"]
  # The last call would look twice as slow as the first, had the two not been alternated.
  assert pairs[-1][1] / pairs[0][0] > 2


def test_alternate_takes_five_pairs_of_slow_calls(clock):
  pairs = alternate(clock.call("a", 100.0), clock.call("b", 50.0), seconds=1.0, clock=clock)
  assert pairs == [(100.0, 50.0)] * 5


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="no alarm signals")
def test_time_limit_ends_the_block():
  previous = signal.getsignal(signal.SIGALRM)
  with pytest.raises(TimeoutError, match=r"^took longer than 0\.05 s$"), time_limit(0.05):
    time.sleep(60.0)
  with time_limit(60.0):
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
  # The alarm is off, and the handler is the one before.
  assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
  assert signal.getsignal(signal.SIGALRM) == previous
