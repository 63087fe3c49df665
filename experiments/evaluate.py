"""Scores a trained run on the test set again, and draws its pictures again.

python experiments/evaluate.py runs/cwae-digits
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from aejax.command_line import compilation_cache, parse, user_errors
from aejax.evaluation import score, table
from aejax.training import load_dataset
from aejax.training.configuration import read


@dataclasses.dataclass(frozen=True)
class Options:
  """Scores a trained run on the test set, and draws its pictures.

  Attributes:
    workdir: the run's work directory; summary.json and the pictures in it are written anew.
  """

  workdir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="WORKDIR")]


def main(options: Options) -> None:
  """Loads, scores, draws."""
  configuration = read(options.workdir)
  summary, pictures = score(configuration, load_dataset(configuration), options.workdir)
  print(table(summary))
  for picture in pictures:
    print(picture)


if __name__ == "__main__":
  compilation_cache()
  with user_errors():
    main(parse(Options))
