"""Trains an autoencoder, scores it on the test set and plots what it generates.

  python experiments/train.py cwae --dataset digits --workdir runs/cwae-digits

On two CPU cores this takes about half a minute. The work directory then holds config.json,
metrics.jsonl, summary.json, checkpoints/, the plots and report.html. Installed: `aejax train`.
"""

from aejax.cli import main

if __name__ == "__main__":
  main(command="train", prog="train.py")
