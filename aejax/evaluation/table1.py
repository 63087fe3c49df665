"""Table 1 of the Cramer-Wold paper: which runs it takes, what was published, and the page.

Every row is a method with the published network, learning rate and λ. Where our closed forms need
no sample or approximation that the published code has, both are run: `paper` has theirs.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["PUBLISHED_FID", "ROWS", "Row", "markdown", "statistics"]


@dataclasses.dataclass(frozen=True)
class Row:
  """A row of the table.

  Attributes:
    label: as it stands in the table.
    run: the folder of its runs; two rows may share their runs and differ in the sampler.
    method: of the runs, as on the command line.
    objective: fields of the objective that are not the published settings.
    sampler: what latents are decoded for the generation metrics: prior, gaussian or mixture.
  """

  label: str
  run: str
  method: str
  objective: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  sampler: str = "prior"


# λ = 100 for SIGReg and the energy distance is ours: what WAE-MMD and SWAE have on Fashion-MNIST.
ROWS = (
  Row("AE", "ae", "ae"),
  Row("VAE", "vae", "vae"),
  Row("SWAE", "swae", "swae"),
  Row("SWAE, paper", "swae-paper", "swae", {"sample_prior": True}),
  Row("WAE-MMD", "wae-mmd", "wae-mmd"),
  Row("WAE-MMD, paper", "wae-mmd-paper", "wae-mmd", {"sample_prior": True}),
  Row("CWAE", "cwae", "cwae"),
  Row("CWAE, paper", "cwae-paper", "cwae", {"approximate": True}),
  Row("SIGReg-AE", "sigreg", "sigreg", {"weight": 100.0}),
  Row("Energy-AE", "energy", "energy", {"weight": 100.0}),
  Row("AE + Gaussian mixture", "ae", "ae", sampler="mixture"),
  Row("CWAE + Gaussian mixture", "cwae", "cwae", sampler="mixture"),
)

# Inception's FID as gmum/cwae-pytorch re-ran its own table; other features, so other numbers.
PUBLISHED_FID = {
  "mnist": {"SWAE": 30.94, "WAE-MMD": 28.71, "CWAE": 24.22},
  "fashion_mnist": {"SWAE": 55.99, "WAE-MMD": 51.74, "CWAE": 50.35},
  "cifar10": {"SWAE": 131.6, "WAE-MMD": 136.6, "CWAE": 118.1},
  "celeb_a": {"SWAE": 62.42, "WAE-MMD": 51.29, "CWAE": 48.02},
}


def statistics(summaries: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
  """Mean and standard error over seeds of each figure that all have; one seed has no error."""
  found = {}
  for name, first in summaries[0].items():
    if not isinstance(first, float) or not all(name in summary for summary in summaries):
      continue
    values = np.array([summary[name] for summary in summaries])
    error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    found[name] = float(values.mean()), error
  return found


def markdown(
  columns: Mapping[str, str],
  rows: Sequence[tuple[str, Mapping[str, tuple[float, float]]]],
  published: Mapping[str, float],
) -> str:
  """The table: mean ± standard error.

  Args:
    columns: the heading of each figure.
    rows: the label of each row, and its figures.
    published: of some rows, the published FID.
  """
  heads = ["method", *columns.values(), *(["published FID"] if published else [])]
  lines = [f"| {' | '.join(heads)} |", "|---" + "|---:" * (len(heads) - 1) + "|"]
  for label, figures in rows:
    cells = [_cell(figures.get(name)) for name in columns]
    if published:
      cells.append(f"{published[label]:.2f}" if label in published else "")
    lines.append(f"| {label} | {' | '.join(cells)} |")
  return "\n".join(lines)


def _cell(figure: tuple[float, float] | None) -> str:
  """A mean to the second digit of its error."""
  if figure is None:
    return ""
  mean, error = figure
  if not math.isfinite(error) or error == 0:
    return f"{mean:.4g}"
  digits = max(0, 1 - math.floor(math.log10(error)))
  return f"{mean:.{digits}f} ± {error:.{digits}f}"
