"""Scores a trained run on the test set again, and draws its pictures again.

python experiments/evaluate.py runs/cwae-digits
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from aejax import load
from aejax.command_line import compilation_cache, parse, user_errors
from aejax.evaluation import draw, evaluate, table
from aejax.training import load_dataset


@dataclasses.dataclass(frozen=True)
class Options:
  """Scores a trained run on the test set, and draws its pictures.

  Attributes:
    workdir: the run's work directory; summary.json and the pictures in it are written anew.
  """

  workdir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="WORKDIR")]


def main(options: Options) -> None:
  """Loads, scores, draws."""
  trained = load(options.workdir)
  dataset = load_dataset(trained.configuration)
  print(table(evaluate(options.workdir, trained, dataset)))
  for picture in draw(options.workdir, trained, dataset):
    print(picture)


if __name__ == "__main__":
  compilation_cache()
  with user_errors():
    main(parse(Options))
