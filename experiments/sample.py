"""Saves images that a trained run generates from the prior, or from a density fitted afterwards.

  python experiments/sample.py runs/cwae-digits --num 64 --out samples.png

The installed command is `aejax sample`.
"""

from aejax.cli import main

if __name__ == "__main__":
  main(command="sample", prog="sample.py")
