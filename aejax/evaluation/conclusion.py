"""The five numbers that matter of a scored run, each with its reference and a word."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aejax.evaluation.metric_names import Reference, describe, is_number, reference

__all__ = ["Finding", "conclusion", "findings"]

_MOST = 5
# Names or patterns of the metrics to show, the most telling first.
_CHOICE = (
  r"reconstruction_error",
  r"cramer_wold",
  r"fid|frechet_(?!\w+_(?:gaussian|mixture|reconstructions)$)\w+",
  r"precision_\w+",
  r"recall_\w+",
  r"marginal_distance",
  r"correlation_difference",
  r"sliced_wasserstein",
  r"linear_probe_accuracy",
  r"mardia_skewness",
)
# A value up to the first multiple of its reference is good, and up to the second fair. Sets of
# latents from the prior scatter by less than the first.
_GOOD, _FAIR = 1.5, 3.0
# The same for a share, whose best value is 1.
_GOOD_SHARE, _FAIR_SHARE = 0.75, 0.5
# A p-value above this does not tell latents from samples of the prior.
_P_VALUE = 0.05


@dataclasses.dataclass(frozen=True)
class Finding:
  """A metric of a run, judged.

  Attributes:
    name: name of the metric in summary.json.
    label: plain name.
    value: the value.
    error: standard error of the value over seeds, if there are several.
    reference: what the value is compared with.
    word: "good", "fair" or "far", or empty if there is nothing to compare with.
    sentence: what the word means here.
  """

  name: str
  label: str
  value: float
  error: float | None
  reference: Reference | None
  word: str
  sentence: str


def findings(summary: Mapping[str, Any], epochs: Sequence[Mapping[str, Any]] = ()) -> list[Finding]:
  """Returns the five most telling metrics of a summary, or as many as it has.

  Args:
    summary: the summary of a run.
    epochs: lines of metrics.jsonl; the error of the last one on the training set is the reference
      of the reconstruction error.
  """
  names = []
  for pattern in _CHOICE:
    names += [
      name
      for name, value in summary.items()
      if re.fullmatch(pattern, name) and not name.endswith("_standard_error") and is_number(value)
    ][-1:]  # features that the user gave come last
  return [_finding(name, summary, epochs) for name in names[:_MOST]]


def conclusion(
  summary: Mapping[str, Any], report: Path, epochs: Sequence[Mapping[str, Any]] = ()
) -> str:
  """Returns the lines that a command ends with: five numbers, and where to read on."""
  rows = [("", "this run", "reference", "")]
  for found in findings(summary, epochs):
    value = f"{found.value:.4g}" + (f" ± {found.error:.1g}" if found.error else "")
    other = (
      "" if found.reference is None else f"{found.reference.value:.4g} {found.reference.label}"
    )
    verdict = ": ".join(part for part in (found.word, found.sentence) if part)
    rows.append((found.label, value, other, verdict))
  widths = [max(len(row[column]) for row in rows) for column in range(3)]
  lines = [
    "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
    for row in rows
  ]
  lines = [line.rstrip() for line in lines]
  return "\n".join([*lines, "", f"open {report}"])


def _finding(name: str, summary: Mapping[str, Any], epochs: Sequence[Mapping[str, Any]]) -> Finding:
  value = float(summary[name])
  error = summary.get(f"{name}_standard_error")
  # Of a single run, the standard error is that of the metric itself, which some have.
  error = float(error) if "seeds" in summary and is_number(error) else None
  found = _reference(name, summary, epochs)
  word, sentence = _judge(name, value, found, summary)
  return Finding(name, describe(name).label, value, error, found, word, sentence)


def _reference(
  name: str, summary: Mapping[str, Any], epochs: Sequence[Mapping[str, Any]]
) -> Reference | None:
  if name == "reconstruction_error":
    last = epochs[-1].get(name) if epochs else None
    return Reference(float(last), "training set") if is_number(last) else None
  if name.startswith(("precision_", "recall_")) or name.endswith("_accuracy"):
    return Reference(1.0, "at best")
  if name in ("marginal_distance", "correlation_difference"):
    return Reference(0.0, "at best")
  return reference(name, summary)


def _judge(
  name: str, value: float, found: Reference | None, summary: Mapping[str, Any]
) -> tuple[str, str]:
  """Returns a word for a value, and a sentence that says what it means."""
  if found is None:
    return "", ""
  if found.label == "at best":
    return _judge_share(name, value)
  word = "far"
  if value <= _GOOD * found.value or value <= found.value:
    word = "good"
  elif value <= _FAIR * found.value:
    word = "fair"
  if name == "reconstruction_error":
    return word, {
      "good": "unseen examples fare as well",
      "fair": "unseen examples fare less well",
      "far": "the networks overfit",
    }[word]
  if name in summary.get("normal_latents", {}) or name in summary.get("prior_latents", {}):
    test = summary.get("prior_test")
    p_value = test.get("p_value") if name == "cramer_wold" and isinstance(test, dict) else None
    if is_number(p_value) and p_value >= _P_VALUE:
      word = "good"
    return word, {
      "good": "like samples of the prior",
      "fair": "near the prior",
      "far": "not distributed like the prior",
    }[word]
  return word, {
    "good": "nearly as good as reconstructions",
    "fair": "worse than reconstructions",
    "far": "much worse than reconstructions",
  }[word]


def _judge_share(name: str, value: float) -> tuple[str, str]:
  if not name.startswith(("precision_", "recall_")):
    low = name.endswith(("_distance", "_difference"))
    share = 1 - value if low else value
    word = "good" if share >= 0.9 else "fair" if share >= _GOOD_SHARE else "far"
    return word, ""
  word = "good" if value >= _GOOD_SHARE else "fair" if value >= _FAIR_SHARE else "far"
  some = {"good": "most", "fair": "many", "far": "few"}[word]
  if name.startswith("precision_"):
    return word, f"{some} samples look real"
  return word, f"{some} test images are covered"
