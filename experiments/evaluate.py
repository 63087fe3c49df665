"""Scores a trained run on the test set again, and makes its plots again.

  python experiments/evaluate.py runs/cwae-digits

With `--inception` and the file weights-inception-2015-12-05-6726825d.pth, which torch-fidelity
publishes, the samples' FID too; with ten thousand test images that takes hours on a CPU.
Installed: `aejax evaluate`.
"""

from aejax.cli import main

if __name__ == "__main__":
  main(command="evaluate", prog="evaluate.py")
