"""Every mistake is one clear sentence: bad calls of everything that aejax makes public."""

import traceback
from pathlib import Path

import pytest
from robustness import bad_distances

import aejax

TABLE = {"distances": bad_distances.CASES}
CALLS = [
  (f"{part}.{name}", pattern, call)
  for part, cases in TABLE.items()
  for name, pattern, call in cases
]
OURS = str(Path(aejax.__file__).parent)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
  ("name", "pattern", "call"), CALLS, ids=[f"{k}-{name}" for k, (name, *_) in enumerate(CALLS)]
)
def test_a_bad_call_is_one_sentence(name, pattern, call):
  with pytest.raises(ValueError, match=pattern) as error:
    call(None)
  assert type(error.value) is ValueError
  assert "\n" not in str(error.value)
  # Where the scripts draw the line between a user's mistake and a defect.
  assert traceback.extract_tb(error.value.__traceback__)[-1].filename.startswith(OURS)
