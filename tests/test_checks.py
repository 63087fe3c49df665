import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import _checks


def test_integer_returns_an_int_within_limits():
  for value in (3, np.int8(3), np.uint64(3), jnp.asarray(3)):
    assert _checks.integer("n", value) == 3
    assert type(_checks.integer("n", value)) is int
  assert _checks.integer("n", 0, least=0) == 0
  assert _checks.integer("n", 2**31 - 1) == 2**31 - 1
  with pytest.raises(ValueError, match=r"^n must be less than 2\^31, but is 2147483648\.$"):
    _checks.integer("n", 2**31)
  with pytest.raises(ValueError, match=r"^n must be at most 5, but is 6\.$"):
    _checks.integer("n", 6, most=5)
  with pytest.raises(ValueError, match=r"^n must be a whole number from 2 up, but is 3\.0\.$"):
    _checks.integer("n", 3.0, least=2)


def test_number_checks_return_the_value():
  for value in (1, 2.5, np.float32(1), jnp.asarray(2.0)):
    assert _checks.positive("x", value) is value
  assert _checks.not_negative("x", 0) == 0
  assert _checks.finite("x", -1.5) == -1.5


@pytest.mark.parametrize("check", [_checks.positive, _checks.not_negative, _checks.finite])
@pytest.mark.parametrize("value", [True, False, np.bool(True), np.array(True), jnp.asarray(True)])
def test_number_checks_reject_booleans(check, value):
  with pytest.raises(ValueError, match=r"^x must be .*, but is (True|False)\.$"):
    check("x", value)


def test_number_checks_reject_traced_booleans():
  with pytest.raises(ValueError, match=r"^x must be a finite number, but is"):
    jax.jit(lambda x: _checks.finite("x", x))(True)


def test_positive_accepts_traced_numbers():
  @jax.jit
  def function(x):
    return _checks.positive("x", x) + 1

  assert function(-3.0) == -2
  with pytest.raises(ValueError, match="x must be positive and finite, but is"):
    function(jnp.ones(2))


def test_key_accepts_both_kinds():
  for key in (jax.random.key(0), jax.random.PRNGKey(0), np.asarray(jax.random.PRNGKey(0))):
    assert _checks.key("key", key) is key
  assert jnp.issubdtype(_checks.new_key("key", jax.random.PRNGKey(0)).dtype, jax.dtypes.prng_key)
  assert _checks.new_key("key", jax.random.key(3)) == jax.random.key(3)


def test_array_accepts_arrays_and_converts_lists():
  for value in (jnp.ones(2), np.ones(2), np.float32(1), jnp.ones(2, jnp.bfloat16)):
    assert _checks.array("z", value) is value
  assert isinstance(_checks.array("z", [[1.0, 2.0]]), jax.Array)
  host = np.asarray(jnp.ones(2, jnp.bfloat16))
  assert _checks.array("z", host) is host


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
def test_type_name_has_an_article(value, words):
  assert _checks.type_name(value) == words


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
def test_short_repr_is_one_short_line(value, text):
  assert _checks.short_repr(value) == text


def test_short_repr_shows_printable_paths_in_full(tmp_path):
  assert _checks.short_repr(tmp_path / ("x" * 90)) == str(tmp_path / ("x" * 90))
  assert _checks.short_repr(tmp_path / "a\nb") == repr(str(tmp_path / "a\nb"))


def test_folder_is_created_or_rejected(tmp_path):
  assert _checks.folder("out", tmp_path / "a" / "b").is_dir()
  (tmp_path / "file").touch()
  for name in ("file", "file/below"):
    with pytest.raises(ValueError, match=r"^out must be a folder, but is .*file"):
      _checks.folder("out", tmp_path / name)


def test_short_message_is_one_short_line():
  assert _checks.short_message(ValueError("a\n  b")) == "a b"
  assert _checks.short_message(KeyError()) == "KeyError"
  assert len(_checks.short_message(ValueError("x" * 1000))) == 200
