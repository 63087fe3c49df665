import dataclasses
import importlib
import re
import sys
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import data, distances, objectives
from aejax._command_line import _SECTIONS, choose_method, compilation_cache, parse
from aejax._user_errors import user_errors
from aejax.training import Options


def _choose(*arguments):
  return choose_method(Options, arguments, prog="train.py")


def test_choose_method_returns_given_options_only():
  assert _choose("cwae") == ("cwae", {}, Options())
  method, objective, options = _choose(
    *("swae", "--weight", "1", "--num-directions", "7", "--sample-prior"),
    *("--dataset", "mnist", "--workdir", "runs/a", "--learning-rate", "1e-4", "--epochs", "3"),
    *("--schedule", "cosine", "--resume"),
  )
  assert method == "swae"
  # The weight is given though it is the default: a published one must not take its place.
  assert objective == {"weight": 1.0, "num_directions": 7, "sample_prior": True}
  assert options == Options(
    dataset="mnist",
    workdir=Path("runs/a"),
    learning_rate=1e-4,
    epochs=3,
    schedule="cosine",
    resume=True,
  )


def test_help_has_sections_with_each_option_once(capsys):
  with pytest.raises(SystemExit):
    _choose("cwae", "--help")
  text = capsys.readouterr().out
  places = [text.index(f"{name} options") for name in ("objective", *_SECTIONS)]
  assert places == sorted(places)
  assert (
    text.index("optimisation options")
    < text.index("--learning-rate")
    < text.index("output options")
  )
  listed = [name for names in _SECTIONS.values() for name in names]
  assert len(listed) == len(set(listed))
  for field in dataclasses.fields(Options):
    option = field.name.replace("_", "-")
    assert len(re.findall(rf"^\W*--{option}[ ,]", text, re.MULTILINE)) == 1, option


def test_choose_method_reads_switches_and_choices():
  assert _choose("cwae", "--no-log", "--approximate")[1] == {"log": False, "approximate": True}
  assert _choose("ae", "--reconstruction", "binary_cross_entropy")[1] == {
    "reconstruction": "binary_cross_entropy"
  }
  assert _choose("vae", "--latent_dim", "3")[2].latent_dim == 3  # underscores will do


@pytest.mark.parametrize("method", objectives.BY_NAME)
def test_choose_method_offers_fields_with_defaults(method, capsys):
  with pytest.raises(SystemExit) as exit:
    _choose(method, "--help")
  assert exit.value.code == 0
  text = " ".join(capsys.readouterr().out.replace("│", " ").split())
  objective = objectives.BY_NAME[method]
  for field in [*dataclasses.fields(objective), *dataclasses.fields(Options)]:
    if field.type in (float, int, bool, str) or "None" in str(field.type):
      if field.name == "prior" or not field.init:  # an object, for the library only; no choice
        continue
      assert f"--{field.name.replace('_', '-')}" in text
  assert "None" not in text
  assert "squared_error,binary_cross_entropy" in text
  assert "passes over the training set. (default: 200; digits 400; mnist 500;" in text
  assert "(for an `Autoencoder` whose output is" in text  # inherited from the base's docstring
  if method == "cwae":
    assert "(default: 1.0; fashion_mnist 10.0; celeb_a 5.0)" in text
    assert "--log, --no-log" in text


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    (["--epochs", "ten"], "--epochs"),
    (["--epochs", "2.5"], "--epochs"),
    (["--learning-rate", "fast"], "--learning-rate"),
    (["--weight"], "--weight"),
    (["--epoch", "3"], "--epochs"),  # what may have been meant
    (["--schedule", "cosin"], "cosine"),
    (["extra"], "extra"),
    (["--num-directions", "3"], "--num-directions"),  # another method's
  ],
)
def test_wrong_options_exit_with_2(arguments, said, capsys):
  with pytest.raises(SystemExit) as exit:
    _choose("cwae", *arguments)
  assert exit.value.code == 2
  out, err = capsys.readouterr()
  assert out == ""
  assert said in err


