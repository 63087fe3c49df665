import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import pytest
from benchmarks import measurement
from benchmarks.distance_plan import Budget, Case
from benchmarks.distances import DISTANCES, NORMAL, SAMPLES
from benchmarks.implementations import Implementation, disagreement, implementations
from benchmarks.measurement import expected_seconds, measure_case, reason_to_skip
from benchmarks.peer import JaxPeer, Peer
from benchmarks.programs import prepare_ours, value_and_gradients
from benchmarks.results import LOWER_BOUND, OURS, select

pytestmark = pytest.mark.bench

CASE = Case("energy_distance", 16, 3)
BUDGET = Budget(seconds=0.0, cutoff=30.0)


def fake_peer(factor=1.0, twist=lambda z: z):
  """Returns our distance as a peer, times a factor."""
  ours = DISTANCES["energy_distance"].forms[SAMPLES]

  def make():
    return lambda data: factor * ours({**data, "latents": twist(data["latents"])}, None)

  return Peer(
    name="fake",
    distance="energy_distance",
    form=SAMPLES,
    prepare=JaxPeer(make),
    ours=ours,
    module="jax",
    num_bytes=lambda case: 0.0,
    counterparts=(NORMAL, SAMPLES),
  )


def of(rows, name):
  return select(rows, contestant=name)


def test_measure_case_measures_every_implementation_in_both_modes():
  rows = measure_case(CASE, implementations(CASE, [fake_peer()]), budget=BUDGET)
  assert all(row["status"] == "measured" and row["median"] > 0 for row in rows)
  found = sorted((row["contestant"], row["form"], row["mode"]) for row in rows)
  assert found == sorted(
    (name, form, mode)
    for name, form in [(OURS, NORMAL), (OURS, SAMPLES), (LOWER_BOUND, NORMAL), ("fake", SAMPLES)]
    for mode in ("forward", "gradient")
  )
  for row in of(rows, OURS):
    assert row["compile_seconds"] > 0
    assert row["bytes"] > CASE.n * CASE.d * 4
    assert row["flops"] > CASE.n**2
  assert of(rows, "fake")[0]["rivals"] == [NORMAL, SAMPLES]


@pytest.mark.parametrize(
  ("peer", "reason"),
  [
    (fake_peer(factor=2.0), "its value is"),
    (fake_peer(factor=1.001), "its value is"),
    (fake_peer(factor=0.5), "its value is"),
    (fake_peer(factor=math.nan), "its value is nan, but ours is"),
    # The value is right, but not the gradient.
    (fake_peer(twist=lambda z: z.at[0].set(jnp.array(CASE.data()["latents"][0]))), "gradient"),
  ],
)
def test_measure_case_does_not_time_a_wrong_peer(peer, reason):
  other, _ = implementation("other")
  rows = measure_case(CASE, [*implementations(CASE, [peer])[-1:], other], budget=BUDGET)
  (row,) = of(rows, "fake")
  assert row["status"] == "disagrees"
  assert reason in row["reason"]
  assert "median" not in row
  assert len(of(rows, "other")) == 2


def test_measure_case_allows_for_the_factor_of_a_peer():
  peer = dataclasses.replace(fake_peer(factor=2.0), factor=2.0)
  rows = measure_case(CASE, implementations(CASE, [peer])[-1:], budget=BUDGET)
  assert {row["status"] for row in of(rows, "fake")} == {"measured"}


@pytest.mark.parametrize(
  ("value", "gradient", "words"),
  [
    (1.0, [1.0, 2.0], None),
    (1.009, [1.0, 2.0], None),
    (1.011, [1.0, 2.0], "its value is 1.011, but ours is 1"),
    (1.0, [1.0, 2.1], "its gradient has a relative error of 0.045"),
    (1.0, [1.0, math.nan], "its gradient has a relative error of nan"),
    (math.inf, [1.0, 2.0], "its value is inf"),
  ],
)
def test_disagreement_in_words(value, gradient, words):
  expected = 1.0, [np.array([1.0, 2.0])]
  found = disagreement(value, [np.array(gradient)], *expected, tolerance=0.01)
  assert (found is None) if words is None else words in (found or "")


def implementation(name="slow", **fields):
  """Returns an implementation that does nothing, and the list of cases it is prepared for."""

  def prepare(case):
    prepared.append(case)
    return {"forward": lambda: None, "gradient": lambda: (1.0, [])}

  prepared: list[Case] = []
  return Implementation(name, SAMPLES, prepare, **fields), prepared


def measured(one, case, median):
  return {
    **case.fields(),
    **one.fields(),
    "mode": "gradient",
    "status": "measured",
    "median": median,
  }


def test_measure_case_skips_what_should_exceed_the_cutoff():
  one, prepared = implementation()
  history = [measured(one, dataclasses.replace(CASE, n=8), 1.0)]
  # The cost is n² D, so twice the n takes four times as long.
  assert expected_seconds(one, CASE, history) == pytest.approx(4.0)
  rows = measure_case(CASE, [one], history=history, budget=Budget(cutoff=3.9))
  assert prepared == []
  assert rows == [
    {
      "contestant": "slow",
      "form": SAMPLES,
      "status": "skipped",
      "reason": "it would take about 4 s, over the cut-off of 3.9 s",
      "cutoff": 3.9,
    }
  ]
  measure_case(CASE, [one], history=history, budget=Budget(seconds=0.0, cutoff=4.1))
  assert prepared == [CASE]


