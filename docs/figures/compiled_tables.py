"""Writes the tables of compiled programs into cost.md and devices.md, from results/compiled.

python docs/figures/compiled_tables.py
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "experiments"))
from compiled import report  # isort: skip

COST = ("cramer_wold", "mmd_imq", "energy_distance", "kernel_stein", "sliced_wasserstein")
# Bytes a second that a device receives, and seconds a step, from the makers' data sheets.
LINKS = {"h100": ("NVLink", 450e9), "v5e": ("interconnect", 200e9)}


def cost_table(found) -> str:
  """Returns the table of distances on one H100 and one v5e chip."""
  rows = {
    (target, row.program, row.sizes): row
    for target in ("h100", "v5e")
    for row in found[target]["rows"]
    if not row.error
  }
  lines = [
    "| distance | n | H100: kernels | traffic, GB | temporaries, MiB | v5e: operations "
    "| Mcycles (model) | temporaries, MiB |",
    f"|---|{'---:|' * 7}",
  ]
  for name in COST:
    for n in (2048, 8192, 65_536):
      gpu, tpu = (rows[target, name, f"n {n:,}, D 64"] for target in ("h100", "v5e"))
      lines.append(
        f"| `{name}` | {n:,} | {gpu.kernels:,} | {gpu.traffic / 1e9:.2f} "
        f"| {gpu.temporaries / 2**20:.0f} | {tpu.kernels:,} | {tpu.cycles / 1e6:.2f} "
        f"| {tpu.temporaries / 2**20:.0f} |"
      )
  return "\n".join(lines)


def devices_table(found) -> str:
  """Returns the table of programs on several devices."""
  lines = [
    "| devices | program | products, of one device's | arguments, MiB | temporaries, MiB "
    "| collectives | received, MB | at the speed of the link, ms |",
    f"|---|---|{'---:|' * 6}",
  ]
  for target in ("h100:8", "v5e:4x4", "v5e:16x16"):
    kind = target.partition(":")[0]
    one = {(row.program, row.sizes): row for row in found[kind]["rows"]}
    for row in found[target]["rows"]:
      alone = one.get((row.program, row.sizes))
      counted = alone and alone.products and row.products and not row.sizes.startswith("batch")
      share = f"1/{alone.products / row.products:.1f}" if counted else ""
      collectives = ", ".join(f"{number} {name}" for name, number in row.collectives.items())
      lines.append(
        f"| {report.describe(target).partition(' that')[0]} | {row.program}, {row.sizes} | {share} "
        f"| {row.arguments / 2**20:,.1f} | {row.temporaries / 2**20:,.0f} | {collectives} "
        f"| {row.received / 1e6:,.2f} | {1e3 * row.received / LINKS[kind][1]:.3f} |"
      )
  return "\n".join(lines)


TABLES = {"cost.md": cost_table, "devices.md": devices_table}
_START, _END = "<!-- compiled -->\n\n", "\n\n<!-- end -->"


def pages() -> dict[Path, str]:
  """Returns the text of the pages with the tables of results/compiled."""
  found = report.read(ROOT / "results/compiled")
  pages = {}
  for name, table in TABLES.items():
    path, made = ROOT / "docs" / name, table(found)
    text = path.read_text(encoding="utf-8")
    start, end = text.index(_START) + len(_START), text.index(_END)
    pages[path] = text[:start] + made + text[end:]
  return pages


def main() -> None:
  """Writes the tables."""
  for path, text in pages().items():
    path.write_text(text, encoding="utf-8")
    print(path)


if __name__ == "__main__":
  main()
