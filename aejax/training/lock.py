"""One run a work directory: two processes that wrote to the same one would lose each other's."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["locked"]


@contextlib.contextmanager
def locked(workdir: Path) -> Iterator[None]:
  """Holds the work directory for this process; a process that ends, however, lets go of it.

  Where the system or the disk knows no locks on folders, nothing is held.

  Raises:
    ValueError: if another process holds it.
  """
  workdir.mkdir(parents=True, exist_ok=True)
  with contextlib.ExitStack() as stack:
    with contextlib.suppress(ImportError):  # Windows has no fcntl
      import fcntl

      folder = os.open(workdir, os.O_RDONLY)
      stack.callback(os.close, folder)
      try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
      except BlockingIOError:
        raise ValueError(f"{workdir} is in use: another process trains in it.") from None
      except OSError:
        pass
    yield
