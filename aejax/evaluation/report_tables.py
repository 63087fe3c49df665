"""Tables of a report: metrics with their references, and settings."""

import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from aejax.evaluation.conclusion import Finding
from aejax.evaluation.metric_names import GROUPS, describe, is_number, reference

__all__ = ["brief_table", "differing", "flat", "metrics_table", "settings_table", "table"]

_ABOUT = ("seeds", "method", "dataset", "network", "latent_dim", "steps", "test_images", "prior")
_ERROR = "_standard_error"
_ARROWS = {
  "lower": '<abbr title="lower is better">↓</abbr>',
  "higher": '<abbr title="higher is better">↑</abbr>',
  "": "",
}


def brief_table(findings: Sequence[Finding]) -> str:
  """Returns the numbers that matter of one run, with references and words."""
  rows = []
  for found in findings:
    value = _value(found.value, found.error)
    other = (
      ""
      if found.reference is None
      else (f"{_number(found.reference.value)} <small>{html.escape(found.reference.label)}</small>")
    )
    word = f'<span class="word {found.word}">{found.word}</span> {html.escape(found.sentence)}'
    rows.append([html.escape(found.label), value, other, word])
  return table(["", "this run", "reference", ""], rows, escape=False, classes="brief")


def metrics_table(names: Sequence[str], summaries: Sequence[Mapping[str, Any]]) -> str:
  """Returns the metrics by group: value, standard error and reference of each run, the best marked.

  Runs are compared if they have the same data set and the same number of test examples.
  """
  summaries = [_with_p_value(summary) for summary in summaries]
  groups: dict[str, list[str]] = {group: [] for group in GROUPS}
  for key in dict.fromkeys(key for summary in summaries for key in summary):
    if key in _ABOUT or key.endswith(_ERROR):
      continue
    if any(is_number(summary.get(key)) for summary in summaries):
      groups[describe(key).group].append(key)
  head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in names)
  parts = [f'<thead><tr><th scope="col">metric</th>{head}</tr></thead>']
  for group, keys in groups.items():
    rows = [_metric_row(key, summaries, opened=len(names) == 1) for key in keys]
    if rows:
      title = f'<tr class="group"><th scope="colgroup" colspan="{len(names) + 1}">{group}</th></tr>'
      parts.append(f"<tbody>{title}{''.join(rows)}</tbody>")
  return f'<div class="scroll"><table class="metrics">{"".join(parts)}</table></div>'


def _with_p_value(summary: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a summary in which the p-value of `prior_test` is an entry of its own."""
  test = summary.get("prior_test")
  return {**summary, "p_value": test.get("p_value")} if isinstance(test, Mapping) else dict(summary)


def _metric_row(key: str, summaries: Sequence[Mapping[str, Any]], *, opened: bool) -> str:
  metric = describe(key)
  best = _best(key, summaries)
  cells = []
  for number, summary in enumerate(summaries):
    value = summary.get(key)
    if not is_number(value):
      cells.append("<td></td>")
      continue
    text = _value(value, summary.get(key + _ERROR))
    if number in best:
      text = f'<strong>{text}</strong> <abbr title="best">★</abbr>'
    if (found := reference(key, summary)) is not None:
      text += f"<small>{html.escape(found.label)} {_number(found.value)}</small>"
    cells.append(f"<td>{text}</td>")
  label = html.escape(metric.label) + (f" [{metric.unit}]" if metric.unit else "")
  label = f"{label} {_ARROWS[metric.better]}".rstrip()
  if metric.meaning:
    meaning = f"{html.escape(metric.meaning)} <code>{html.escape(key)}</code>"
    state = " open" if opened else ""
    label = f"<details{state}><summary>{label}</summary>{meaning}</details>"
  return f'<tr><th scope="row">{label}</th>{"".join(cells)}</tr>'


def _best(key: str, summaries: Sequence[Mapping[str, Any]]) -> set[int]:
  """Returns the runs with the best value, several if they are equal or as good as their reference.

  Latents that score less than samples of the prior are as good as those, and not better.
  """
  better = describe(key).better
  if not better:
    return set()
  best = set()
  kinds = [(summary.get("dataset"), summary.get("test_images")) for summary in summaries]
  for kind in set(kinds):
    costs = {}
    for number, summary in enumerate(summaries):
      value = summary.get(key)
      if kinds[number] == kind and is_number(value):
        found = reference(key, summary)
        floor = found.value if found and found.label != "reconstructions" else -math.inf
        costs[number] = max(value, floor) if better == "lower" else -value
    if len(set(costs.values())) > 1:
      best |= {number for number, cost in costs.items() if cost == min(costs.values())}
  return best


def _value(value: Any, error: Any) -> str:
  text = _number(value)
  return f"{text} ± {float(error):.2g}" if is_number(error) else text


def _number(value: Any) -> str:
  if not isinstance(value, float):
    return f"{value:,}" if is_number(value) else html.escape(str(value))
  text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
  return text.replace("-", "−")


def flat(settings: Mapping[str, Any]) -> dict[str, str]:
  """Returns settings as rows: an entry of a dictionary is a row of its own."""
  rows = {}
  for name, value in settings.items():
    if isinstance(value, Mapping):
      rows |= {f"{name}: {key}": entry for key, entry in flat(value).items()}
    elif name != "format":
      rows[name] = value if isinstance(value, str) else json.dumps(value)
  return rows


def differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
  """Returns the names of the settings that are not the same in all runs."""
  rows = [flat(each) for each in settings]
  names = dict.fromkeys(name for row in rows for name in row)
  return [name for name in names if len({row.get(name) for row in rows}) > 1]


def settings_table(names: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> str:
  """Returns the settings that differ between runs, and below them those that do not, folded up."""
  rows = [flat(each) for each in settings]
  if len(names) == 1:
    return table(["setting", names[0]], list(rows[0].items()))
  different = differing(settings)
  body = [[name, *(row.get(name, "") for row in rows)] for name in different]
  shared = [[name, value] for name, value in rows[0].items() if name not in different]
  top = (
    table(["setting", *names], body) if body else '<p class="lead">All settings are the same.</p>'
  )
  below = table(["setting", "all runs"], shared)
  return f"{top}<details><summary>Settings that all runs share</summary>{below}</details>"


def table(
  heads: Sequence[str], rows: Sequence[Sequence[str]], *, escape: bool = True, classes: str = ""
) -> str:
  """Returns a table that scrolls where it is too wide; the first column names the rows."""
  show = html.escape if escape else str
  head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in heads)
  body = "\n".join(
    f'<tr><th scope="row">{show(first)}</th>'
    + "".join(f"<td>{show(c)}</td>" for c in rest)
    + "</tr>"
    for first, *rest in rows
  )
  return (
    f'<div class="scroll"><table class="{classes}"><thead><tr>{head}</tr></thead>\n<tbody>\n'
    f"{body}\n</tbody></table></div>"
  )
