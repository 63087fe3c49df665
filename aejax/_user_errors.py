"""The edge between a command and the library: errors and messages as lines on stderr."""

import contextlib
import io
import logging
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from aejax._messages import AejaxWarning, logger

__all__ = ["user_errors"]


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
    raised_in = traceback.extract_tb(error.__traceback__)[-1].filename
    if not isinstance(error, OSError) and not _is_ours(raised_in):
      raise
    sentence = " ".join(str(error).split())  # names of files may contain line breaks
    printable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in sentence)
    print(f"error: {printable}", file=sys.stderr)
    sys.exit(2)
  except KeyboardInterrupt:
    sys.exit(130)


def _is_ours(file: str) -> bool:
  """Whether a file belongs to aejax, or lies in the folder of the script that runs."""
  path = Path(file).resolve()
  if path.is_relative_to(Path(__file__).resolve().parent):
    return True
  script = getattr(sys.modules["__main__"], "__file__", None)
  if script is None or "site-packages" in path.parts:
    return False
  return path.is_relative_to(Path(script).resolve().parent)


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
  others = [logging.getLogger(name) for name in ("absl", "asyncio")]
  other_levels = [other.level for other in others]
  for other in others:
    other.setLevel(logging.CRITICAL)
  level, propagate = logger.level, logger.propagate
  with warnings.catch_warnings():
    show = warnings.showwarning

    def show_ours(
      message: Warning | str,
      category: type[Warning],
      filename: str,
      lineno: int,
      file: TextIO | None = None,
      line: str | None = None,
    ) -> None:
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
      for other, previous in zip(others, other_levels, strict=True):
        other.setLevel(previous)
      logger.removeHandler(handler)
      logger.setLevel(level)
      logger.propagate = propagate
