"""Draws images that a trained run generates from the prior.

python experiments/sample.py runs/cwae-digits --num 64 --out samples.png
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import jax
import tyro

from aejax import load
from aejax.command_line import compilation_cache, parse, user_errors
from aejax.evaluation import save_grid
from aejax.training.configuration import check_seed


@dataclasses.dataclass(frozen=True)
class Options:
  """Draws images that a trained run generates from the prior, as a grid in a PNG file.

  Attributes:
    workdir: the run's work directory.
    num: how many images.
    out: the picture to write.
    seed: another seed, other images.
  """

  workdir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="WORKDIR")]
  num: int = 64
  out: Path = Path("samples.png")
  seed: int = 0


def main(options: Options) -> None:
  """Loads, generates, draws."""
  images = load(options.workdir).generate(jax.random.key(check_seed(options.seed)), options.num)
  print(save_grid(options.out, images))


if __name__ == "__main__":
  compilation_cache()
  with user_errors():
    main(parse(Options))
