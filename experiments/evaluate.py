"""Scores a trained run on the test set again, and draws its pictures again.

python experiments/evaluate.py runs/cwae-digits

With `--inception` and the file weights-inception-2015-12-05-6726825d.pth, which torch-fidelity
publishes, the samples' FID too; with ten thousand test images that takes hours on a CPU.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from aejax.command_line import compilation_cache, parse, user_errors
from aejax.evaluation import inception, score, table
from aejax.training import load_dataset
from aejax.training.configuration import read


@dataclasses.dataclass(frozen=True)
class Options:
  """Scores a trained run on the test set, and draws its pictures.

  Attributes:
    workdir: the run's work directory; summary.json and the pictures in it are written anew.
    inception: the file weights-inception-2015-12-05-6726825d.pth, for the FID of the samples.
  """

  workdir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="WORKDIR")]
  inception: Path | None = None


def main(options: Options) -> None:
  """Loads, scores, draws."""
  configuration = read(options.workdir)
  extractor = None if options.inception is None else inception(options.inception)
  dataset = load_dataset(configuration)
  summary, pictures = score(configuration, dataset, options.workdir, extractor=extractor)
  print(table(summary))
  for picture in pictures:
    print(picture)


if __name__ == "__main__":
  compilation_cache()
  with user_errors():
    main(parse(Options))
