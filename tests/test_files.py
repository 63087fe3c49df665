import errno
import json
import os
import stat

import pytest

from aejax._files import check_space, clear_partial, read_json, replacing, write_json


def test_replacing_writes_the_file_at_once(tmp_path):
  path = tmp_path / "new" / "folder" / "file.txt"
  with replacing(path) as temporary:
    assert temporary.parent == path.parent
    assert temporary.suffix == ".txt"  # matplotlib and Pillow choose the format by the suffix
    temporary.write_text("first")
    assert not path.exists()
  assert path.read_text() == "first"
  with replacing(path) as temporary:
    temporary.write_text("second")
    assert path.read_text() == "first"
  assert path.read_text() == "second"
  assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_replacing_keeps_the_old_file_after_an_error(tmp_path):
  path = tmp_path / "file.txt"
  path.write_text("first")
  with pytest.raises(RuntimeError), replacing(path) as temporary:  # noqa: PT012
    temporary.write_text("half of the sec")
    raise RuntimeError
  assert path.read_text() == "first"
  assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_clear_partial_removes_temporary_files(tmp_path):
  (tmp_path / "file.txt").write_text("whole")
  (tmp_path / ".hidden").touch()
  left = replacing(tmp_path / "file.txt")
  left.__enter__().write_text("hal")  # the process is killed here
  assert len(list(tmp_path.iterdir())) == 3
  clear_partial(tmp_path)
  assert {path.name for path in tmp_path.iterdir()} == {"file.txt", ".hidden"}
  assert (tmp_path / "file.txt").read_text() == "whole"
  clear_partial(tmp_path / "nowhere")


def test_check_space_rejects_a_full_disk_and_leaves_no_file(tmp_path):
  check_space(tmp_path, 4096)
  with pytest.raises(OSError, match="No space left") as error:
    check_space(tmp_path, 2**60)
  assert error.value.errno == errno.ENOSPC
  assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_write_json_respects_the_umask(tmp_path, umask):
  before = os.umask(umask)
  try:
    write_json(tmp_path / "file.json", {})
  finally:
    os.umask(before)
  assert stat.S_IMODE((tmp_path / "file.json").stat().st_mode) == 0o666 & ~umask


def test_read_json_reads_what_write_json_wrote(tmp_path):
  value = {"a": [1, 2.5, None, True], "λ": "żółw"}
  write_json(tmp_path / "file.json", value)
  assert read_json(tmp_path / "file.json") == value
  assert (tmp_path / "file.json").read_text(encoding="utf-8") == json.dumps(value, indent=2) + "\n"


def test_read_json_rejects_missing_or_damaged_files(tmp_path):
  path = tmp_path / "file.json"
  with pytest.raises(ValueError, match=rf"There is no {path}\."):
    read_json(path)
  for content in (b'{"a": 1', b"", b"\xff\xfe\x00"):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"file\.json is damaged"):
      read_json(path)
