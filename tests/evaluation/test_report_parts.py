"""Parts of the report: columns of pictures, and training curves."""

import re

import pytest

from aejax.evaluation import report_pictures
from aejax.evaluation.report_curves import Series, curves


@pytest.mark.parametrize(
  ("count", "wide", "middle"), [(2, 2, 2), (3, 3, 3), (4, 4, 2), (5, 5, 3), (7, 4, 2), (10, 5, 2)]
)
def test_columns_leave_few_cells_empty(count, wide, middle):
  assert report_pictures.columns(count, 5) == wide
  assert report_pictures.columns(count, 3) == middle


def _epochs(*errors, **others):
  return [
    {"epoch": k + 1, "reconstruction_error": error, "penalty": -error, **others}
    for k, error in enumerate(errors)
  ]


def test_curves_share_axes_and_show_the_test_set():
  runs = [
    Series("a", 0, _epochs(4.0, 2.0, test_reconstruction_error=3.0)),
    Series("b", 11, _epochs(1.0)),
  ]
  text = curves(runs)
  assert "<li>" in text
  assert text.count("<figure>") == 2
  first = text.split("</figure>")[0]
  # The axes reach from 1 to 4 and over two epochs, so that b's only point is at the lower left.
  assert first.count("<polyline") == 2
  assert 'class="curve c0 test"' in first
  assert 'class="curve c1 second dot"' in first
  heights = [float(y) for y in re.findall(r"[ \"][\d.]+,([\d.]+)", first)]
  assert float(re.findall(r'cy="([\d.]+)"', first)[0]) > max(heights)
  label = "reconstruction error over 2 epochs: a from 4 to 2; a on the test set from 3 to 3"
  assert f'aria-label="{label}; b from 1 to 1"' in first
  assert "dashed: on the test set" in text
  assert curves([Series("a", 0, [])]) == ""


def test_curves_have_a_logarithmic_axis_for_large_ranges():
  text = curves([Series("a", 0, _epochs(500.0, 3.0))]).split("</figure>")[0]
  for tick in ("5", "10", "20", "50", "100", "200", "500"):
    assert f">{tick}</text>" in text
  assert ">3</text>" not in text
  assert len(curves([Series("a", 0, _epochs(*range(1, 5000)))])) < 20_000
