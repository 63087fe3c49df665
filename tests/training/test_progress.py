import pytest

from aejax.training import progress as module
from aejax.training.progress import TrainingProgress

METRICS = {"loss": 1.25, "reconstruction_error": 1.0, "penalty": 0.25}


def _progress(step=0):
  return TrainingProgress("cwae digits", epochs=3, steps_per_epoch=5, batch_size=8, step=step)


def test_without_a_terminal_the_last_line_is_printed_once(capsys):
  with _progress() as progress:
    progress.step(5)
    progress.epoch(METRICS)
    progress.step(15)
  out, err = capsys.readouterr()
  assert out == ""
  (line,) = err.splitlines()
  assert line.startswith("cwae digits: epoch 3/3  loss 1.25  reconstruction 1  penalty 0.25  ")
  assert line.endswith(" images/s")


def test_lines_come_now_and_then(capsys, monkeypatch):
  clock = iter(float(t) for t in range(0, 1000, 4))
  monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
  with _progress() as progress:
    for step in range(1, 16):
      progress.step(step)
  lines = capsys.readouterr().err.splitlines()
  assert 3 < len(lines) < 12
  assert lines[0].startswith("cwae digits: epoch 1/3  ")


def test_nothing_is_said_of_a_run_that_fails_or_has_nothing_to_do(capsys):
  with pytest.raises(RuntimeError), _progress() as progress:  # noqa: PT012
    progress.step(5)
    raise RuntimeError
  with _progress():
    pass
  assert capsys.readouterr().err == ""


def test_speed_counts_the_steps_of_this_call_only(monkeypatch):
  clock = iter([100.0, 102.0])
  monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
  progress = _progress(step=5)
  progress._bar.update(progress._task, completed=9)
  assert progress.images_per_second == 4 * 8 / 2


def test_a_terminal_of_80_columns_shows_everything(capsys, monkeypatch):
  for name, value in {"TTY_COMPATIBLE": "1", "COLUMNS": "80", "NO_COLOR": "1"}.items():
    monkeypatch.setenv(name, value)
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
