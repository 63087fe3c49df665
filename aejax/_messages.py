"""What the library reports besides results: warnings, and notes of its progress.

The library prints nothing. Warnings go through `warnings`, with a category of their own; notes go
to the logger `aejax` at level INFO, which Python shows only where the program asks for it:

    logging.basicConfig()
    logging.getLogger("aejax").setLevel(logging.INFO)

The command line shows both.
"""

import logging
import warnings

__all__ = ["AejaxWarning", "logger", "warn"]

logger = logging.getLogger("aejax")


class AejaxWarning(UserWarning):
  """A result is usable, but something about it needs the user's attention."""


def warn(sentence: str) -> None:
  """Issues an `AejaxWarning` at the caller's caller."""
  warnings.warn(sentence, AejaxWarning, stacklevel=3)
