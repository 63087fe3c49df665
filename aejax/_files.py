"""Atomic writes: a file is written under a temporary name, then renamed."""

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
  # `tempfile` ignores the umask and makes files that only their owner can read.
  temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}.partial{path.suffix}")
  temporary.touch(exist_ok=False)
  try:
    yield temporary
    temporary.replace(path)
  finally:
    temporary.unlink(missing_ok=True)


def clear_partial(folder: str | os.PathLike[str]) -> None:
  """Removes the temporary files of killed processes from a folder."""
  for path in Path(folder).glob(".*.partial*"):
    path.unlink(missing_ok=True)


def check_space(folder: str | os.PathLike[str], size: int) -> None:
  """Checks that a folder has room for `size` bytes, before a long computation.

  Raises:
    OSError: if the disk is full or not writable.
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
    ValueError: if the file is missing or is not valid JSON.
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
  """Locks the work directory for this process; the lock ends with the process.

  Does nothing where the system or the disk does not support locks on folders.

  Raises:
    ValueError: if another process holds the lock.
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
