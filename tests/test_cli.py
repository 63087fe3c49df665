"""The command `aejax`: help, version, errors and messages."""

import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import aejax
from aejax import _checks, cli
from aejax._messages import logger, warn
from aejax._user_errors import user_errors
from aejax.training import Run

AEJAX = Path(sys.executable).with_name("aejax")


def _main(*arguments, **options):
  with pytest.raises(SystemExit) as exit:
    cli.main(list(arguments), **options)
  return exit.value.code


def test_help_lists_the_commands(capsys):
  assert _main("--help") == 0
  out, err = capsys.readouterr()
  for command in cli.COMMANDS:
    assert f"\n  {command} " in out
  assert err == ""
  assert _main() == 2
  assert capsys.readouterr().err == out


def test_version_is_the_package_version(capsys):
  cli.main(["--version"])
  assert capsys.readouterr().out == f"aejax {aejax.__version__}\n"


def test_unknown_command_names_the_nearest(capsys):
  assert _main("trian") == 2
  assert capsys.readouterr().err.startswith(
    "error: There is no command 'trian': did you mean train"
  )


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_command_help_names_program_and_options(command, capsys):
  arguments = ["cwae", "--help"] if command == "train" else ["--help"]
  assert _main(command, *arguments) == 0
  text = capsys.readouterr().out
  assert f"usage: aejax {command}" in text
  assert _main(*arguments, command=command, prog=f"{command}.py") == 0
  assert f"usage: {command}.py" in capsys.readouterr().out


def test_train_without_a_method_lists_the_methods(capsys):
  assert _main("train") == 2
  err = capsys.readouterr().err
  assert "usage: aejax train METHOD" in err
  assert "\n  cwae " in err


@pytest.mark.skipif(not AEJAX.exists(), reason="aejax is not installed as a command here")
def test_installed_command_prints_on_an_ascii_terminal():
  environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
  done = subprocess.run(
    [AEJAX, "train", "vae", "--help"], capture_output=True, timeout=120, env=environment
  )
  assert done.returncode == 0, done.stderr
  assert b"--beta" in done.stdout
  done = subprocess.run(
    [AEJAX, "train", "cwae", "--dataset", "γ"], capture_output=True, timeout=120, env=environment
  )
  assert done.returncode == 2
  assert done.stderr.startswith(b"error: ")
  assert done.stderr.count(b"\n") == 1


def test_user_errors_show_warnings_and_notes_as_lines(capsys):
  before = logger.level, logger.propagate, list(logger.handlers)
  with user_errors():
    for _ in range(2):  # each time, although from the same line
      warn("something is odd.")
    logger.info("half done")
  assert capsys.readouterr().err == "warning: something is odd.\n" * 2 + "half done\n"
  assert (logger.level, logger.propagate, list(logger.handlers)) == before


def test_user_errors_leave_other_warnings_alone():
  with pytest.warns(DeprecationWarning, match="old"), user_errors():
    warnings.warn("old", DeprecationWarning, stacklevel=1)


def test_warn_names_the_innermost_line_outside_aejax(tmp_path):
  script = tmp_path / "script.py"
  script.write_text(
    "from aejax import _messages\n\ndef library():\n  _messages.warn('odd.')\n\nlibrary()\n"
  )
  done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
  assert f"{script}:4: AejaxWarning: odd." in done.stderr


def test_notes_reach_the_logger_aejax_and_nothing_is_printed(capsys, caplog):
  with caplog.at_level(logging.INFO, logger="aejax"):
    logger.info("half done")
  assert caplog.messages == ["half done"]
  assert capsys.readouterr() == ("", "")


def test_user_errors_take_errors_of_the_running_script_as_the_users(tmp_path):
  script = tmp_path / "script.py"
  script.write_text(
    "from aejax._user_errors import user_errors\n"
    "with user_errors():\n"
    "  raise ValueError('num must be 1.')\n"
  )
  done = subprocess.run(
    [sys.executable, script.name], capture_output=True, text=True, timeout=120, cwd=tmp_path
  )
  assert (done.returncode, done.stderr) == (2, "error: num must be 1.\n")


def test_user_errors_know_files_behind_links_and_other_packages(tmp_path):
  """A module next to the linked script is the user's; an installed package is not."""
  source = tmp_path / "source"
  installed = source / ".venv" / "lib" / "site-packages"
  installed.mkdir(parents=True)
  (source / "mine.py").write_text("def fail():\n  raise ValueError('mine')\n")
  (installed / "theirs.py").write_text("def fail():\n  raise ValueError('theirs')\n")
  (source / "script.py").write_text(
    "import sys\n"
    f"sys.path[:0] = [{str(source)!r}, {str(installed)!r}]\n"
    "import importlib\n"
    "from aejax._user_errors import user_errors\n"
    "with user_errors():\n"
    "  importlib.import_module(sys.argv[1]).fail()\n"
  )
  (tmp_path / "link.py").symlink_to(source / "script.py")

  def run(module):
    command = [sys.executable, tmp_path / "link.py", module]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)

  assert (run("mine").returncode, run("mine").stderr) == (2, "error: mine\n")
  assert run("theirs").returncode == 1
  assert "Traceback" in run("theirs").stderr


def test_user_errors_restore_the_levels_of_other_loggers():
  loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
  before = [one.level for one in loggers]
  with user_errors():
    assert all(one.level == logging.CRITICAL for one in loggers)
  assert [one.level for one in loggers] == before


def test_user_errors_keep_tracebacks_of_defects():
  with pytest.raises(ValueError, match="invalid literal"), user_errors():
    int("ten")
  with pytest.raises(SystemExit), user_errors():
    _checks.integer("n", 0)


class _ScoredRun(Run):
  """A run with one epoch on which training and scoring are no work."""

  history = ({"reconstruction_error": 1.0},)

  seeds = property(lambda self: [self])

  def __init__(self, *_, **__):
    logger.info("training")

  def train(self):
    return {}


@pytest.fixture
def no_work(monkeypatch):
  from aejax import _commands

  monkeypatch.setattr(_commands, "prepare", _ScoredRun)
  monkeypatch.setattr(_commands.Run, "open", _ScoredRun)
  scored = {"reconstruction_error": 1.2}, [Path("a.png"), Path("report.html")]
  monkeypatch.setattr(_commands, "score", lambda run, **_: scored)


@pytest.mark.parametrize("arguments", [("train", "cwae"), ("evaluate", "x")])
def test_commands_end_with_the_report_or_are_quiet(no_work, capsys, arguments):
  cli.main(arguments)
  out, err = capsys.readouterr()
  assert "reconstruction error  1.2       1 training set  good" in out
  assert out.endswith("\n\nopen report.html\n")
  assert err == "training\n"
  cli.main([*arguments, "--quiet"])
  assert capsys.readouterr() == ("", "")
