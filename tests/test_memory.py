import pytest

from aejax import _memory


def test_available_bytes_is_positive():
  assert _memory.available_bytes() > 2**20


def test_check_fits_rejects_too_much_memory(monkeypatch):
  monkeypatch.setattr(_memory, "available_bytes", lambda: 3 * 2**30)
  _memory.check_fits("num", 7, 3 * 2**30)
  sentence = (
    r"^num must be less, but is 8: that would take 5 GiB of memory, but 3 GiB are available\.$"
  )
  with pytest.raises(ValueError, match=sentence):
    _memory.check_fits("num", 8, 5 * 2**30)


def test_check_fits_ignores_small_allocations(monkeypatch):
  monkeypatch.setattr(_memory, "available_bytes", lambda: 0)
  _memory.check_fits("num", 8, 2**30)
