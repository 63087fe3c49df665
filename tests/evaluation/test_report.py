import base64
import json
import re
import shutil
import sys
from html.parser import HTMLParser

import pytest

from aejax import cli
from aejax.evaluation import report_tables, summarise, write_report
from aejax.evaluation.report_runs import names_of


class Page(HTMLParser):
  """Collects sources, headings, words and table rows of a page, and checks that elements nest."""

  VOID = ("meta", "img", "br", "link")

  def __init__(self, text):
    super().__init__()
    self.open, self.sources, self.headings, self.words, self.rows = [], [], [], [], []
    self.images = []
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
    if tag == "img":
      self.images.append(attributes)
    for name, value in attributes:
      if name in ("src", "href", "data-sprite"):
        self.sources.append(value)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    if self.open and self.open[-1] in ("h2", "h3"):
      self.headings.append(data)
    if {"td", "th"} & set(self.open):
      self.rows[-1][-1] += data
    self.words.append(data.strip())


def test_write_report_of_a_run(digits_run):
  page = Page((digits_run / "report.html").read_text(encoding="utf-8"))
  order = ("Samples", "Reconstructions", "Metrics", "Training", "Latent marginals", "Settings")
  places = [page.headings.index(heading) for heading in order]
  assert places == sorted(places)
  summary = json.loads((digits_run / "summary.json").read_text())
  assert f"{summary['reconstruction_error']:.4g}" in page.words
  assert "skewness (Mardia)" in " ".join(page.words)
  assert any(word.startswith("cwae: scored on 359 test images of digits.") for word in page.words)
  # The page needs no network: plots are embedded, and links lead to its own sections.
  assert len(page.sources) > 15
  assert all(source.startswith(("data:image/", "#")) for source in page.sources)
  plots = [source for source in page.sources if source.startswith("data:")]
  assert base64.b64decode(plots[0].split(",")[1]) == (digits_run / "samples.png").read_bytes()
  vectors = [plot for plot in plots if plot.startswith("data:image/svg+xml")]
  assert base64.b64decode(vectors[0].split(",")[1]).startswith(b"<?xml")
  # Each picture says what it shows, and of which run.
  alternatives = [dict(tag).get("alt") for tag in page.images]
  assert all(alternatives[:-1])  # the last is that of the viewer
  assert len(set(alternatives)) == len(alternatives)
  assert alternatives[0].startswith(f"Samples of {digits_run.name} (cwae, digits): ")


def test_write_report_of_a_run_begins_with_five_numbers(digits_run):
  rows = Page((digits_run / "report.html").read_text(encoding="utf-8")).rows
  assert rows[0] == ["", "this run", "reference", ""]
  last = json.loads((digits_run / "metrics.jsonl").read_text().splitlines()[-1])
  assert rows[1][0] == "reconstruction error"
  assert rows[1][2] == f"{last['reconstruction_error']:.4g} training set"
  assert [row[0] for row in rows[4:6]] == ["precision", "recall"]


def test_write_report_puts_runs_side_by_side(digits_run, second, tmp_path):
  out = write_report(tmp_path / "new" / "both.html", [digits_run, second])
  page = Page(out.read_text(encoding="utf-8"))
  assert page.headings.count("a <b> & c") == page.headings.count(digits_run.name) - 2
  assert page.words.count("CWAE") == 0
  assert page.words.count('"cwae"') == 0


@pytest.fixture
def changed(digits_run, tmp_path):
  """Returns a function that copies the run, with other entries of its files."""

  def make(name, *, summary=None, settings=None):
    folder = shutil.copytree(digits_run, tmp_path / name)
    for file, changes in (("summary.json", summary), ("config.json", settings)):
      values = json.loads((folder / file).read_text())
      (folder / file).write_text(json.dumps(values | (changes or {})))
    return folder

  return make


def test_write_report_shows_references_and_the_best_of_each_run(changed, tmp_path):
  high = changed(
    "high",
    summary={"reconstruction_error": 30.0, "mmd": 0.5, "normal_latents": {"mmd": 0.25}},
    settings={"epochs": 7},
  )
  low = changed(
    "low",
    summary={"reconstruction_error": 2.0, "mmd": 0.3, "normal_latents": {"mmd": 0.4}},
  )
  out = write_report(tmp_path / "r.html", [high, low])
  rows = {re.split(" [↓↑]", row[0])[0]: row[1:] for row in Page(out.read_text()).rows}
  assert rows["metric"] == ["high", "low"]
  assert rows["reconstruction error"] == ["30", "2 ★"]
  assert rows["MMD"] == ["0.5normal samples 0.25", "0.3 ★normal samples 0.4"]
  assert rows["setting"] == ["all runs"]
  assert rows["epochs"] == ["7", "2"]
  assert rows["method"] == ["cwae"]
  assert rows["objective: weight"] == ["1.0"]


