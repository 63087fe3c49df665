"""The page of results."""

import statistics
from collections.abc import Iterable
from typing import Any

import numpy as np
from benchmarks.environment import describe
from benchmarks.results import Results, Row, markdown, milliseconds, section, select

from joint_embedding.penalties import ESTIMATES, PENALTIES, TIMED

__all__ = ["sections"]

_SCORES = {
  "linear_probe_accuracy": "linear probe, %",
  "knn_accuracy": "5-NN, %",
  "effective_rank": "effective rank",
  "deviation": "deviation",
}


def sections(results: Results, options: Any) -> list[str]:
  """Returns the sections of the page from what is measured so far."""
  rows = results.rows
  names = [name for name in PENALTIES if select(rows, penalty=name)]
  settings = results.settings
  minutes = sum(row.get("seconds", 0) for row in rows) / 60
  return [
    "# Self-supervision",
    f"Encoders ({settings['network']}, {settings['dim']} embeddings) of {settings['dataset']} are "
    "trained on the mean of (z − z′)² over images and coordinates, z and z′ the embeddings of two "
    "random views, plus λ times a penalty of z and of z′ against collapse. "
    f"{settings['steps']:,} steps of {settings['batch_size']} images, Adam with a cosine. λ is in "
    "units in which the penalty of a complete collapse is 1.",
    f"- Made by `python experiments/self_supervised.py --out {options.out}`.\n"
    f"- The trainings took {minutes:.0f} minutes, beside other work on the "
    f"machine.\n- {describe(results.environment)}",
    section("Accuracy and collapse", _scores(rows, names), _SCORES_TEXT),
    section("Weights", _sweep(rows, names), _SWEEP_TEXT.format(**settings)),
    section("Time of the penalty", _times(rows, [*names, *TIMED]), _TIMES_TEXT.format(**settings)),
    section("Noise of random directions", _noise(rows, names), _NOISE_TEXT),
  ]


_SCORES_TEXT = """
Mean over seeds, ± the standard deviation. The probes of `aejax.metrics.label_accuracy` know the
embeddings of 10,000 training images, and predict those of the test set. Effective rank is the
exponential of the entropy of the covariance's eigenvalues, and deviation the mean standard
deviation of a coordinate. `kernel_stein_student` has Student's t distribution with five degrees of
freedom as its prior, whose deviation is 1.29; all others have N(0, I).
"""
_SWEEP_TEXT = """
Linear-probe accuracy, in per cent, of training images that were held out, after {sweep_steps:,}
steps with one seed that is not among those above. The best weight was used above, also where it is
the smallest or largest tried; `sliced_sigreg`, which estimates `sigreg`, has the weight of that.
The views, the network and the sizes were chosen before, in a few trial trainings with `sigreg`.
"""
_TIMES_TEXT = """
Milliseconds for value and gradient with respect to n × {dim} embeddings, with the draw of 1024
directions where the penalty has any: median and quartiles, in one process, in turns.
`sliced_sigreg` is the formula as it is published, and `epps_pulley` the function of aejax for it.
"""
_NOISE_TEXT = """
The root mean squared difference of the gradient, with respect to one batch of embeddings, from its
mean over draws of 1024 directions, divided by the norm of that mean. Error is the difference of
that mean from the gradient of `sigreg`, and contains a quarter of the noise. The last column is the
share of the variance of the parameters' gradient, from batch to batch, that the directions cause at
the end of training. Penalties without directions have neither noise nor error.
"""


def _scores(rows: list[Row], names: Iterable[str]) -> str:
  lines = []
  for row_name in ("pixels", "untrained"):
    found = select(rows, kind="reference", name=row_name)
    lines.append([f"{row_name}", "", *_means(found)])
  for name in names:
    found = select(rows, kind="training", penalty=name)
    weights = "/".join(dict.fromkeys(f"{row['weight']:g}" for row in found))
    lines.append([f"`{name}`", weights, *_means(found)])
  return markdown(["penalty", "λ", *_SCORES.values()], [line for line in lines if any(line[2:])])


def _means(rows: list[Row]) -> list[str]:
  if not rows:
    return [""] * len(_SCORES)
  texts = []
  for key in _SCORES:
    values = [(100 if key.endswith("accuracy") else 1) * row[key] for row in rows]
    digits = 2 if key == "deviation" else 1
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    texts.append(f"{statistics.mean(values):.{digits}f}{spread}")
  return texts


def _sweep(rows: list[Row], names: Iterable[str]) -> str:
  found = select(rows, kind="sweep")
  weights = sorted({row["weight"] for row in found})
  lines = []
  for name in (name for name in names if name not in ESTIMATES):
    by_weight = {row["weight"]: row for row in select(found, penalty=name)}
    accuracy = (by_weight.get(weight, {}).get("linear_probe_accuracy") for weight in weights)
    lines.append([f"`{name}`", *("" if a is None else f"{100 * a:.1f}" for a in accuracy)])
  return markdown(["penalty", *(f"λ = {w:g}" for w in weights)], lines) if found else ""


def _times(rows: list[Row], names: Iterable[str]) -> str:
  found = select(rows, kind="time")
  sizes = sorted({row["n"] for row in found})
  lines = []
  for name in names:
    cells = []
    for n in sizes:
      for row in select(found, penalty=name, n=n):
        quartiles = f"{milliseconds(row['lower'])}–{milliseconds(row['upper'])}"
        cells.append(f"{milliseconds(row['median'])} ({quartiles})")
    lines += [[f"`{name}`", *cells]] if cells else []
  return markdown(["penalty", *(f"n = {n:,}" for n in sizes)], lines) if found else ""


def _noise(rows: list[Row], names: Iterable[str]) -> str:
  found = {name: [r for r in select(rows, penalty=name) if "share" in r] for name in names}
  lines = []
  for name, measured in found.items():
    for row in measured:
      cells = [f"{row[f'noise_{when}']:.1%}" for when in ("start", "end", "prior")]
      error = f"{row['error_end']:.1%}" if "error_end" in row else ""
      lines.append([f"`{name}`", *cells, error, f"{row['share']:.1%}"])
  head = ["penalty", "untrained", "trained", "samples of N(0, I)", "error, trained", "share"]
  return markdown(head, lines) if lines else ""
