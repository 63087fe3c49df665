"""What the script of Table 1 passes to each run, in its own process and in the pool."""

import sys
from pathlib import Path

import pytest

from aejax.training import Options


class FakeRun:
  """Stands for a prepared run that is neither trained nor scored."""

  def train(self):
    return {"seconds": 1.0}


@pytest.fixture
def passed(script, tmp_path, monkeypatch):
  """Runs the script for two seeds of CWAE and returns its calls of `prepare` and its jobs."""
  module = script("reproduce_table1")
  calls, scored, jobs = [], [], []
  monkeypatch.setattr(module, "prepare", lambda *given: calls.append(given) or FakeRun())
  monkeypatch.setattr(module, "score", lambda run, **given: scored.append(given))
  monkeypatch.setattr(module, "inception", lambda path: f"features of {path}")
  monkeypatch.setattr(module.process_pool, "cores", lambda: [0, 1])
  monkeypatch.setattr(module.process_pool, "run", lambda given, *_: jobs.extend(given))
  module.main(
    module.Table(
      dataset="digits",
      data_dir=tmp_path,
      out=tmp_path / "table",
      seeds=2,
      epochs=7,
      methods=("cwae-paper",),
      inception=Path("weights.pth"),
    )
  )
  return calls, scored, jobs


def test_reproduce_table1_prepares_each_seed_with_its_options(passed, tmp_path):
  calls, scored, _ = passed
  assert calls == [
    (
      "cwae",
      {"approximate": True},
      Options(
        dataset="digits",
        data_dir=tmp_path,
        workdir=tmp_path / "table" / "runs" / "cwae-paper" / f"seed-{seed}",
        seed=seed,
        seeds=1,
        epochs=7,
      ),
    )
    for seed in (0, 1)
  ]
  assert scored == 2 * [{"extractor": "features of weights.pth", "timing": {"seconds": 1.0}}]


def test_reproduce_table1_starts_a_command_for_each_seed(passed, tmp_path):
  _, _, jobs = passed
  for seed, job in enumerate(jobs):
    workdir = tmp_path / "table" / "runs" / "cwae-paper" / f"seed-{seed}"
    assert job.log == workdir.with_suffix(".txt")
    python, train, method, *flags = map(str, job.command)
    assert (python, Path(train).name, method) == (sys.executable, "train.py", "cwae")
    switch = flags.index("--approximate")
    pairs = flags[:switch] + flags[switch + 1 :]
    assert dict(zip(pairs[::2], pairs[1::2], strict=True)) == {
      "--dataset": "digits",
      "--data-dir": str(tmp_path),
      "--workdir": str(workdir),
      "--seed": str(seed),
      "--epochs": "7",
    }
  assert len(jobs) == 2