def test_the_list_of_methods(capsys):
  for arguments, code in ((["--help"], 0), (["-h"], 0), ([], 2)):
    with pytest.raises(SystemExit) as exit:
      _choose(*arguments)
    assert exit.value.code == code
    out, err = capsys.readouterr()
    text, nothing = (out, err) if code == 0 else (err, out)
    assert nothing == ""
    assert "\n\nusage: train.py METHOD" in text
    for name in objectives.BY_NAME:
      assert f"\n  {name} " in text


def test_choose_method_names_the_nearest_method():
  with pytest.raises(ValueError, match="There is no method 'cwea': did you mean cwae"):
    _choose("cwea", "--epochs", "3")
  with pytest.raises(ValueError, match=r"There is no method 'qqq'\. There are ae, vae, wae-mmd"):
    _choose("qqq")


def test_parse():
  @dataclasses.dataclass
  class Few:
    """Few.

    Attributes:
      number: how many.
    """

    number: int = 3
    kind: Literal["a", "b"] = "a"

  assert parse(Few, ["--kind", "b"]) == Few(3, "b")


def test_user_errors_print_one_sentence(capsys):
  with pytest.raises(SystemExit) as exit, user_errors():
    data.load("mnits")
  assert exit.value.code == 2
  out, err = capsys.readouterr()
  assert out == ""
  assert err.startswith("error: no data set 'mnits', did you mean mnist")
  assert err.count("\n") == 1

  with pytest.raises(SystemExit) as exit, user_errors():
    Path("/nowhere/at/all").read_text()
  assert exit.value.code == 2
  assert "/nowhere/at/all" in capsys.readouterr().err


def test_user_errors_escape_control_characters(capsys):
  with pytest.raises(SystemExit), user_errors():
    Path("/nowhere/\x1b[31mred\nand\tmore").read_text()
  err = capsys.readouterr().err
  assert err.startswith("error: ")
  assert err.count("\n") == 1
  assert err.rstrip("\n").isprintable()
  with pytest.raises(SystemExit), user_errors():
    raise OSError("first\x1b[2J line\nsecond line")
  assert capsys.readouterr().err == "error: first\\x1b[2J line second line\n"


def test_user_errors_print_one_sentence_under_jit(capsys):
  with pytest.raises(SystemExit) as exit, user_errors():
    jax.jit(lambda z: objectives.CWAE(weight=-1.0) and z)(np.ones(3))
  assert exit.value.code == 2
  assert capsys.readouterr().err.startswith("error: The weight of the penalty must be finite")


def test_user_errors_name_a_missing_extra(capsys, monkeypatch):
  for name in [name for name in sys.modules if name.partition(".")[0] == "ott"]:
    monkeypatch.delitem(sys.modules, name)
  monkeypatch.setitem(sys.modules, "ott", None)  # what importing finds for a missing module
  with pytest.raises(SystemExit) as exit, user_errors():
    distances.sinkhorn_divergence(jnp.ones((3, 2)), jnp.ones((3, 2)), epsilon=1.0)
  assert exit.value.code == 2
  assert "pip install aejax[sinkhorn]" in capsys.readouterr().err


def test_user_errors_keep_other_tracebacks():
  with pytest.raises(ValueError, match="invalid literal"), user_errors():
    int("ten")
  with pytest.raises(ImportError), user_errors():
    importlib.import_module("no_module_of_this_name")
  with pytest.raises(ZeroDivisionError), user_errors():
    _ = 1 / 0


def test_user_errors_exit_with_130_after_control_c(capsys):
  with pytest.raises(SystemExit) as exit, user_errors():
    raise KeyboardInterrupt
  assert exit.value.code == 130
  assert capsys.readouterr().err == ""


def test_compilation_cache_respects_the_environment(tmp_path, monkeypatch):
  before = jax.config.jax_compilation_cache_dir
  seconds = jax.config.jax_persistent_cache_min_compile_time_secs
  try:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")
    compilation_cache()
    assert jax.config.jax_compilation_cache_dir == before
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    compilation_cache()
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "aejax" / "xla")
    assert (tmp_path / "aejax" / "xla").is_dir()
    # A folder that cannot be made is no reason to fail.
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    compilation_cache()
  finally:
    jax.config.update("jax_compilation_cache_dir", before)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", seconds)
