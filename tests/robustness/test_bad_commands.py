"""Bad arguments of every command and script: one sentence or tyro's usage, and exit code 2."""

import sys

import numpy as np
import pytest
from robustness.bad_commands import COMMANDS

from aejax import cli
from aejax._command_line import parse
from aejax._user_errors import user_errors
from aejax.training import Options, prepare


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
  """A trained run with the least summary.json that a report accepts."""
  workdir = tmp_path_factory.mktemp("runs") / "digits"
  options = Options(workdir=workdir, network="linear", latent_dim=2, epochs=2)
  prepare("cwae", {}, options).train()
  (workdir / "summary.json").write_text(
    '{"method": "cwae", "dataset": "digits", "test_images": 359}'
  )
  return workdir


@pytest.fixture
def places(digits_run, tmp_path, monkeypatch):
  """The paths that the names in braces stand for; relative paths are in the same folder."""
  monkeypatch.chdir(tmp_path)
  folder, used = tmp_path / "folder", tmp_path / "used"
  folder.mkdir()
  used.mkdir()
  (used / "something").touch()
  (tmp_path / "notes.txt").write_text("no images")
  rng = np.random.default_rng(0)
  np.savez(tmp_path / "images.npz", images=rng.integers(0, 256, (40, 7, 5, 3), np.uint8))
  return {
    "digits": digits_run,
    "folder": folder,
    "file": tmp_path / "notes.txt",
    "images": tmp_path / "images.npz",
    "used": used,
  }


@pytest.fixture
def run_command(script, monkeypatch):
  """Runs a command of aejax, `aejax` itself, or a script, in this process."""

  def run(name, arguments):
    if name in cli.COMMANDS:
      cli.main(arguments, command=name, prog=name)
    elif name == "aejax":
      cli.main(arguments)
    else:
      module = script(name)
      # `user_errors` takes errors raised in files next to the running script for the user's.
      monkeypatch.setattr(sys.modules["__main__"], "__file__", module.__file__, raising=False)
      options = module.Table if name == "reproduce_table1" else module.Options
      with user_errors():
        module.main(parse(options, arguments))

  return run


@pytest.mark.usefixtures("without_beartype")
@pytest.mark.parametrize(
  ("name", "arguments"),
  [
    # One in four in every run of the tests; all of them by `make soak`.
    pytest.param(name, arguments, id=f"{k}-{name}", marks=[pytest.mark.slow] if k % 4 else [])
    for k, (name, arguments) in enumerate(COMMANDS)
  ],
)
def test_bad_argument_prints_one_sentence(name, arguments, places, run_command, capsys):
  arguments = [argument.format(**places) for argument in arguments]
  before = sorted(places["folder"].iterdir())
  capsys.readouterr()
  with pytest.raises(SystemExit) as exit:
    run_command(name, arguments)
  out, err = capsys.readouterr()
  assert exit.value.code == 2
  assert out == ""
  assert "Traceback" not in err
  if err.startswith("error: "):
    assert err.count("\n") == 1
  else:  # tyro prints a box; a command without a method prints the overview
    assert "─" in err or "-----" in err or "usage: " in err
  assert sorted(places["folder"].iterdir()) == before  # nothing is written
