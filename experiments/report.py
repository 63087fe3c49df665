"""Makes one web page of a scored run, or of several runs next to each other.

  python experiments/report.py runs/cwae-digits runs/vae-digits --out report.html

The page contains its plots and needs no network. train.py and evaluate.py write such a page into
the work directory of each run, report.html. The installed command is `aejax report`.
"""

from aejax.cli import main

if __name__ == "__main__":
  main(command="report", prog="report.py")
