import base64
import html
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from aejax import cli
from aejax.evaluation import report
from aejax.evaluation.report import write_report

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


class Page(HTMLParser):
  """Collects sources, headings, words and table rows of a page, and checks that elements nest."""

  VOID = ("meta", "img", "br", "link")

  def __init__(self, text):
    super().__init__()
    self.open, self.sources, self.headings, self.words, self.rows = [], [], [], [], []
    self.feed(text)
    self.close()
    assert self.open == []

  def handle_starttag(self, tag, attributes):
    if tag not in self.VOID:
      self.open.append(tag)
    if tag == "tr":
      self.rows.append([])
    elif tag in ("td", "th"):
      self.rows[-1].append("")
    for name, value in attributes:
      if name in ("src", "href", "data-sprite"):
        self.sources.append(value)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    if self.open and self.open[-1] in ("h2", "h3"):
      self.headings.append(data)
    if self.open and self.open[-1] in ("td", "th"):
      self.rows[-1][-1] += data
    self.words.append(data.strip())


@pytest.fixture(scope="module")
def second(digits_run, tmp_path_factory):
  """Another run, without a plane, and with a name that HTML must escape."""
  folder = tmp_path_factory.mktemp("other") / "a <b> & c"
  shutil.copytree(digits_run, folder)
  for name in ("plane.json", "latents.png"):
    (folder / name).unlink()
  return folder


def test_write_report_of_a_run(digits_run):
  page = Page((digits_run / "report.html").read_text(encoding="utf-8"))
  for heading in ("Metrics", "Samples", "Latent marginals", "Quantiles", "Settings"):
    assert heading in page.headings
  summary = json.loads((digits_run / "summary.json").read_text())
  assert f"{summary['reconstruction_error']:.4g}" in page.words
  assert "mardia skewness" in page.words
  assert any(word.startswith("cwae: scored on 359 test images of digits.") for word in page.words)
  # The page needs no network: plots are embedded, and links lead to its own sections.
  assert len(page.sources) > 15
  assert all(source.startswith(("data:image/png;base64,", "#")) for source in page.sources)
  plots = [source for source in page.sources if source.startswith("data:")]
  first = base64.b64decode(plots[1].split(",")[1])
  assert first == (digits_run / "samples.png").read_bytes()


def test_write_report_puts_runs_side_by_side(digits_run, second, tmp_path):
  out = write_report(tmp_path / "new" / "both.html", [digits_run, second])
  page = Page(out.read_text(encoding="utf-8"))
  assert page.headings.count("a <b> & c") == page.headings.count(digits_run.name) - 2
  assert page.words.count("CWAE") == 0
  assert page.words.count('"cwae"') == 0
  assert page.words.count("cwae") == 2  # in the settings


def test_write_report_has_a_column_for_each_run(digits_run, tmp_path):
  summary = json.loads((digits_run / "summary.json").read_text())
  for name, error in (("high", 30.0), ("low", 2.0)):
    folder = shutil.copytree(digits_run, tmp_path / name)
    changed = summary | {"reconstruction_error": error, "normal_latents": {"mmd": 0.25}}
    (folder / "summary.json").write_text(json.dumps(changed))
  out = write_report(tmp_path / "r.html", [tmp_path / "high", tmp_path / "low"])
  rows = Page(out.read_text(encoding="utf-8")).rows
  assert rows[0] == ["", "high", "low", "normal latents"]
  assert ["reconstruction error", "30", "2", ""] in rows
  mmd = f"{summary['mmd']:.4g}"
  assert ["mmd", mmd, mmd, "0.25"] in rows
  assert ["", "high", "low"] in rows  # the settings
  assert ["method", "cwae", "cwae"] in rows


def test_write_report_shows_each_run_below_its_name(digits_run, tmp_path):
  folders = [shutil.copytree(digits_run, tmp_path / name) for name in ("first", "second")]
  for folder in folders:
    (folder / "samples.png").write_bytes(folder.name.encode())
  text = write_report(tmp_path / "r.html", folders).read_text(encoding="utf-8")
  for folder in folders:
    content = base64.b64encode(folder.name.encode()).decode()
    assert f'<h3>{folder.name}</h3><figure><img src="data:image/png;base64,{content}"' in text


@pytest.mark.parametrize(
  ("folders", "names"),
  [
    (["x/run", "y/run"], ["x", "y"]),
    (["runs/cwae", "runs/vae"], ["cwae", "vae"]),
    (["t/ae/seed-0", "t/vae/seed-0", "t/vae/seed-1"], ["ae/seed-0", "vae/seed-0", "vae/seed-1"]),
    (["b/a/run", "c/a/run"], ["b", "c"]),
    (["run/a/a", "run/a"], ["a", "run"]),
    (["d/one", "e/two"], ["one", "two"]),
    (["one"], ["one"]),
  ],
)
def test_names_distinguish_runs(tmp_path, folders, names):
  found = report._names([tmp_path / folder for folder in folders])
  assert found == names


