"""Scores a trained run on the test set again, and makes its plots again.

  python experiments/evaluate.py runs/cwae-digits

`--inception FILE` adds the FID of the samples. FILE is weights-inception-2015-12-05-6726825d.pth,
which torch-fidelity publishes. With ten thousand test images, this takes hours on a CPU. The
installed command is `aejax evaluate`.
"""

from aejax.cli import main

if __name__ == "__main__":
  main(command="evaluate", prog="evaluate.py")
