"""The table of very many latents, with few."""

import subprocess

import pytest


@pytest.fixture(scope="module")
def many(script):
  return script("benchmark_many_latents")


@pytest.mark.parametrize(
  ("name", "used"), [("energy_distance", "pairs=32"), ("sliced_wasserstein", "50 directions")]
)
def test_measure_prints_a_row(many, name, used, capsys):
  many.measure(name, 100, 3)
  cells = [cell.strip() for cell in capsys.readouterr().out.strip(" |\n").split("|")]
  assert cells[:4] == [f"`{name}`", used, "100", "3"]
  assert float(cells[-1].split()[0]) > 0.05


def test_main_starts_a_process_for_each_row(many, monkeypatch, capsys):
  started = []
  monkeypatch.setattr(subprocess, "run", lambda command, check: started.append(int(command[-1])))
  many.main(many.Options(rows=(0, 3)))
  assert started == [0, 3]
  assert capsys.readouterr().out.startswith("| distance |")
  many.main(many.Options())
  assert started == [0, 3, *range(len(many.ROWS))]


def test_main_measures_a_single_row_itself(many, monkeypatch):
  measured = []
  monkeypatch.setattr(many, "measure", lambda *row: measured.append(row))
  many.main(many.Options(rows=(4,)))
  assert measured == [many.ROWS[4]]
  with pytest.raises(ValueError, match="rows must be from 0 to 5, but one is 99"):
    many.main(many.Options(rows=(99,)))