def test_write_report_says_what_the_examples_of_each_run_are(digits_run, tmp_path):
  other = shutil.copytree(digits_run, tmp_path / "vectors")
  for name, changes in (
    ("config.json", {"image_shape": [64]}),
    ("summary.json", {"dataset": "given:array", "test_images": 7}),
  ):
    values = json.loads((other / name).read_text()) | changes
    (other / name).write_text(json.dumps(values))
  path = write_report(tmp_path / "report.html", [digits_run, other])
  text = path.read_text(encoding="utf-8")
  assert "scored on 359 test images of digits, 7 test vectors of a given data set." in text
  assert "Test images, each above its reconstruction." in text
  assert "At most twelve features of test vectors, reconstructed against true." in text


def test_write_report_shortens_the_title_of_many_runs(digits_run, tmp_path):
  folders = [shutil.copytree(digits_run, tmp_path / name / "seed-0") for name in "abcd"]
  text = write_report(tmp_path / "r.html", folders).read_text(encoding="utf-8")
  assert "<title>4 runs</title>" in text
  assert set("abcd") <= set(Page(text).headings)
  text = write_report(tmp_path / "r.html", folders[:3]).read_text(encoding="utf-8")
  assert "<title>a, b, c</title>" in text


def test_write_report_rejects_runs_without_scores(digits_run, tmp_path):
  with pytest.raises(ValueError, match=r"nothing holds no scored run: there is no summary\.json"):
    write_report(tmp_path / "r.html", [digits_run, tmp_path / "nothing"])
  with pytest.raises(ValueError, match="runs must name one work directory or more"):
    write_report(tmp_path / "r.html", [])
  assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
@pytest.mark.parametrize("width", [1280, 390])
def test_report_works_in_a_browser(digits_run, second, tmp_path, width):
  """No script fails, the decoded tile is drawn, and no element is wider than the window."""
  page = write_report(tmp_path / "page.html", [digits_run, second])
  text = page.read_text(encoding="utf-8")
  probe = """<script>
  const errors = [];
  addEventListener("error", event => errors.push(event.message));
  addEventListener("load", () => setTimeout(() => {
    const root = document.documentElement;
    const tile = document.querySelector("canvas.tile");
    const pixels = tile.getContext("2d").getImageData(0, 0, tile.width, tile.height).data;
    const map = document.querySelector(".plane canvas");
    const box = map.getBoundingClientRect();
    const say = () => document.querySelector(".plane output").value;
    const before = say();
    map.dispatchEvent(new PointerEvent("pointermove",
      {clientX: box.left + box.width * 0.75, clientY: box.top + box.height * 0.25}));
    root.dataset.found = JSON.stringify({errors, before, after: say(),
      scroll: root.scrollWidth, window: innerWidth,
      drawn: new Set(pixels).size, broken: [...document.images].filter(i => !i.complete).length});
  }, 500));
  </script></head>"""
  page.write_text(text.replace("</head>", probe), encoding="utf-8")
  done = subprocess.run(
    [
      BROWSER,
      *("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=4000"),
      *(f"--window-size={width},900", "--dump-dom", page.as_uri()),
    ],
    capture_output=True,
    text=True,
    timeout=120,
  )
  match = re.search(r'data-found="(.*?)"', done.stdout)
  assert match is not None, done.stderr
  found = json.loads(html.unescape(match[1]))
  assert found["errors"] == []
  assert found["scroll"] <= found["window"]
  assert found["drawn"] > 3
  assert found["before"] == "z = (0.00, 0.00)"
  assert found["after"] == "z = (1.50, 1.50)"


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_report_is_drawn_by_a_browser(digits_run, tmp_path):
  shot = tmp_path / "shot.png"
  subprocess.run(
    [
      BROWSER,
      *("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=4000"),
      *("--window-size=800,1200", f"--screenshot={shot}", (digits_run / "report.html").as_uri()),
    ],
    check=True,
    capture_output=True,
    timeout=120,
  )
  with Image.open(shot) as image:
    pixels = np.asarray(image.convert("L"))
  assert pixels.std() > 20  # the page is not blank


def test_report_command_writes_the_page(digits_run, tmp_path, capsys):
  cli.main(["report", str(digits_run), "--out", str(tmp_path / "x.html"), "--title", "A run"])
  assert capsys.readouterr().out == f"{tmp_path / 'x.html'}\n"
  assert "<title>A run</title>" in (tmp_path / "x.html").read_text(encoding="utf-8")
  assert "tensorflow" not in sys.modules
