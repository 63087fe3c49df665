"""Files that are either whole or absent: written beside, then renamed."""

import contextlib
import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["check_space", "clear_partial", "locked", "read_json", "replacing", "write_json"]


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
  """Yields a temporary path in the same folder, which becomes `path` if the block succeeds."""
  path = Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  # Not tempfile's: its files are for their owner only, whatever the umask.
  temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}.partial{path.suffix}")
  temporary.touch(exist_ok=False)
  try:
    yield temporary
    temporary.replace(path)
  finally:
    temporary.unlink(missing_ok=True)


def clear_partial(folder: str | os.PathLike[str]) -> None:
  """Removes what `replacing` and `check_space` left in a folder when they were killed."""
  for path in Path(folder).glob(".*.partial*"):
    path.unlink(missing_ok=True)


def check_space(folder: str | os.PathLike[str], size: int) -> None:
  """Tries whether so many bytes could be written, before something is begun that takes long.

  Raises:
    OSError: if the disk is full, or does not write.
  """
  free = shutil.disk_usage(folder).free
  if free < size:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(folder))
  probe = Path(folder) / f".probe-{secrets.token_hex(4)}.partial"
  try:
    probe.write_bytes(bytes(4096))
  finally:
    probe.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
  """Writes `value` as indented JSON."""
  with replacing(path) as temporary:
    temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike[str]) -> Any:
  """Reads a JSON file.

  Raises:
    ValueError: if it is missing or no JSON.
  """
  try:
    return json.loads(Path(path).read_text(encoding="utf-8"))
  except FileNotFoundError:
    raise ValueError(f"There is no {path}.") from None
  except ValueError as error:
    raise ValueError(f"{path} is damaged: {error}.") from None
  except RecursionError:
    raise ValueError(f"{path} is damaged: it is nested too deeply.") from None


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
