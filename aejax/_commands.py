"""The commands of the command line, each a function of its arguments."""

import dataclasses
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from aejax._extras import require

require("train", "orbax", "rich", "tyro", "docstring_parser", "matplotlib", "sklearn", "PIL")

import jax
import tyro

from aejax import _checks, exporting
from aejax._command_line import choose_method, compilation_cache, parse
from aejax._messages import logger
from aejax._user_errors import user_errors
from aejax.evaluation import conclusion, score, write_report
from aejax.evaluation.examples import check_examples, save_samples
from aejax.evaluation.generation import fit_samplers
from aejax.metrics import inception
from aejax.training import Interrupted, Options, Run, prepare, processes
from aejax.training.progress import Activity

__all__ = ["compilation_cache", "evaluate", "export", "report", "sample", "train"]

_Workdir = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="WORKDIR")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Train(Options):
  """How to train, and what to print.

  Attributes:
    quiet: print nothing but warnings and errors.
  """

  quiet: bool = False

  def options(self) -> Options:
    """Returns the options of the training alone."""
    names = [field.name for field in dataclasses.fields(Options)]
    return Options(**{name: getattr(self, name) for name in names})


def train(arguments: Sequence[str], *, prog: str) -> None:
  """Trains, scores and plots a run.

  Args:
    arguments: METHOD --option value …
    prog: the name of the program, for the help.
  """
  method, objective, given = choose_method(_Train, arguments, prog=prog)
  options = given.options()
  several = options.coordinator, options.num_processes, options.process_id
  with processes(options.distributed, *several), user_errors():
    _set_quiet(given.quiet)
    run = prepare(method, objective, options)
    try:
      timing = run.train()
    except Interrupted as interrupted:
      print(interrupted, file=sys.stderr)
      sys.exit(128 + interrupted.signal_number)
    if jax.process_index() == 0:
      with Activity("scoring"):
        summary, paths = score(run, timing=timing)
      _print_score(run, summary, paths, quiet=given.quiet)


@dataclasses.dataclass(frozen=True)
class _Evaluate:
  """Scores a trained run on the test set again, and makes its plots again.

  Attributes:
    workdir: the run's work directory; summary.json and the plots in it are written again.
    dataset: path of the data that the run was trained on, if they have moved.
    inception: the file weights-inception-2015-12-05-6726825d.pth, which torch-fidelity publishes,
      for the FID of the samples. With ten thousand test images this takes hours on a CPU.
    quiet: print nothing but warnings and errors.
  """

  workdir: _Workdir
  dataset: str | None = None
  inception: Path | None = None
  quiet: bool = False


def evaluate(arguments: Sequence[str], *, prog: str) -> None:
  """Scores and plots a trained run."""
  options = parse(_Evaluate, arguments, prog=prog)
  _set_quiet(options.quiet)
  run = Run.open(options.workdir, dataset=options.dataset)
  extractor = None if options.inception is None else inception(options.inception)
  with Activity("scoring"):
    summary, paths = score(run, extractor=extractor)
  _print_score(run, summary, paths, quiet=options.quiet)


@dataclasses.dataclass(frozen=True)
class _Sample:
  """Saves images that a trained run generates, as a grid in a PNG file.

  Attributes:
    workdir: the run's work directory.
    num: number of images.
    out: the PNG file to write.
    sampler: distribution of the latents: the prior, or a density fitted to the latents of the
      training images, a Gaussian or a mixture of ten.
    dataset: path of the data that the run was trained on, if they have moved; for a fitted density.
    seed: random seed of the latents.
  """

  workdir: _Workdir
  num: int = 64
  out: Path = Path("samples.png")
  sampler: Literal["prior", "gaussian", "mixture"] = "prior"
  dataset: str | None = None
  seed: int = 0


def sample(arguments: Sequence[str], *, prog: str) -> None:
  """Generates images from a trained run."""
  options = parse(_Sample, arguments, prog=prog)
  run = Run.open(options.workdir, dataset=options.dataset)
  trained = run.load()
  check_examples(options.num, trained.configuration.image_shape)
  key = jax.random.key(_checks.seed(options.seed))
  if options.sampler == "prior":
    images = trained.generate(key, options.num)
  else:
    samplers = fit_samplers(trained, run.dataset, key=jax.random.key(1))
    images = trained.decode(samplers[options.sampler].sample(key, options.num))
  # Images and volumes in [0, 1] need no data set beside them.
  alone = len(trained.configuration.image_shape) > 2 and trained.scaling.unit
  print(save_samples(options.out, images, images.clip(0, 1) if alone else run.dataset.test))


@dataclasses.dataclass(frozen=True)
class _Report:
  """Puts runs side by side on one page: metrics, plots, settings.

  Attributes:
    runs: work directories of scored runs.
    out: the page to write.
    title: title of the page; the runs' names by default.
  """

  runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
  out: Path = Path("report.html")
  title: str | None = None


def report(arguments: Sequence[str], *, prog: str) -> None:
  """Writes a page about runs; it holds its plots itself and needs no network."""
  options = parse(_Report, arguments, prog=prog)
  print(write_report(options.out, options.runs, title=options.title))


@dataclasses.dataclass(frozen=True)
class _Export:
  """Writes a trained model as files for others: weights, programs, and a model card.

  Attributes:
    workdir: the run's work directory.
    out: the safetensors file to write; the other files lie beside it. Default: model.safetensors in
      the work directory.
    onnx: write programs for ONNX runtimes too.
  """

  workdir: _Workdir
  out: Path | None = None
  onnx: bool = False


def export(arguments: Sequence[str], *, prog: str) -> None:
  """Exports a trained model."""
  options = parse(_Export, arguments, prog=prog)
  Run.open(options.workdir)  # raises now if there is none, before the folder of the files is made
  out = options.workdir / "model.safetensors" if options.out is None else options.out
  for path in exporting.export(options.workdir, out):
    print(path)
  if options.onnx:
    for path in exporting.export(options.workdir, out.with_suffix(".onnx")):
      print(path)


def _set_quiet(quiet: bool) -> None:
  """Hides notes and progress until the enclosing `user_errors` ends."""
  if quiet:
    logger.setLevel(logging.WARNING)


def _print_score(
  run: Run, summary: Mapping[str, Any], paths: Sequence[Path], *, quiet: bool
) -> None:
  """Prints the numbers that matter, and where the report is: the last of the paths."""
  if not quiet:
    print(conclusion(summary, paths[-1], run.seeds[0].history))
