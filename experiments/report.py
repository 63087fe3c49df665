"""Makes one web page of a scored run, or of several side by side.

  python experiments/report.py runs/cwae-digits runs/vae-digits --out report.html

The page holds its plots itself and needs no network. train.py and evaluate.py write one of each
run, report.html in its work directory. Installed: `aejax report`.
"""

from aejax.cli import main

if __name__ == "__main__":
  main(command="report", prog="report.py")
