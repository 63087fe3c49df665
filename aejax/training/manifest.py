"""manifest.json in each checkpoint: checksums of its files, shapes and dtypes of its arrays."""

import hashlib
import re
from pathlib import Path
from typing import Any

import jax
from jaxtyping import PyTree

from aejax._files import read_json, write_json

__all__ = ["Damaged", "check_files", "check_leaves", "read_manifest", "write_manifest"]

_NAME = "manifest.json"
# Orbax writes these after the manifest, and no restore needs them.
_BOOKKEEPING = {"_CHECKPOINT_METADATA", "commit_success.txt", _NAME}


class Damaged(ValueError):
  """A checkpoint differs from what was saved."""


def write_manifest(folder: Path, state: PyTree, *, format: int) -> None:
  """Writes the manifest of a checkpoint whose files are complete, before it gets its name.

  Args:
    folder: folder of the checkpoint.
    state: saved state, or its shapes and dtypes.
    format: version of the checkpoint layout.
  """
  files = {str(path.relative_to(folder)): _checksum(path) for path in _files(folder)}
  write_json(folder / _NAME, {"format": format, "leaves": _leaves(state), "files": files})


def read_manifest(folder: Path) -> dict[str, Any]:
  """Returns the manifest of a checkpoint.

  Raises:
    Damaged: if it is missing or lacks an entry.
  """
  try:
    manifest = read_json(folder / _NAME)
  except ValueError as error:
    raise Damaged(f"The checkpoint {folder} is damaged: {error}") from error
  entries = manifest if isinstance(manifest, dict) else {}
  if "format" not in entries or not all(
    isinstance(entries.get(name), dict) for name in ("leaves", "files")
  ):
    raise Damaged(f"The checkpoint {folder} is damaged: its {_NAME} lacks an entry.")
  return entries


def check_files(folder: Path, manifest: dict[str, Any]) -> None:
  """Compares the checksums of the files with the manifest.

  Orbax reports a damaged file with pages of errors, or not at all.

  Raises:
    Damaged: if a file is missing or has changed.
  """
  for name, checksum in manifest["files"].items():
    if not (folder / name).is_file() or _checksum(folder / name) != checksum:
      raise Damaged(f"The checkpoint {folder} is damaged: {name} is missing or has changed.")


def check_leaves(
  folder: Path, manifest: dict[str, Any], like: PyTree, *, partial: bool = False
) -> None:
  """Compares the shapes and the kinds of dtypes in the manifest with those of a model.

  Floats may have another precision: the bookkeeping of a run under 64-bit JAX may be float64.

  Args:
    folder: folder of the checkpoint.
    manifest: its manifest.
    like: state of a fresh run, or a part of it.
    partial: whether `like` is a part of it.

  Raises:
    ValueError: if they differ; the sentence names up to three differences.
  """
  expected, found = _leaves(like), manifest["leaves"]
  different = [
    f"{name} is {found.get(name, 'absent')} in it, not {expected.get(name, 'absent')}"
    for name in sorted({*expected} if partial else {*expected, *found})
    if _kind(found.get(name)) != _kind(expected.get(name))
  ]
  if different:
    rest = f"; and {len(different) - 3} more differ" if len(different) > 3 else ""
    raise ValueError(
      f"The checkpoint {folder} is of another model: {'; '.join(different[:3])}{rest}."
    )


def _kind(leaf: Any) -> Any:
  """Returns the description of an array without the precision of floats."""
  return re.sub(r"^(float32|float64)\[", "float[", leaf) if isinstance(leaf, str) else leaf


def _leaves(tree: PyTree) -> dict[str, str]:
  """Returns dtype and shape of each array by its path in the tree."""
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


def _checksum(path: Path) -> str:
  with path.open("rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()
