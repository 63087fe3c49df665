"""The report in a browser: sizes, labels, whole pixels, the latent plane, the dark page."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from aejax.evaluation import write_report

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

# Measures the page in iframes of three widths: one start of the browser instead of three.
PROBE = """<body><script>
const found = [];
function measure(frame, width) {
  const page = frame.contentDocument, view = frame.contentWindow;
  const tiles = [...page.querySelectorAll("img[data-factor]")];
  const box = page.querySelector(".plane"), map = box.querySelector(".latents");
  const say = () => box.querySelector("output").value;
  const area = map.getBoundingClientRect(), before = say();
  const at = {clientX: area.left + area.width * .75, clientY: area.top + area.height * .25};
  map.dispatchEvent(new view.PointerEvent("pointerdown", {...at, pointerType: "touch"}));
  const tapped = say();
  map.dispatchEvent(new view.KeyboardEvent("keydown", {key: "ArrowLeft"}));
  const moved = say(), tile = box.querySelector(".tile");
  const pixels = tile.getContext("2d").getImageData(0, 0, tile.width, tile.height).data;
  const labels = [...page.querySelectorAll("svg.curves text")].map(t => t.getBoundingClientRect());
  const plots = [...page.querySelectorAll(".plot img")].map(
    i => i.getBoundingClientRect().width / i.getAttribute("width") * 14);
  page.querySelector("button.zoom").click();
  found.push({width, scroll: page.documentElement.scrollWidth, before, tapped, moved,
    drawn: new Set(pixels).size, opened: page.querySelector("dialog").open,
    label: Math.min(...labels.map(l => l.height), ...plots),
    scales: tiles.map(i => i.dataset.factor * i.getBoundingClientRect().width / i.naturalWidth),
    columns: getComputedStyle(page.querySelector(".runs, .one")).gridTemplateColumns
      .split(" ").length,
    broken: [...page.images].filter(i => i.src && !i.complete).length});
}
addEventListener("load", () => setTimeout(() => {
  for (const frame of document.querySelectorAll("iframe")) measure(frame, frame.clientWidth);
  document.documentElement.dataset.found = JSON.stringify(found);
}, 700));
</script>"""


def _measure(page, widths, tmp_path):
  frames = "".join(
    f'<iframe src="{page.as_uri()}" style="border:0;width:{width}px;height:900px"></iframe>'
    for width in widths
  )
  harness = tmp_path / "harness.html"
  harness.write_text(f"<!doctype html>{PROBE}{frames}</body>", encoding="utf-8")
  done = subprocess.run(
    [
      BROWSER,
      *("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000"),
      *("--allow-file-access-from-files", "--window-size=2000,900", "--dump-dom"),
      harness.as_uri(),
    ],
    capture_output=True,
    text=True,
    timeout=300,
  )
  match = re.search(r'data-found="(.*?)"', done.stdout)
  assert match is not None, done.stderr
  return json.loads(html.unescape(match[1]))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
@pytest.mark.parametrize(
  ("runs", "widths", "columns"),
  [
    (2, [390], [1]),
    *(
      pytest.param(runs, [390, 1280, 1920], columns, marks=pytest.mark.slow)
      for runs, columns in ((1, [1, 1, 1]), (2, [1, 2, 2]), (4, [1, 2, 4]), (10, [1, 2, 5]))
    ),
  ],
)
def test_report_is_right_in_a_browser(digits_run, second, tmp_path, runs, widths, columns):
  """Nothing is wider than the window, labels can be read, pixels are whole, the plane answers."""
  folders = [
    digits_run,
    second,
    *(tmp_path / f"a-run-with-a-long-name-{k}" for k in range(runs - 2)),
  ]
  for folder in folders[2:]:
    shutil.copytree(digits_run, folder)
  page = write_report(tmp_path / "page.html", folders[:runs])
  found = _measure(page, widths, tmp_path)
  assert [each["width"] for each in found] == widths
  assert [each["columns"] for each in found] == columns
  for each in found:
    assert each["scroll"] <= each["width"]
    assert each["label"] >= 9
    assert each["scales"]
    assert each["scales"] == pytest.approx([round(scale) for scale in each["scales"]], abs=0.02)
    assert each["broken"] == 0
    assert each["opened"]
    assert each["drawn"] > 3
    assert each["before"] == "(0.00, 0.00)"
    across, up = map(float, each["tapped"].strip("()").split(","))
    assert 1.2 < across < 1.8
    assert 1.2 < up < 1.8
    left = float(each["moved"].strip("()").split(",")[0])
    assert left == pytest.approx(across - 6 / 39, abs=0.02)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_report_is_dark_where_the_reader_wants_it(digits_run, tmp_path):
  levels = []
  for flags in ((), ("--force-dark-mode", "--blink-settings=preferredColorScheme=0")):
    shot = tmp_path / "shot.png"
    subprocess.run(
      [
        BROWSER,
        *("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=4000"),
        *(*flags, "--window-size=800,1200", f"--screenshot={shot}"),
        (digits_run / "report.html").as_uri(),
      ],
      check=True,
      capture_output=True,
      timeout=120,
    )
    with Image.open(shot) as image:
      pixels = np.asarray(image.convert("L"))
    assert pixels.std() > 20  # the page is not blank
    levels.append(float(np.median(pixels[:, 700:])))
  assert levels[0] > 200
  assert levels[1] < 60
