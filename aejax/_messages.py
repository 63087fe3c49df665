"""What the library reports besides results: warnings, and notes of its progress.

The library prints nothing. Warnings go through `warnings`, with a category of their own; notes go
to the logger `aejax` at level INFO, which Python shows only where the program asks for it:

    logging.basicConfig()
    logging.getLogger("aejax").setLevel(logging.INFO)

The command line shows both.
"""

import logging
import os
import sys
import warnings

__all__ = ["AejaxWarning", "logger", "warn"]

logger = logging.getLogger("aejax")

_PACKAGE = os.path.dirname(__file__) + os.sep


class AejaxWarning(UserWarning):
  """A result is usable, but something about it needs the user's attention."""


def warn(sentence: str) -> None:
  """Issues an `AejaxWarning` at the innermost line outside aejax: the user's call."""
  frame, level = sys._getframe(1), 2
  while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
    frame, level = frame.f_back, level + 1
  warnings.warn(sentence, AejaxWarning, stacklevel=level)
