"""Several seeds trained at once give the runs that each seed gives alone."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from aejax import fit, load
from aejax._files import read_json
from aejax.evaluation import summarise
from aejax.training import Interrupted, loop
from aejax.training.configuration import read, seed_runs, write
from aejax.training.loop import train


def parameters(folder):
  return jax.tree.leaves(jax.device_get(load(folder).model.encoder))


def lines(folder):
  return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_seeds_train_as_each_alone(configure, dataset, tmp_path):
  together = configure("swae", seeds=3, seed=5)
  train(together, dataset, tmp_path / "all")
  for seed in (5, 6, 7):
    alone = dataclasses.replace(together, seed=seed, seeds=1)
    folder = tmp_path / f"alone-{seed}"
    write(folder, alone)
    train(alone, dataset, folder)
    member = tmp_path / "all" / f"seed-{seed}"
    assert read(member) == alone
    for a, b in zip(parameters(member), parameters(folder), strict=True):
      # Fifteen steps of Adam with another order of summation.
      np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    for a, b in zip(lines(member), lines(folder), strict=True):
      assert a == pytest.approx(b, rel=1e-4)


def test_seeds_resume_with_one_checkpoint_ahead(configure, dataset, tmp_path, monkeypatch):
  together = configure("cwae", seeds=2)
  train(together, dataset, tmp_path / "whole")

  def stops_after(calls):
    answers = iter([None] * calls)
    return lambda: next(answers, 15)

  class Interruption:
    def __enter__(self):
      return stops_after(1)

    def __exit__(self, *exception):
      return None

  monkeypatch.setattr(loop, "interruption", Interruption)
  for _ in range(2):
    with pytest.raises(Interrupted):
      train(together, dataset, tmp_path / "parts")
  monkeypatch.undo()
  # As if the process was killed between the two saves: the second seed is a checkpoint behind.
  newest = max((tmp_path / "parts/seed-1/checkpoints").glob("[0-9]*"), key=lambda p: int(p.name))
  for path in sorted(newest.rglob("*"), reverse=True):
    path.rmdir() if path.is_dir() else path.unlink()
  newest.rmdir()
  train(together, dataset, tmp_path / "parts")
  for _, folder in seed_runs(together, tmp_path / "parts"):
    other = tmp_path / "whole" / folder.name
    assert lines(folder) == lines(other)
    for a, b in zip(parameters(folder), parameters(other), strict=True):
      np.testing.assert_array_equal(a, b)


def test_load_names_the_folders_of_the_seeds(configure, dataset, tmp_path):
  together = configure(seeds=2, epochs=1)
  write(tmp_path, together)
  with pytest.raises(ValueError, match=r"several runs: name one of the folders seed-0, seed-1"):
    load(tmp_path)


def test_summarise_gives_mean_and_standard_error(tmp_path):
  runs = [{"method": "ae", "steps": 3, "x": v, "same": 2.0} for v in (1.0, 2.0, 6.0)]
  summary = summarise(tmp_path, runs)
  # Deviations −2, −1, 3 from the mean 3: variance 7, standard error √(7/3).
  expected = {"seeds": 3, "method": "ae", "steps": 3, "x": 3.0, "same": 2.0}
  assert summary == pytest.approx({**expected, "x_standard_error": (7 / 3) ** 0.5})
  assert read_json(tmp_path / "summary.json") == summary


def test_summarise_averages_integers_and_drops_missing_entries(tmp_path):
  """A run that was killed and resumed has no timing."""
  runs = [
    {"active_units": 7, "seconds": 1.0, "normal_latents": {"mmd": 0.1}},
    {"active_units": 8, "normal_latents": {"mmd": 0.1}},
  ]
  assert summarise(tmp_path, runs) == {
    "seeds": 2,
    "active_units": 7.5,
    "active_units_standard_error": 0.5,
    "normal_latents": {"mmd": 0.1},
  }


@pytest.mark.parametrize("seeds", [0, -1])
def test_seeds_must_be_positive(configure, seeds):
  with pytest.raises(ValueError, match="seeds must be a whole number from 1 up"):
    configure(seeds=seeds)


def test_seeds_must_stay_below_the_largest_seed(configure):
  with pytest.raises(ValueError, match="seed must be a whole number"):
    configure(seed=2**32 - 1, seeds=2)


def test_fit_trains_several_seeds_with_and_without_a_work_directory(dataset, tmp_path):
  options = dict(model="linear", latent_dim=2, batch_size=21, epochs=2, seed=5, seeds=2)
  seen = []

  def callback(metrics, state):
    seen.append((metrics["epoch"], metrics["seed"], metrics["loss"], int(state.step)))

  one = fit("cwae", dataset, callbacks=[callback], **options)
  assert [run.configuration.seed for run in one.seeds] == [5, 6]
  epochs = zip(*(run.history for run in one.seeds), strict=True)
  lines = [(line, 5 + k) for epoch in epochs for k, line in enumerate(epoch)]
  assert seen == [(line["epoch"], seed, line["loss"], line["step"]) for line, seed in lines]
  with pytest.raises(ValueError, match="holds several runs: take one of the list `seeds`"):
    _ = one.model
  two = fit("cwae", dataset, workdir=tmp_path / "run", **options)
  for run, other in zip(one.seeds, two.seeds, strict=True):
    assert run.history == other.history
    np.testing.assert_array_equal(run.encode(dataset.test), other.encode(dataset.test))
    assert run.step == other.step == 4
