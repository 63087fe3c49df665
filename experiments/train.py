"""Trains an autoencoder, scores it on the test set and plots what it generates.

  python experiments/train.py cwae --dataset digits --workdir runs/cwae-digits

This takes about half a minute on two CPU cores. The work directory then holds config.json,
metrics.jsonl, summary.json, checkpoints/, the plots and report.html. The installed command is
`aejax train`.
"""

from aejax.cli import main

if __name__ == "__main__":
  main(command="train", prog="train.py")
