"""Evaluation of runs: scores on the test set, plots, and reports."""

from aejax.evaluation.conclusion import conclusion
from aejax.evaluation.figures import (
  save_decoded_plane,
  save_grid,
  save_interpolations,
  save_latent_scatter,
  save_reconstructions,
)
from aejax.evaluation.outputs import Outputs
from aejax.evaluation.report import write_report
from aejax.evaluation.run_plots import plot_run
from aejax.evaluation.score import evaluate, score
from aejax.evaluation.summary import Summary, summarise, table

__all__ = [
  "Outputs",
  "Summary",
  "conclusion",
  "evaluate",
  "plot_run",
  "save_decoded_plane",
  "save_grid",
  "save_interpolations",
  "save_latent_scatter",
  "save_reconstructions",
  "score",
  "summarise",
  "table",
  "write_report",
]
