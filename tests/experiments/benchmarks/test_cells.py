import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import pytest
from benchmarks import cells
from benchmarks.cells import Effort, expected_seconds, measure_cell, reason_to_skip
from benchmarks.distances import DISTANCES, NORMAL, SAMPLES, Cell
from benchmarks.implementations import (
  LOWER_BOUND,
  OURS,
  Implementation,
  disagreement,
  implementations,
)
from benchmarks.peer import JaxPeer, Peer
from benchmarks.programs import prepare_ours, value_and_gradients
from benchmarks.results import select

pytestmark = pytest.mark.bench

CELL = Cell("energy_distance", 16, 3)
EFFORT = Effort(seconds=0.0, cutoff=30.0)


def fake_peer(factor=1.0, twist=lambda z: z):
  """Ours under another name, times a factor."""
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
    num_bytes=lambda cell: 0.0,
    rivals=(NORMAL, SAMPLES),
  )


def of(rows, name):
  return select(rows, contestant=name)


def test_all_are_measured_in_both_modes():
  rows = measure_cell(CELL, implementations(CELL, [fake_peer()]), effort=EFFORT)
  assert all(row["status"] == "measured" and row["median"] > 0 for row in rows)
  found = sorted((row["contestant"], row["form"], row["mode"]) for row in rows)
  assert found == sorted(
    (name, form, mode)
    for name, form in [(OURS, NORMAL), (OURS, SAMPLES), (LOWER_BOUND, NORMAL), ("fake", SAMPLES)]
    for mode in ("forward", "gradient")
  )
  for row in of(rows, OURS):
    assert row["compile_seconds"] > 0
    assert row["bytes"] > CELL.n * CELL.d * 4
    assert row["flops"] > CELL.n**2
  assert of(rows, "fake")[0]["rivals"] == [NORMAL, SAMPLES]


@pytest.mark.parametrize(
  ("peer", "reason"),
  [
    (fake_peer(factor=2.0), "its value is"),
    (fake_peer(factor=1.001), "its value is"),
    (fake_peer(factor=0.5), "its value is"),
    (fake_peer(factor=math.nan), "its value is nan, but ours says"),
    # A value that is right says nothing of the gradient.
    (fake_peer(twist=lambda z: z.at[0].set(jnp.array(CELL.data()["latents"][0]))), "gradient"),
  ],
)
def test_a_peer_that_is_wrong_is_not_timed(peer, reason):
  other, _ = contestant("other")
  rows = measure_cell(CELL, [*implementations(CELL, [peer])[-1:], other], effort=EFFORT)
  (row,) = of(rows, "fake")
  assert row["status"] == "disagrees"
  assert reason in row["reason"]
  assert "median" not in row
  assert len(of(rows, "other")) == 2


def test_a_stated_factor_is_no_disagreement():
  peer = dataclasses.replace(fake_peer(factor=2.0), factor=2.0)
  rows = measure_cell(CELL, implementations(CELL, [peer])[-1:], effort=EFFORT)
  assert {row["status"] for row in of(rows, "fake")} == {"measured"}


@pytest.mark.parametrize(
  ("value", "gradient", "words"),
  [
    (1.0, [1.0, 2.0], None),
    (1.009, [1.0, 2.0], None),
    (1.011, [1.0, 2.0], "its value is 1.011, but ours says 1"),
    (1.0, [1.0, 2.1], "its gradient differs from ours by 0.045 of its length"),
    (1.0, [1.0, math.nan], "its gradient differs from ours by nan"),
    (math.inf, [1.0, 2.0], "its value is inf"),
  ],
)
def test_disagreement(value, gradient, words):
  expected, slopes = 1.0, [np.array([1.0, 2.0])]
  found = disagreement(value, [np.array(gradient)], expected, slopes, tolerance=0.01)
  assert (found is None) if words is None else words in (found or "")


def contestant(name="slow", **fields):
  def prepare(cell):
    prepared.append(cell)
    return {"forward": lambda: None, "gradient": lambda: (1.0, [])}

  prepared: list[Cell] = []
  return Implementation(name, SAMPLES, prepare, **fields), prepared


def measured(one, cell, median):
  return {
    **cell.fields(),
    **one.fields(),
    "mode": "gradient",
    "status": "measured",
    "median": median,
  }


def test_what_is_expected_to_take_too_long_is_not_even_prepared():
  one, prepared = contestant()
  history = [measured(one, dataclasses.replace(CELL, n=8), 1.0)]
  # n² D: four times as long.
  assert expected_seconds(one, CELL, history) == pytest.approx(4.0)
  rows = measure_cell(CELL, [one], history=history, effort=Effort(cutoff=3.9))
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
  measure_cell(CELL, [one], history=history, effort=Effort(seconds=0.0, cutoff=4.1))
  assert prepared == [CELL]


