"""Checks and times aejax on the accelerator of this machine, within ten minutes.

  python experiments/accelerator.py

It runs from a clone, without an installation of aejax, and needs jax for the device, flax, optax,
orbax, jaxtyping, numpy, scipy and rich. It compares every distance, method and network with the CPU
of the same machine, times the sizes of tiles, distances and training steps, and measures memory.
The results are results/accelerator/DEVICE/results.json and results.md. The exit code is 1 if
something is wrong or was not reached.
"""

import argparse
import math
import shlex
import sys
import time
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))  # aejax itself, in a clone

from accelerator_checks import report
from accelerator_checks.stages import STAGES, run_stage

from aejax import _checks
from aejax._user_errors import user_errors


def main(arguments: list[str] | None = None) -> int:
  """Runs the stages one after the other, writes the page after each, and returns the exit code."""
  options = _options(arguments)
  end = time.monotonic() + 60 * options.minutes
  command = "python experiments/accelerator.py " + shlex.join(
    sys.argv[1:] if arguments is None else arguments
  )
  wanted = ["environment", *(name for name in STAGES if name in options.stages)]
  results: dict[str, list] = {}
  paths: list[Path] = []
  for number, name in enumerate(dict.fromkeys(wanted)):
    left = sum(STAGES[later].share for later in wanted[number:])
    seconds = (end - time.monotonic()) * STAGES[name].share / left
    if seconds > 0:
      print(f"{STAGES[name].title} (at most {seconds:.0f} s)", file=sys.stderr, flush=True)
      results[name] = run_stage(name, quick=options.quick, seconds=seconds)
    else:  # a stage before took longer than its share
      results[name] = [{"incomplete": "no time was left"}]
    if name == "environment" and "device" not in results[name][0]:
      raise ValueError(f"JAX found no device: {results[name][0]['incomplete']}.")
    device = results["environment"][0]["device"]
    paths = report.write(options.out / report.folder_name(device), results, command=command.strip())
  for path in paths:
    print(path)
  wrong = report.failures(results)
  for line in wrong:
    print(line, file=sys.stderr)
  return 1 if wrong else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
  # tyro, which the other scripts use, is missing on many machines with accelerators.
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument(
    "--out", type=Path, default=Path("results/accelerator"), help="folder of the devices' folders"
  )
  parser.add_argument("--quick", action="store_true", help="tiny sizes, to try the script")
  parser.add_argument("--minutes", type=float, default=9.0, help="minutes that all stages share")
  parser.add_argument(
    "--stages", nargs="+", default=list(STAGES), metavar="STAGE", help=f"some of {list(STAGES)}"
  )
  options = parser.parse_args(arguments)
  for name in options.stages:
    _checks.one_of("stage", name, STAGES)
  if not (options.minutes > 0 and math.isfinite(options.minutes)):
    raise ValueError(f"minutes must be positive, but is {options.minutes}.")
  _checks.folder("out", options.out)
  return options


if __name__ == "__main__":
  with user_errors():
    sys.exit(main())
