"""Files that are either whole or absent: written beside, then renamed."""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["read_json", "replacing", "write_json"]


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
  """Yields a temporary path in the same folder, which becomes `path` if the block succeeds."""
  path = Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  # Not tempfile's: its files are for their owner only, whatever the umask.
  temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
  temporary.touch(exist_ok=False)
  try:
    yield temporary
    temporary.replace(path)
  finally:
    temporary.unlink(missing_ok=True)


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
