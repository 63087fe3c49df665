import logging

import pytest

from aejax._messages import logger
from aejax.cli import user_errors
from aejax.training import progress as module
from aejax.training.progress import Activity, TrainingProgress

METRICS = {"loss": 1.25, "reconstruction_error": 1.0, "penalty": 0.25}


def _progress(step=0):
  return TrainingProgress("cwae digits", epochs=3, steps_per_epoch=5, batch_size=8, step=step)


@pytest.fixture
def lines(caplog):
  """Returns a function that gives the lines logged so far, at level INFO."""
  caplog.set_level(logging.INFO, "aejax")
  return lambda: [record.getMessage() for record in caplog.records]


@pytest.fixture
def clock(monkeypatch):
  """A list with the current time of the progress; a test sets it."""
  now = [100.0]
  monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
  return now


def test_progress_logs_the_last_line_once(lines, capsys):
  with _progress() as progress:
    progress.step(5)
    progress.epoch(METRICS)
    progress.step(15)
  assert "".join(capsys.readouterr()) == ""
  (line,) = lines()
  assert line.startswith("cwae digits: epoch 3/3  loss 1.25  reconstruction 1  penalty 0.25  ")
  assert line.endswith(" images/s")


def test_progress_logs_the_last_line_once_after_a_slow_last_epoch(lines, clock):
  # The loop reports the last step twice: before and after it saves.
  with _progress() as progress:
    progress.step(10)
    clock[0] += 11
    progress.step(15)
    progress.epoch(METRICS)
    clock[0] += 11
    progress.step(15)
  (line,) = lines()
  assert line.startswith("cwae digits: epoch 3/3  loss 1.25  ")


def test_progress_of_an_interrupted_run_logs_its_last_line_once(lines, clock):
  with _progress() as progress:
    clock[0] += 11
    progress.step(8)
    clock[0] += 11
    progress.step(8)
  (line,) = lines()
  assert line.startswith("cwae digits: epoch 2/3  ")


def test_progress_logs_at_most_every_ten_seconds(lines, clock):
  with _progress() as progress:
    for step in range(1, 15):
      clock[0] += 4
      progress.step(step)
    assert len(lines()) == 4  # after 12, 24, 36 and 48 of 56 seconds
  assert lines()[0].startswith("cwae digits: epoch 1/3  ")
  assert len(lines()) == 5


def test_progress_of_a_failed_or_finished_run_logs_nothing(lines):
  with pytest.raises(RuntimeError), _progress() as progress:  # noqa: PT012
    progress.step(5)
    raise RuntimeError
  with _progress():
    pass
  assert lines() == []


def test_progress_counts_the_steps_of_this_call_only(clock):
  progress = _progress(step=5)
  clock[0] += 2
  progress._bar.update(progress._task, completed=9)
  assert progress.images_per_second == 4 * 8 / 2


@pytest.fixture
def terminal(monkeypatch):
  for name, value in {"TTY_COMPATIBLE": "1", "COLUMNS": "80", "NO_COLOR": "1"}.items():
    monkeypatch.setenv(name, value)


def test_progress_shows_everything_in_80_columns(terminal, lines, capsys):
  metrics = {"loss": -1234.5678, "reconstruction_error": 1234.5678, "penalty": -1.23e-5}
  with _progress() as progress:
    progress.step(5)
    progress.epoch(metrics)
    progress.step(10)
  err = capsys.readouterr().err
  assert "…" not in err
  assert "cwae digits" in err
  assert "epoch 3/3" in err
  assert "loss -1235  reconstruction 1235  penalty -1.23e-05" in err
  assert lines() == []  # the bar shows it


def test_progress_is_silent_where_the_logger_is(terminal, capsys):
  assert not logger.isEnabledFor(logging.INFO)
  with _progress() as progress:
    progress.step(15)
  assert "".join(capsys.readouterr()) == ""


def test_progress_under_the_command_line_logs_each_line_once(capsys):
  with user_errors(), user_errors(), _progress() as progress:
    progress.step(15)
  assert capsys.readouterr().err.count("cwae digits: epoch 3/3") == 1


def test_activity_shows_time_and_notes_on_a_terminal_only(terminal, capsys, monkeypatch):
  with user_errors(), Activity("scoring"):
    logger.info("Fitting …")
  err = capsys.readouterr().err
  assert "scoring 0:00:0" in err
  assert err.count("Fitting …") == 1
  monkeypatch.setenv("TTY_COMPATIBLE", "0")
  with user_errors(), Activity("scoring"):
    logger.info("Fitting …")
  assert capsys.readouterr().err == "Fitting …\n"


def test_activity_is_silent_where_the_logger_is(terminal, capsys):
  with Activity("scoring"):
    pass
  assert "".join(capsys.readouterr()) == ""
