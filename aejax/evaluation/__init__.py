"""Evaluation of runs: scores on the test set, plots, and reports."""

from aejax.evaluation.figures import (
  save_decoded_plane,
  save_grid,
  save_interpolations,
  save_latent_scatter,
  save_reconstructions,
)
from aejax.evaluation.report import write_report
from aejax.evaluation.score import evaluate, plot_run, score, summarise, table

__all__ = [
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
