import pytest

from aejax import _memory


def test_free_memory_is_some():
  assert _memory.available_bytes() > 2**20


def test_what_cannot_fit_is_refused(monkeypatch):
  monkeypatch.setattr(_memory, "available_bytes", lambda: 3 * 2**30)
  _memory.check_fits("num", 7, 3 * 2**30)
  sentence = r"^num must be less, but is 8: that would take 5 GiB of memory, and 3 are available\.$"
  with pytest.raises(ValueError, match=sentence):
    _memory.check_fits("num", 8, 5 * 2**30)


def test_little_is_not_looked_at(monkeypatch):
  monkeypatch.setattr(_memory, "available_bytes", lambda: 0)
  _memory.check_fits("num", 8, 2**30)
