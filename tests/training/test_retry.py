import errno
import inspect
import logging
import os
import warnings

import pytest

from aejax import AejaxWarning, _messages
from aejax.training import retry as module
from aejax.training.retry import RetryingWriter


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
  monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.0)


def failing(number, times):
  """Returns an action that fails `times` times, and the list of its calls."""
  calls = []

  def action():
    calls.append(1)
    if len(calls) <= times:
      raise OSError(number, os.strerror(number), "the/file")

  return action, calls


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("last", [False, True])
def test_write_waits_for_a_full_disk(number, last, caplog):
  caplog.set_level(logging.INFO, "aejax")
  action, calls = failing(number, 3)
  with pytest.warns(AejaxWarning) as warned:
    RetryingWriter(lambda: None).write(action, last=last)
  assert len(calls) == 4
  assert [str(warning.message) for warning in warned] == [  # once, not at every attempt
    f"the/file cannot be written ({os.strerror(number)}): training waits for space. "
    "Ctrl-C stops it."
  ]
  assert caplog.messages == ["There is space again: training goes on."]


def test_write_warns_again_after_a_minute(monkeypatch):
  now = [0.0]
  monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
  writer = RetryingWriter(lambda: None)

  def warnings_of_a_failed_write():
    with warnings.catch_warnings(record=True) as warned:
      warnings.simplefilter("always")
      writer.write(failing(errno.EIO, 1)[0])
    return len(warned)

  assert warnings_of_a_failed_write() == 1
  now[0] = 59.0
  assert warnings_of_a_failed_write() == 0
  now[0] = 61.0
  assert warnings_of_a_failed_write() == 1


def test_write_stops_waiting_at_a_signal(monkeypatch):
  monkeypatch.setattr(module, "_PAUSE_SECONDS", 60.0)
  action, calls = failing(errno.ENOSPC, 10)
  with (
    pytest.warns(AejaxWarning, match="training waits for space"),
    pytest.raises(OSError, match="No space left"),
  ):
    RetryingWriter(lambda: 15).write(action)
  assert len(calls) == 1


def test_write_postpones_another_failure():
  action, calls = failing(errno.EIO, 1)
  with pytest.warns(AejaxWarning, match=r"the/file cannot .*; the write is tried again later\."):
    RetryingWriter(lambda: None).write(action)
  assert len(calls) == 1


def test_warn_points_at_the_line_of_the_user():
  # Two calls within aejax, without the frames that the checker of annotations adds.
  code = "def inner(): warn('x')\ndef outer(): inner()"
  functions = {"warn": inspect.unwrap(_messages.warn)}
  exec(compile(code, os.path.join(os.path.dirname(module.__file__), "fake.py"), "exec"), functions)
  with pytest.warns(AejaxWarning) as warned:
    functions["outer"]()
  assert warned[0].filename == __file__


def test_last_write_raises_another_failure():
  action, _ = failing(errno.EIO, 1)
  with pytest.raises(OSError, match="Input/output error"):
    RetryingWriter(lambda: None).write(action, last=True)


def test_write_raises_other_errors():
  def action():
    raise KeyError("x")

  with pytest.raises(KeyError):
    RetryingWriter(lambda: None).write(action)
