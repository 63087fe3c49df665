"""The command `aejax`: train, evaluate, sample, report and export.

The scripts in experiments/ of the repository run the same functions.
"""

import sys
from collections.abc import Sequence

from aejax import __version__
from aejax._user_errors import user_errors

__all__ = ["COMMANDS", "main"]

COMMANDS = {
  "train": "Trains an autoencoder, scores it on the test set and plots what it generates.",
  "evaluate": "Scores a trained run on the test set again, and makes its plots again.",
  "sample": "Saves images that a trained run generates, as a grid in a PNG file.",
  "report": "Makes one web page of a scored run, or of several side by side.",
  "export": "Writes a trained model as files for others: weights, programs, a model card.",
}
"""The commands and what they do."""


def main(
  arguments: Sequence[str] | None = None, *, command: str | None = None, prog: str = "aejax"
) -> None:
  """Runs a command of the command line.

  A user's mistake ends the process with one sentence on stderr and exit code 2.

  Args:
    arguments: the arguments; those of the process by default.
    command: the command, for a script that is one; by default it is the first argument.
    prog: the name of the program, for the help.
  """
  given = list(sys.argv[1:] if arguments is None else arguments)
  with user_errors():
    if command is None:
      if given[:1] == ["--version"]:
        print(f"aejax {__version__}")
        return
      if not given or given[0] in ("-h", "--help"):
        print(_usage(), file=sys.stdout if given else sys.stderr)
        sys.exit(0 if given else 2)
      from aejax import _checks  # needs JAX, which --help and --version do without

      command = str(_checks.one_of("command", given[0], COMMANDS))
      prog, given = f"{prog} {command}", given[1:]

    from aejax import _commands  # needs the extra "train", and says so

    _commands.compilation_cache()
    getattr(_commands, command)(given, prog=prog)


def _usage() -> str:
  lines = [f"  {name:10}{summary}" for name, summary in COMMANDS.items()]
  return "\n".join(
    [
      "Trains autoencoders whose latent distribution is matched to a prior.",
      "",
      "usage: aejax COMMAND [options]",
      "",
      "commands:",
      *lines,
      "",
      "aejax COMMAND --help shows a command's options; aejax --version the version.",
    ]
  )
