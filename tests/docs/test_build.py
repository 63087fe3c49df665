"""The documentation builds without a warning, needs no network, and its links lead somewhere."""

import importlib
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import aejax

ROOT = Path(__file__).parents[2]
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
# The page of the reference for each module, and one name that it must hold.
REFERENCE = {
  "distances": "cramer_wold",
  "priors": "UniformSphere",
  "objectives": "CWAE",
  "networks": "build",
  "autoencoder": "Autoencoder",
  "training": "prepare",
  "metrics": "prdc",
  "evaluation": "write_report",
  "data": "load",
  "exporting": "export",
}


class Page(HTMLParser):
  """Collects the anchors, the links and what a page loads."""

  def __init__(self, text):
    super().__init__()
    self.anchors, self.links, self.loaded = set(), [], []
    self.feed(text)

  def handle_starttag(self, tag, attributes):
    values = dict(attributes)
    self.anchors.add(values.get("id"))
    if tag == "a":
      self.links.append(values.get("href") or "")
    elif tag in ("img", "script", "source", "iframe"):
      self.loaded.append(values.get("src") or "")
    elif tag == "link" and values.get("rel") in ("stylesheet", "icon"):
      self.loaded.append(values.get("href") or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
  """Returns the folder of the built pages."""
  folder = tmp_path_factory.mktemp("site")
  command = ["-m", "sphinx", "--quiet", "--fail-on-warning", "--conf-dir", "docs", ".", folder]
  finished = subprocess.run(
    [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
  )
  assert finished.returncode == 0, finished.stderr
  return folder


@pytest.fixture(scope="module")
def html(site):
  """Returns the text of each page by its path."""
  return {
    path.relative_to(site).as_posix(): path.read_text(encoding="utf-8")
    for path in site.rglob("*.html")
  }


@pytest.fixture(scope="module")
def pages(html):
  return {path: Page(text) for path, text in html.items()}


def test_build_has_all_pages(html):
  written = {
    path.relative_to(ROOT).with_suffix(".html").as_posix() for path in ROOT.glob("docs/**/*.md")
  }
  assert html.keys() >= {"README.html", "CONTRIBUTING.html", "CHANGELOG.html", *written}
  assert aejax.__version__ in html["README.html"]
  assert "url=README.html" in html["index.html"]


@pytest.mark.parametrize("name", REFERENCE)
def test_reference_has_every_public_name(html, name):
  module = importlib.import_module(f"aejax.{name}")
  page = html[f"docs/api/{name}.html"]
  assert f'id="aejax.{name}.{REFERENCE[name]}"' in page
  if name != "autoencoder":
    for public in module.__all__:
      assert f'id="aejax.{name}.{public}"' in page or f">{public}<" in page, public


def test_command_lines_keep_their_hyphens(html):
  assert "--no-log" in html["docs/distances.html"]
  assert not any("–dataset" in text or "–resume" in text for text in html.values())


def test_formulas_are_rendered_without_a_script(html):
  assert html["docs/distances/cramer_wold.html"].count("<math") >= 8
  assert not any("$$" in text for path, text in html.items() if path.startswith("docs/distances"))


def test_pages_load_nothing_from_a_network(pages):
  for path, page in pages.items():
    assert [url for url in page.loaded if urlsplit(url).netloc] == [], path


def test_links_of_the_pages_lead_somewhere(site, pages):
  for path, page in pages.items():
    if path.startswith(("_modules/", "genindex", "search", "py-modindex")):
      continue
    for link in page.links + page.loaded:
      parts = urlsplit(link)
      if parts.scheme or parts.netloc or link in ("", "#"):
        continue
      target = (site / path).parent / unquote(parts.path) if parts.path else site / path
      assert target.is_file(), f"{path}: {link}"
      name = target.resolve().relative_to(site.resolve()).as_posix()
      if parts.fragment and name in pages:
        assert unquote(parts.fragment) in pages[name].anchors, f"{path}: {link}"


# Opens each page in frames of three widths, and writes down those that a reader must push sideways.
_MEASURE = """<!doctype html><meta charset="utf-8"><body><pre id="found"></pre><script>
const pages = PAGES, found = [];
async function measure() {
  for (const page of pages) for (const width of [390, 1280, 1920]) {
    const frame = document.createElement("iframe");
    frame.style = `width: ${width}px; height: 900px; border: 0`;
    frame.src = page;
    document.body.appendChild(frame);
    await new Promise(done => frame.onload = done);
    const needed = frame.contentDocument.documentElement.scrollWidth;
    if (needed > width) found.push(`${page} needs ${needed} of ${width}`);
    frame.remove();
  }
  document.getElementById("found").textContent = "measured:" + found.join(", ") + ".";
}
measure();</script>"""


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_pages_fit_into_their_window(site, html, tmp_path):
  shown = [path for path in html if path.startswith(("docs/", "results/")) or "/" not in path]
  (site / "measure.html").write_text(_MEASURE.replace("PAGES", json.dumps(sorted(shown))))
  command = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
  command += ["--virtual-time-budget=200000", f"--user-data-dir={tmp_path}", "--dump-dom"]
  dom = subprocess.run(
    [BROWSER, *command, (site / "measure.html").as_uri()],
    capture_output=True,
    text=True,
    check=True,
    timeout=300,
  ).stdout
  (site / "measure.html").unlink()
  assert re.findall(r"measured:(.*)\.</pre>", dom) == [""]
