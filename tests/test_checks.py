import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import checks


def test_whole_numbers_come_back_as_ints():
  for value in (3, np.int8(3), np.uint64(3), jnp.asarray(3)):
    assert checks.whole("n", value) == 3
    assert type(checks.whole("n", value)) is int
  assert checks.whole("n", 0, least=0) == 0
  assert checks.whole("n", 2**31 - 1) == 2**31 - 1
  with pytest.raises(ValueError, match=r"^n must be less than 2\^31, but is 2147483648\.$"):
    checks.whole("n", 2**31)
  with pytest.raises(ValueError, match=r"^n must be at most 5, but is 6\.$"):
    checks.whole("n", 6, most=5)
  with pytest.raises(ValueError, match=r"^n must be a whole number from 2 up, but is 3\.0\.$"):
    checks.whole("n", 3.0, least=2)


def test_numbers_pass_as_they_are():
  for value in (1, 2.5, np.float32(1), jnp.asarray(2.0)):
    assert checks.positive("x", value) is value
  assert checks.not_negative("x", 0) == 0
  assert checks.number("x", -1.5) == -1.5


def test_traced_values_pass():
  @jax.jit
  def function(x):
    return checks.positive("x", x) + 1

  assert function(-3.0) == -2
  with pytest.raises(ValueError, match="x must be positive and finite, but is"):
    function(jnp.ones(2))


def test_keys_of_both_kinds_pass():
  for key in (jax.random.key(0), jax.random.PRNGKey(0), np.asarray(jax.random.PRNGKey(0))):
    assert checks.key("key", key) is key
  assert jnp.issubdtype(checks.new_key("key", jax.random.PRNGKey(0)).dtype, jax.dtypes.prng_key)
  assert checks.new_key("key", jax.random.key(3)) == jax.random.key(3)


def test_arrays_pass_and_lists_become_arrays():
  for value in (jnp.ones(2), np.ones(2), np.float32(1), jnp.ones(2, jnp.bfloat16)):
    assert checks.array("z", value) is value
  assert isinstance(checks.array("z", [[1.0, 2.0]]), jax.Array)
  host = np.asarray(jnp.ones(2, jnp.bfloat16))
  assert checks.array("z", host) is host


@pytest.mark.parametrize(
  ("value", "words"),
  [
    (None, "None"),
    ("x", "a str"),
    (3, "an int"),
    (int, "the class int"),
    (np.ones(2), "a ndarray"),
  ],
)
def test_kinds_in_words(value, words):
  assert checks.kind(value) == words


@pytest.mark.parametrize(
  ("value", "text"),
  [
    (2.5, "2.5"),
    ("a\nb", r"'a\nb'"),
    (np.ones((3, 2)), "an array of shape [3, 2]"),
    (np.float32(2), "2.0"),
    ("x" * 100, "'" + "x" * 36 + "..." + "x" * 39 + "'"),
    (math.nan, "nan"),
  ],
)
def test_values_are_shown_on_one_short_line(value, text):
  assert checks.shown(value) == text


def test_paths_are_shown_whole_but_what_cannot_be_printed(tmp_path):
  assert checks.shown(tmp_path / ("x" * 90)) == str(tmp_path / ("x" * 90))
  assert checks.shown(tmp_path / "a\nb") == repr(str(tmp_path / "a\nb"))


def test_a_folder_is_made_or_refused(tmp_path):
  assert checks.folder("out", tmp_path / "a" / "b").is_dir()
  (tmp_path / "file").touch()
  for name in ("file", "file/below"):
    with pytest.raises(ValueError, match=r"^out must be a folder, but is .*file"):
      checks.folder("out", tmp_path / name)


def test_reasons_are_short():
  assert checks.reason(ValueError("a\n  b")) == "a b"
  assert checks.reason(KeyError()) == "KeyError"
  assert len(checks.reason(ValueError("x" * 1000))) == 200
