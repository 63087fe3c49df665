"""The documentation builds without a warning."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_warning(tmp_path):
  command = ["-m", "sphinx", "--quiet", "--fail-on-warning", "--conf-dir", "docs", ".", tmp_path]
  finished = subprocess.run(
    [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
  )
  assert finished.returncode == 0, finished.stderr
  pages = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.html")}
  written = {
    path.relative_to(ROOT).with_suffix(".html").as_posix() for path in ROOT.glob("docs/*.md")
  }
  assert pages >= {"README.html", *written}
  reference = (tmp_path / "docs" / "api.html").read_text(encoding="utf-8")
  assert 'id="aejax.distances.cramer_wold"' in reference
