"""Trains an autoencoder, scores it on the test set and draws what it generates.

  python experiments/train.py cwae --dataset digits --workdir runs/cwae-digits

On two CPU cores this takes about half a minute. The work directory then holds config.json,
metrics.jsonl, summary.json, checkpoints/ and the pictures.
"""

import sys

from aejax.command_line import choose_method, compilation_cache, user_errors
from aejax.evaluation import score, table
from aejax.training import Interrupted, Options, prepare, train


def main(arguments: list[str]) -> None:
  """Trains, scores, draws."""
  method, objective, options = choose_method(Options, arguments, description=__doc__ or "")
  configuration, dataset, workdir = prepare(method, objective, options)
  try:
    timing = train(configuration, dataset, workdir)
  except Interrupted as interrupted:
    print(interrupted, file=sys.stderr)
    sys.exit(128 + interrupted.signal_number)
  summary, pictures = score(configuration, dataset, workdir, **timing)
  print(table(summary))
  for picture in pictures:
    print(picture)


if __name__ == "__main__":
  compilation_cache()
  with user_errors():
    main(sys.argv[1:])