def test_guesses_come_from_the_nearest_smaller_batch_of_the_same_kind():
  one, _ = contestant()
  history = [
    measured(one, Cell("energy_distance", 8, 3), 1.0),
    measured(one, Cell("energy_distance", 8, 6), 10.0),
    measured(one, Cell("energy_distance", 4, 3), 100.0),
    measured(one, Cell("energy_distance", 32, 3), 100.0),
    measured(one, Cell("energy_distance", 8, 3, devices=2), 100.0),
    measured(one, Cell("mmd_imq", 8, 3), 100.0),
  ]
  assert expected_seconds(one, CELL, history) == pytest.approx(4.0)
  assert expected_seconds(one, dataclasses.replace(CELL, n=2), history) is None


def test_a_large_batch_never_seen_is_tried_small_first(monkeypatch):
  one, prepared = contestant()
  now = iter([0.0, 0.01])
  monkeypatch.setattr(cells.time, "perf_counter", lambda: next(now))
  large = dataclasses.replace(CELL, n=256 * 100)
  reason = reason_to_skip(one, large, [], Effort(cutoff=30.0))
  assert prepared == [dataclasses.replace(CELL, n=256)]
  assert reason == "it would take about 100 s, over the cut-off of 30 s"


def test_a_first_call_over_the_cutoff_is_the_last(monkeypatch):
  one, prepared = contestant()
  now = iter([0.0, 36.0])
  monkeypatch.setattr(cells.time, "perf_counter", lambda: next(now))
  (row,) = measure_cell(CELL, [one], effort=Effort(cutoff=30.0))
  assert prepared == [CELL]
  assert (row["status"], row["cutoff"]) == ("skipped", 30.0)
  assert row["reason"] == "its first call took 36 s, over the cut-off of 30 s"


def test_a_call_over_the_cutoff_is_no_measurement():
  one, _ = contestant()
  rows = measure_cell(CELL, [one], effort=Effort(cutoff=1e-12))
  assert [(row["mode"], row["status"]) for row in rows] == [
    ("forward", "skipped"),
    ("gradient", "skipped"),
  ]
  assert all("over the cut-off of 1e-12 s" in row["reason"] for row in rows)


@pytest.mark.parametrize(
  ("shares", "kept", "attempts"),
  [([0.01], 0.01, 1), ([0.5, 0.02], 0.02, 2), ([0.5, 0.3, 0.4], 0.3, 3), ([None], None, 1)],
)
def test_a_disturbed_cell_is_timed_again(shares, kept, attempts, monkeypatch):
  one, _ = contestant()
  left = list(shares)
  monkeypatch.setattr(cells, "cpu_contention", lambda: lambda: left.pop(0))
  rows = measure_cell(CELL, [one], effort=EFFORT)
  assert [row["others"] for row in rows] == [kept, kept]
  assert len(shares) - len(left) == attempts


def test_what_does_not_fit_into_memory_is_left_alone():
  one, prepared = contestant(num_bytes=lambda cell: 2.0**60)
  (row,) = measure_cell(CELL, [one])
  assert prepared == []
  assert "it takes about 1,073,741,824 GiB of memory, and" in row["reason"]


def test_one_that_fails_does_not_end_the_run():
  def prepare(cell):
    raise RuntimeError("out of luck\nand of memory")

  one, _ = contestant("other")
  rows = measure_cell(CELL, [Implementation("broken", SAMPLES, prepare), one], effort=EFFORT)
  assert of(rows, "broken")[0]["reason"] == "RuntimeError: out of luck"
  assert len(of(rows, "other")) == 2


def test_only_ours_meets_other_precisions_and_devices():
  peers = [fake_peer()]
  for change in ({"dtype": "bfloat16"}, {"devices": 2}):
    found = implementations(dataclasses.replace(CELL, **change), peers)
    assert [(one.name, one.form) for one in found] == [(OURS, NORMAL), (OURS, SAMPLES)]


@pytest.mark.parametrize("name", ["kl_divergence", "mmd_gaussian", "sliced_wasserstein"])
def test_programs_compute_the_distance(name):
  distance = DISTANCES[name]
  cell = Cell(name, 12, 4, 3 if distance.slices else None)
  for form, function in distance.forms.items():
    calls = prepare_ours(cell, form)
    # Compiled with all its data there; the program has what it needs.
    expected, slopes = value_and_gradients(function, distance.inputs, cell)
    value, gradients = calls["gradient"]()
    found = [np.asarray(gradients[key]) for key in distance.inputs]
    assert disagreement(float(value), found, expected, slopes, tolerance=1e-5) is None
    assert float(calls["forward"]()) == pytest.approx(expected, rel=1e-4)


def test_half_precision_reaches_the_programs():
  cell = dataclasses.replace(CELL, dtype="bfloat16")
  program = implementations(cell, [])[0].prepare(cell)["gradient"]
  assert program()[1]["latents"].dtype == jnp.bfloat16