def test_expected_seconds_come_from_the_nearest_smaller_batch():
  one, _ = implementation()
  history = [
    measured(one, Case("energy_distance", 8, 3), 1.0),
    measured(one, Case("energy_distance", 8, 6), 10.0),
    measured(one, Case("energy_distance", 4, 3), 100.0),
    measured(one, Case("energy_distance", 32, 3), 100.0),
    measured(one, Case("energy_distance", 8, 3, devices=2), 100.0),
    measured(one, Case("mmd_imq", 8, 3), 100.0),
  ]
  assert expected_seconds(one, CASE, history) == pytest.approx(4.0)
  assert expected_seconds(one, dataclasses.replace(CASE, n=2), history) is None


def test_reason_to_skip_tries_a_small_batch_first(monkeypatch):
  one, prepared = implementation()
  now = iter([0.0, 0.01])
  monkeypatch.setattr(measurement.time, "perf_counter", lambda: next(now))
  large = dataclasses.replace(CASE, n=256 * 100)
  reason = reason_to_skip(one, large, [], Budget(cutoff=30.0))
  assert prepared == [dataclasses.replace(CASE, n=256)]
  assert reason == "it would take about 100 s, over the cut-off of 30 s"


def test_measure_case_stops_after_a_first_call_over_the_cutoff(monkeypatch):
  one, prepared = implementation()
  now = iter([0.0, 36.0])
  monkeypatch.setattr(measurement.time, "perf_counter", lambda: next(now))
  (row,) = measure_case(CASE, [one], budget=Budget(cutoff=30.0))
  assert prepared == [CASE]
  assert (row["status"], row["cutoff"]) == ("skipped", 30.0)
  assert row["reason"] == "its first call took 36 s, over the cut-off of 30 s"


def test_measure_case_skips_calls_over_the_cutoff():
  one, _ = implementation()
  rows = measure_case(CASE, [one], budget=Budget(cutoff=1e-12))
  assert [(row["mode"], row["status"]) for row in rows] == [
    ("forward", "skipped"),
    ("gradient", "skipped"),
  ]
  assert all("over the cut-off of 1e-12 s" in row["reason"] for row in rows)


@pytest.mark.parametrize(
  ("shares", "kept", "attempts"),
  [([0.01], 0.01, 1), ([0.5, 0.02], 0.02, 2), ([0.5, 0.3, 0.4], 0.3, 3), ([None], None, 1)],
)
def test_measure_case_repeats_under_contention(shares, kept, attempts, monkeypatch):
  one, _ = implementation()
  left = list(shares)
  monkeypatch.setattr(measurement, "contention", lambda: lambda: left.pop(0))
  rows = measure_case(CASE, [one], budget=BUDGET)
  assert [row["others"] for row in rows] == [kept, kept]
  assert len(shares) - len(left) == attempts


def test_measure_case_skips_what_does_not_fit_into_memory():
  one, prepared = implementation(num_bytes=lambda case: 2.0**60)
  (row,) = measure_case(CASE, [one], budget=BUDGET)
  assert prepared == []
  assert "it needs about 1,073,741,824 GiB of memory, but" in row["reason"]


def test_measure_case_continues_after_an_error():
  def prepare(case):
    raise RuntimeError("out of luck\nand of memory")

  one, _ = implementation("other")
  rows = measure_case(CASE, [Implementation("broken", SAMPLES, prepare), one], budget=BUDGET)
  assert of(rows, "broken")[0]["reason"] == "RuntimeError: out of luck"
  assert len(of(rows, "other")) == 2


def test_implementations_are_only_ours_in_half_precision_or_on_several_devices():
  peers = [fake_peer()]
  for change in ({"dtype": "bfloat16"}, {"devices": 2}):
    found = implementations(dataclasses.replace(CASE, **change), peers)
    assert [(one.name, one.form) for one in found] == [(OURS, NORMAL), (OURS, SAMPLES)]


@pytest.mark.parametrize("name", ["kl_divergence", "mmd_gaussian", "sliced_wasserstein"])
def test_prepare_ours_computes_the_distance(name):
  distance = DISTANCES[name]
  case = Case(name, 12, 4, 3 if distance.slices else None)
  for form, function in distance.forms.items():
    calls = prepare_ours(case, form)
    # The program gets only the arrays that it needs, `value_and_gradients` all of them.
    expected = value_and_gradients(function, distance.inputs, case)
    value, gradients = calls["gradient"]()
    found = [np.asarray(gradients[key]) for key in distance.inputs]
    assert disagreement(float(value), found, *expected, tolerance=1e-5) is None
    assert float(calls["forward"]()) == pytest.approx(expected[0], rel=1e-4)


def test_prepare_uses_the_dtype_of_the_case():
  case = dataclasses.replace(CASE, dtype="bfloat16")
  program = implementations(case, [])[0].prepare(case)["gradient"]
  assert program()[1]["latents"].dtype == jnp.bfloat16
