"""A bad command line ends in one sentence, or in tyro's usage, and exit code 2."""

import dataclasses
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from robustness.bad_commands import BENCHMARKS, COMMANDS, OBJECTIVE_FLAGS, TRAIN_FLAGS

from aejax import cli, objectives
from aejax._command_line import parse
from aejax._user_errors import user_errors
from aejax.training import Options, prepare


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
  """A trained run with a summary that no command of the table reads further."""
  workdir = tmp_path_factory.mktemp("runs") / "digits"
  options = Options(workdir=workdir, network="linear", latent_dim=2, epochs=2)
  prepare("cwae", {}, options).train()
  summary = '{"method": "cwae", "dataset": "digits", "test_images": 359}'
  (workdir / "summary.json").write_text(summary)
  return workdir


@pytest.fixture
def places(digits_run, tmp_path, monkeypatch):
  """The files and folders that the table names in braces; the commands run next to them."""
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
def call(script, digits_run, monkeypatch):
  """Runs a command of aejax or a script in this process."""
  changed = ("jax_enable_compilation_cache", "jax_cpu_enable_async_dispatch")
  before = {name: jax.config.values[name] for name in changed}
  monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

  def run(name, arguments):
    if name in cli.COMMANDS:
      cli.main(arguments, command=name)
      return
    module = script(name)
    # `user_errors` takes errors of aejax and of the script that runs for the user's.
    monkeypatch.setattr(sys.modules["__main__"], "__file__", module.__file__, raising=False)
    options = module.Table if name == "reproduce_table1" else module.Options
    with user_errors():
      module.main(parse(options, arguments))

  yield run
  for name, value in before.items():
    jax.config.update(name, value)


def _cases(commands):
  return [
    pytest.param(name, arguments, id="-".join([f"{k}", name, *arguments[:2]])[:40])
    for k, (name, arguments) in enumerate(commands)
  ]


def _check(name, arguments, places, call, capsys):
  arguments = [argument.format(**places) for argument in arguments]
  before = sorted(places["folder"].iterdir())
  capsys.readouterr()
  with pytest.raises(SystemExit) as exit:
    call(name, arguments)
  out, err = capsys.readouterr()
  assert exit.value.code == 2
  assert out == ""
  assert "Traceback" not in err
  if err.startswith("error: "):
    assert err.count("\n") == 1
  else:  # tyro's message in a box, or without a method the overview
    assert "─" in err or "-----" in err or "usage: " in err
  assert sorted(places["folder"].iterdir()) == before


@pytest.mark.usefixtures("without_beartype")
@pytest.mark.parametrize(("name", "arguments"), _cases(COMMANDS))
def test_bad_command_is_one_sentence(name, arguments, places, call, capsys):
  _check(name, arguments, places, call, capsys)


@pytest.mark.bench
@pytest.mark.usefixtures("without_beartype")
@pytest.mark.parametrize(("name", "arguments"), _cases(BENCHMARKS))
def test_bad_benchmark_command_is_one_sentence(name, arguments, places, call, capsys):
  _check(name, arguments, places, call, capsys)


def _flag(field):
  return f"--{field.replace('_', '-')}"


def test_every_option_has_bad_values():
  assert set(TRAIN_FLAGS) == {_flag(field.name) for field in dataclasses.fields(Options)}
  for method, objective in objectives.BY_NAME.items():
    example = objective()
    plain = {
      _flag(field.name)
      for field in dataclasses.fields(objective)
      if field.init and isinstance(getattr(example, field.name), bool | int | float | str)
    }
    assert plain <= set(OBJECTIVE_FLAGS[method])


def test_bad_commands_of_every_command_and_script():
  scripts = {path.stem for path in (Path(__file__).parents[2] / "experiments").glob("*.py")}
  assert {name for name, _ in [*COMMANDS, *BENCHMARKS]} == scripts | set(cli.COMMANDS)
