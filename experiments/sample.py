"""Draws images that a trained run generates from the prior, or from a density fitted afterwards.

python experiments/sample.py runs/cwae-digits --num 64 --out samples.png
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import jax
import tyro

from aejax import checks, load
from aejax.command_line import compilation_cache, parse, user_errors
from aejax.evaluation import save_grid
from aejax.evaluation.figures import check_grid
from aejax.evaluation.generation import fit_samplers
from aejax.training import load_dataset


@dataclasses.dataclass(frozen=True)
class Options:
  """Draws images that a trained run generates, as a grid in a PNG file.

  Attributes:
    workdir: the run's work directory.
    num: how many images.
    out: the picture to write.
    sampler: where latents come from: the prior, or a density fitted to those of the training
      images, a Gaussian or a mixture of ten.
    seed: another seed, other images.
  """

  workdir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="WORKDIR")]
  num: int = 64
  out: Path = Path("samples.png")
  sampler: Literal["prior", "gaussian", "mixture"] = "prior"
  seed: int = 0


def main(options: Options) -> None:
  """Loads, generates, draws."""
  trained = load(options.workdir)
  check_grid(options.num, trained.configuration.image_shape[:2])
  key = jax.random.key(checks.seed(options.seed))
  if options.sampler == "prior":
    images = trained.generate(key, options.num)
  else:
    samplers = fit_samplers(trained, load_dataset(trained.configuration), key=jax.random.key(1))
    images = trained.decode(samplers[options.sampler].sample(key, options.num))
  print(save_grid(options.out, images))


if __name__ == "__main__":
  compilation_cache()
  with user_errors():
    main(parse(Options))
