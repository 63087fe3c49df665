"""What a checkpoint should be: its files' checksums and its arrays' shapes, in manifest.json."""

import hashlib
from pathlib import Path
from typing import Any

import jax

from aejax._files import read_json, write_json

__all__ = ["Damaged", "check_files", "check_leaves", "read_manifest", "write_manifest"]

_NAME = "manifest.json"
# Written after the manifest, and never asked for.
_BOOKKEEPING = {"_CHECKPOINT_METADATA", "commit_success.txt", _NAME}


class Damaged(ValueError):
  """A checkpoint is not what was saved."""


def write_manifest(folder: Path, state: Any, *, format: int) -> None:
  """Writes down what a checkpoint is: it has all its files, but is not yet called by its name.

  Args:
    folder: of the checkpoint.
    state: what was saved, or its shapes and dtypes.
    format: of what is saved; another number where the state has other parts.
  """
  files = {str(path.relative_to(folder)): _sum(path) for path in _files(folder)}
  write_json(folder / _NAME, {"format": format, "leaves": leaves(state), "files": files})


def read_manifest(folder: Path) -> dict[str, Any]:
  """Returns the manifest of a checkpoint.

  Raises:
    Damaged: if it is missing, or is not what `write_manifest` wrote.
  """
  try:
    manifest = read_json(folder / _NAME)
  except ValueError as error:
    raise Damaged(f"The checkpoint {folder} is damaged: {error}") from error
  entries = manifest if isinstance(manifest, dict) else {}
  if "format" not in entries or not all(
    isinstance(entries.get(name), dict) for name in ("leaves", "files")
  ):
    raise Damaged(f"The checkpoint {folder} is damaged: its {_NAME} is not what was written.")
  return entries


def check_files(folder: Path, manifest: dict[str, Any]) -> None:
  """Compares the checksums of the files with the manifest.

  Orbax reports damaged files with pages of errors, or not at all.

  Raises:
    Damaged: if a file is missing or has changed.
  """
  for name, checksum in manifest["files"].items():
    if not (folder / name).is_file() or _sum(folder / name) != checksum:
      raise Damaged(f"The checkpoint {folder} is damaged: {name} is missing or has changed.")


def check_leaves(folder: Path, manifest: dict[str, Any], like: Any) -> None:
  """Compares the shapes and dtypes in the manifest with those of a model.

  Raises:
    ValueError: that names up to three differences.
  """
  expected, found = leaves(like), manifest["leaves"]
  different = [
    f"{name} is {found.get(name, 'absent')} in it, not {expected.get(name, 'absent')}"
    for name in sorted({*expected, *found})
    if found.get(name) != expected.get(name)
  ]
  if different:
    rest = f"; and {len(different) - 3} more differ" if len(different) > 3 else ""
    raise ValueError(
      f"The checkpoint {folder} is of another model: {'; '.join(different[:3])}{rest}."
    )


def leaves(tree: Any) -> dict[str, str]:
  """The dtype and shape of each array, by its path."""
  return {
    jax.tree_util.keystr(path): f"{leaf.dtype}{list(leaf.shape)}"
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def _files(folder: Path) -> list[Path]:
  return [
    path
    for path in sorted(folder.rglob("*"))
    if path.is_file() and str(path.relative_to(folder)) not in _BOOKKEEPING
  ]


def _sum(path: Path) -> str:
  with path.open("rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()
