"""The command `aejax`: train, evaluate, sample and report.

The scripts in experiments/ of the repository run the same functions.
"""

import contextlib
import io
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from aejax import __version__, _checks
from aejax._messages import AejaxWarning, logger

__all__ = ["COMMANDS", "main", "user_errors"]

COMMANDS = {
  "train": "Trains an autoencoder, scores it on the test set and plots what it generates.",
  "evaluate": "Scores a trained run on the test set again, and makes its plots again.",
  "sample": "Saves images that a trained run generates, as a grid in a PNG file.",
  "report": "Makes one web page of a scored run, or of several side by side.",
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
      command = str(_checks.one_of("command", given[0], COMMANDS))
      prog, given = f"{prog} {command}", given[1:]

    from aejax import _commands  # needs the extra "train", and says so

    _commands.compilation_cache()
    getattr(_commands, command)(given, prog=prog)


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
  """Turns errors that the user can correct into one sentence on stderr and exit code 2.

  These are an OSError, and a ValueError or ImportError raised by a file of aejax or of the script
  that runs. Any other error is a defect and keeps its traceback. Warnings and notes of aejax are
  shown on stderr.
  """
  for stream in (sys.stdout, sys.stderr):
    if isinstance(stream, io.TextIOWrapper):  # a terminal may not have the letters γ and λ
      stream.reconfigure(errors="replace")
  try:
    with _messages_on_stderr():
      yield
  except (ValueError, ImportError, OSError) as error:
    frames = traceback.extract_tb(error.__traceback__)
    script = getattr(sys.modules["__main__"], "__file__", None) or __file__
    ours = tuple(str(Path(file).resolve().parent) + os.sep for file in (__file__, script))
    if not isinstance(error, OSError) and not frames[-1].filename.startswith(ours):
      raise
    sentence = " ".join(str(error).split())  # names of files may contain line breaks
    printable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in sentence)
    print(f"error: {printable}", file=sys.stderr)
    sys.exit(2)
  except KeyboardInterrupt:
    sys.exit(130)


class _StderrHandler(logging.StreamHandler):
  """Writes to the current `sys.stderr`, which the progress bar replaces while it is shown."""

  def emit(self, record: logging.LogRecord) -> None:
    self.setStream(sys.stderr)
    super().emit(record)


@contextlib.contextmanager
def _messages_on_stderr() -> Iterator[None]:
  """Prints each warning and note of aejax as one line on stderr."""
  if any(isinstance(handler, _StderrHandler) for handler in logger.handlers):
    yield  # an enclosing block prints them
    return
  handler = _StderrHandler()
  # Orbax's messages about every save would bury the progress bar; aejax reports its errors itself.
  for name in ("absl", "asyncio"):
    logging.getLogger(name).setLevel(logging.CRITICAL)
  level, propagate = logger.level, logger.propagate
  with warnings.catch_warnings():
    show = warnings.showwarning

    def show_ours(message, category, filename, lineno, file=None, line=None) -> None:
      if issubclass(category, AejaxWarning):
        print(f"warning: {message}", file=sys.stderr, flush=True)
      else:
        show(message, category, filename, lineno, file, line)

    warnings.simplefilter("always", AejaxWarning)
    warnings.showwarning = show_ours
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
      yield
    finally:
      logger.removeHandler(handler)
      logger.setLevel(level)
      logger.propagate = propagate


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
