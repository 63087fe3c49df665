"""Makes one web page of a trained and scored run, or of several side by side.

  python experiments/report.py runs/cwae-digits runs/vae-digits --out report.html

The page holds its pictures itself and needs no network. train.py and evaluate.py write one of each
run, report.html in its work directory.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from aejax.command_line import parse, user_errors
from aejax.evaluation.report import write_report


@dataclasses.dataclass(frozen=True)
class Options:
  """Puts runs side by side on one page: figures of merit, pictures, settings.

  Attributes:
    runs: work directories of scored runs.
    out: the page to write.
    title: of the page; by default the runs' names.
  """

  runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
  out: Path = Path("report.html")
  title: str | None = None


def main(options: Options) -> None:
  """Writes the page."""
  print(write_report(options.out, options.runs, title=options.title))


if __name__ == "__main__":
  with user_errors():
    main(parse(Options))
