"""Runs the tutorials as written, and keeps what they print and plot.

    python docs/tutorials/run.py              every page; ten minutes on two CPU cores
    python docs/tutorials/run.py vectors      one page

The Python blocks of a page run one after the other, in an empty folder and a fresh process. A
block of text after a Python block becomes what that block printed. A picture `images/PAGE-NAME` of
the page becomes the file NAME that the page wrote.
"""

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

__all__ = ["HERE", "blocks", "execute", "pictures"]

HERE = Path(__file__).parent
_BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)


def blocks(page: str) -> list[str]:
  """Returns the Python blocks of a page."""
  return [block for block, _ in _BLOCK.findall((HERE / f"{page}.md").read_text(encoding="utf-8"))]


def pictures(page: str) -> list[str]:
  """Returns the names of the pictures that a page writes."""
  text = (HERE / f"{page}.md").read_text(encoding="utf-8")
  return re.findall(rf"\]\(images/{page}-([\w.-]+)\)", text)


def execute(page: str, *, short: bool = False) -> list[str]:
  """Runs the blocks of a page in the current folder.

  Args:
    page: name of the page.
    short: whether EPOCHS and STEPS, the constants of the pages, become 2.

  Returns:
    What each block printed.
  """
  scope, outputs = {"__name__": "__main__"}, []
  for block in blocks(page):
    if short:
      block = re.sub(r"^(EPOCHS|STEPS) = .*$", r"\1 = 2", block, flags=re.MULTILINE)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
      exec(compile(block, f"{page}.md", "exec"), scope)
    outputs.append(printed.getvalue())
  return outputs


def _update(page: str) -> None:
  """Runs a page and writes its outputs and pictures."""
  path = HERE / f"{page}.md"
  with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
    outputs = iter(execute(page))

    def replace(match: re.Match[str]) -> str:
      printed = next(outputs)
      block = f"```python\n{match[1]}```\n"
      return f"{block}\n```text\n{printed.rstrip()}\n```\n" if printed.strip() else block

    text = _BLOCK.sub(replace, path.read_text(encoding="utf-8"))
    (HERE / "images").mkdir(exist_ok=True)
    for name in pictures(page):
      # 256 colours are enough for plots and small pictures, at a third of the size.
      picture = Image.open(name).convert("RGB").quantize(256, dither=Image.Dither.NONE)
      picture.save(HERE / "images" / f"{page}-{name}", optimize=True)
  path.write_text(text, encoding="utf-8")


def main() -> None:
  """Runs the pages that the command line names, each in a process of its own."""
  if sys.argv[1:2] == ["--here"]:
    return _update(sys.argv[2])
  for page in sys.argv[1:] or sorted(path.stem for path in HERE.glob("*.md")):
    start = time.perf_counter()
    subprocess.run([sys.executable, __file__, "--here", page], check=True, env=os.environ)
    print(f"{page}: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
  main()
