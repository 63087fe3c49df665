"""The documentation builds without a warning."""

import subprocess
import sys
from pathlib import Path

import aejax

ROOT = Path(__file__).parents[2]


def test_build_has_no_warning_and_all_pages(tmp_path):
  command = ["-m", "sphinx", "--quiet", "--fail-on-warning", "--conf-dir", "docs", ".", tmp_path]
  finished = subprocess.run(
    [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
  )
  assert finished.returncode == 0, finished.stderr
  pages = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.html")}
  written = {
    path.relative_to(ROOT).with_suffix(".html").as_posix() for path in ROOT.glob("docs/*.md")
  }
  assert pages >= {"README.html", "CONTRIBUTING.html", "CHANGELOG.html", *written}
  html = {page: (tmp_path / page).read_text(encoding="utf-8") for page in pages}
  assert aejax.__version__ in html["README.html"]
  for name in ("distances.cramer_wold", "training.prepare", "metrics.prdc", "cli.main"):
    assert f'id="aejax.{name}"' in html["docs/api.html"]
  # Two hyphens of an option stay two hyphens.
  assert "--no-log" in html["docs/distances.html"]
  assert not any("–dataset" in text or "–resume" in text for text in html.values())
