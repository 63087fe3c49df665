"""The table of very many latents, with few."""

import subprocess
import sys

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


def test_main_starts_a_process_for_each_row_asked_for(many, monkeypatch, capsys):
  rows = []
  monkeypatch.setattr(subprocess, "run", lambda command, check: rows.append(int(command[-1])))
  monkeypatch.setattr(sys, "argv", ["benchmark_many_latents.py", "--only", "energy_distance"])
  many.main()
  assert rows
  assert {many.ROWS[row][0] for row in rows} == {"energy_distance"}
  assert capsys.readouterr().out.startswith("| distance |")
  monkeypatch.setattr(sys, "argv", ["benchmark_many_latents.py"])
  rows.clear()
  many.main()
  assert rows == list(range(len(many.ROWS)))
