import errno
import os

import pytest

from aejax.training import retry as module
from aejax.training.retry import RetryingWriter


@pytest.fixture(autouse=True)
def quick(monkeypatch):
  monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.0)


def failing(number, times):
  """An action that fails so often, and a list of its calls."""
  calls = []

  def action():
    calls.append(1)
    if len(calls) <= times:
      raise OSError(number, os.strerror(number), "the/file")

  return action, calls


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("last", [False, True])
def test_a_full_disk_is_waited_for(number, last, capsys):
  action, calls = failing(number, 3)
  RetryingWriter(lambda: None).write(action, last=last)
  assert len(calls) == 4
  lines = capsys.readouterr().err.splitlines()
  assert lines == [  # said once, not at every try
    f"warning: the/file cannot be written ({os.strerror(number)}): training waits for space. "
    "Ctrl-C stops it.",
    "There is space again: training goes on.",
  ]


def test_a_signal_ends_the_waiting(monkeypatch):
  monkeypatch.setattr(module, "_PAUSE_SECONDS", 60.0)
  action, calls = failing(errno.ENOSPC, 10)
  with pytest.raises(OSError, match="No space left"):
    RetryingWriter(lambda: 15).write(action)
  assert len(calls) == 1


def test_another_failure_is_put_off(capsys):
  action, calls = failing(errno.EIO, 1)
  RetryingWriter(lambda: None).write(action)
  assert len(calls) == 1
  assert "it is tried again later." in capsys.readouterr().err


def test_at_the_end_there_is_no_later():
  action, _ = failing(errno.EIO, 1)
  with pytest.raises(OSError, match="Input/output error"):
    RetryingWriter(lambda: None).write(action, last=True)


def test_other_errors_are_none_of_its_business():
  def action():
    raise KeyError("x")

  with pytest.raises(KeyError):
    RetryingWriter(lambda: None).write(action)
