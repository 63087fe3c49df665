import types

import jax
import pytest
from benchmarks import environment as module
from benchmarks.environment import describe, difference, environment

from aejax import distances

pytestmark = pytest.mark.bench


def test_environment_has_versions_and_devices():
  found = environment([distances], ["jaxtyping", "no-such-library"])
  assert found["versions"]["jax"] == jax.__version__
  assert "jaxtyping" in found["versions"]
  assert "no-such-library" not in found["versions"]
  assert found["threads"] >= 1
  assert found["devices"] == "1 × cpu"
  assert difference(found, environment([distances], ["jaxtyping"])) is None
  assert found["date"] in describe(found)


def test_difference_ignores_the_date():
  now = environment([])
  assert difference({**now, "date": "once"}, now) is None


@pytest.mark.parametrize(
  ("change", "words"),
  [
    ({"processor": "abacus"}, "processor is abacus there and"),
    ({"code": "0"}, "aejax's code has changed"),
    ({"versions": {"jax": "0.1"}}, "is missing there and"),
  ],
)
def test_difference_in_words(change, words):
  now = environment([])
  assert words in (difference({**now, **change}, now) or "")


def test_digest_depends_on_the_content_of_files(tmp_path):
  package = types.ModuleType("package")
  package.__path__ = [str(tmp_path)]
  file = tmp_path / "module.py"
  digests = []
  for text in ("a = 1", "a = 1", "a = 2"):
    file.write_text(text)
    digests.append(module._digest([package]))
  assert digests[0] == digests[1] != digests[2]