def test_write_report_compares_runs_of_one_data_set_only(changed, tmp_path):
  one = changed("one", summary={"dataset": "a", "reconstruction_error": 1.0})
  two = changed("two", summary={"dataset": "b", "reconstruction_error": 2.0})
  text = write_report(tmp_path / "r.html", [one, two]).read_text(encoding="utf-8")
  assert "★" not in text


def test_metrics_table_has_the_p_value_of_the_prior_test():
  text = report_tables.metrics_table(["a"], [{"prior_test": {"p_value": 0.25}}])
  (row,) = Page(text).rows[2:]
  assert row[0].startswith("p-value of the Cramer-Wold distance")
  assert row[1] == "0.25"


def test_latents_nearer_than_samples_of_the_prior_are_not_better():
  runs = [{"mmd": value, "normal_latents": {"mmd": 0.1}} for value in (-0.5, 0.05, 0.2)]
  assert report_tables._best("mmd", runs) == {0, 1}
  assert report_tables._best("mmd", runs[:2]) == set()
  errors = [{"recall_x": value} for value in (0.1, 0.9, 0.9)]
  assert report_tables._best("recall_x", errors) == {1, 2}
  assert report_tables._best("mardia_kurtosis", [{"mardia_kurtosis": v} for v in (1, 2)]) == set()


def test_write_report_averages_seeds(changed, tmp_path):
  seeds = [
    changed(f"five/seed-{k}", summary={"reconstruction_error": 1.0 + 2 * k}, settings={"seed": k})
    for k in (0, 1)
  ]
  text = write_report(tmp_path / "r.html", seeds).read_text(encoding="utf-8")
  assert "<title>five: 2 seeds</title>" in text
  rows = Page(text).rows
  assert rows[1][:2] == ["reconstruction error", "2 ± 1"]  # the numbers that matter
  assert ["metric", "five (mean of 2 seeds)"] in rows
  assert any(row[0].startswith("reconstruction error") and row[1] == "2 ± 1" for row in rows)
  assert ["metric", "seed-0", "seed-1"] in rows
  assert ["seed", "0", "1"] in rows
  assert 'class="curve c1' in text
  other = changed("other", settings={"seed": 0, "epochs": 9})
  text = write_report(tmp_path / "s.html", [*seeds, other]).read_text(encoding="utf-8")
  assert Page(text).rows[0] == ["metric", "five (mean of 2 seeds)", "other"]
  # Two seeds of one colour, in two panels, on the training set and on the test set.
  assert text.count('<polyline class="curve c0') == 8
  assert text.count('<polyline class="curve c1') == 4


def test_write_report_of_several_seeds_shows_the_first(changed, tmp_path):
  seeds = [changed(f"five/seed-{k}", settings={"seed": k}) for k in (3, 4)]
  folder = tmp_path / "five"
  summary = summarise(
    folder,
    [
      json.loads((seed / "summary.json").read_text()) | {"mmd": float(k)}
      for k, seed in enumerate(seeds)
    ],
  )
  assert summary["mmd_standard_error"] == 0.5
  settings = json.loads((seeds[0] / "config.json").read_text())
  (folder / "config.json").write_text(json.dumps(settings | {"seeds": 2}))
  text = write_report(tmp_path / "r.html", [folder]).read_text(encoding="utf-8")
  page = Page(text)
  assert any(row[0].startswith("MMD") and row[1].startswith("0.5 ± 0.5") for row in page.rows)
  assert "standard error" not in " ".join(row[0] for row in page.rows)
  assert base64.b64encode((seeds[0] / "samples.png").read_bytes()).decode() in text


def test_write_report_shows_each_run_below_its_name(digits_run, tmp_path):
  folders = [shutil.copytree(digits_run, tmp_path / name) for name in ("first", "second")]
  for folder in folders:
    (folder / "samples.png").write_bytes(folder.name.encode())
  text = write_report(tmp_path / "r.html", folders).read_text(encoding="utf-8")
  for folder in folders:
    content = base64.b64encode(folder.name.encode()).decode()
    assert re.search(f'<h3>{folder.name}</h3><figure.{{0,400}}base64,{content}"', text)


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
  found = names_of([tmp_path / folder for folder in folders])
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


def test_report_command_writes_the_page(digits_run, tmp_path, capsys):
  cli.main(["report", str(digits_run), "--out", str(tmp_path / "x.html"), "--title", "A run"])
  assert capsys.readouterr().out == f"{tmp_path / 'x.html'}\n"
  assert "<title>A run</title>" in (tmp_path / "x.html").read_text(encoding="utf-8")
  assert "tensorflow" not in sys.modules
