"""Trains an autoencoder, scores it on the test set and draws what it generates.

  python experiments/train.py cwae --dataset digits --workdir runs/cwae-digits

On two CPU cores this takes about half a minute. The work directory then holds config.json,
metrics.jsonl, summary.json, checkpoints/ and the pictures.
"""

import sys
from typing import Any

import jax

from aejax.command_line import choose_method, compilation_cache, user_errors
from aejax.evaluation import score, table
from aejax.training import Interrupted, Options, prepare, processes, train


def main(arguments: list[str]) -> None:
  """Trains, scores, draws."""
  method, objective, options = choose_method(Options, arguments, description=__doc__ or "")
  several = options.coordinator, options.num_processes, options.process_id
  with processes(options.distributed, *several), user_errors():
    run(method, objective, options)


def run(method: str, objective: dict[str, Any], options: Options) -> None:
  """Trains, in all processes; scores and draws, in the first."""
  configuration, dataset, workdir = prepare(method, objective, options)
  try:
    timing = train(configuration, dataset, workdir)
  except Interrupted as interrupted:
    print(interrupted, file=sys.stderr)
    sys.exit(128 + interrupted.signal_number)
  if jax.process_index() > 0:
    return
  summary, pictures = score(configuration, dataset, workdir, timing=timing)
  print(table(summary))
  for picture in pictures:
    print(picture)


if __name__ == "__main__":
  compilation_cache()
  with user_errors():
    main(sys.argv[1:])
