"""Scripts called in process."""

import sys
from pathlib import Path

import jax
import pytest

from aejax import cli
from aejax._command_line import parse
from aejax._user_errors import user_errors

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture
def call(script, capsys, monkeypatch):
  """Calls a script as its last lines do, and returns exit code, stdout and stderr."""
  # The benchmarks disable the cache and set the variable for their process.
  cached = jax.config.jax_enable_compilation_cache
  monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

  def run(name, *arguments):
    arguments = [str(argument) for argument in arguments]
    capsys.readouterr()
    try:
      if name in cli.COMMANDS:
        cli.main(arguments, command=name, prog=f"{name}.py")
      else:
        module = script(name)
        # `user_errors` turns only errors of aejax and of the script that runs into sentences.
        path = str(EXPERIMENTS / f"{name}.py")
        monkeypatch.setattr(sys.modules["__main__"], "__file__", path, raising=False)
        options = module.Table if name == "reproduce_table1" else module.Options
        with user_errors():
          module.main(parse(options, arguments))
    except SystemExit as exit:
      return exit.code, *capsys.readouterr()
    return 0, *capsys.readouterr()

  yield run
  jax.config.update("jax_enable_compilation_cache", cached)
