import re

import pytest
from benchmarks.distances import DISTANCES, Cell
from benchmarks.plan import make_plan

pytestmark = pytest.mark.bench


def test_the_default_grid_shows_every_law_of_growth():
  cells = make_plan().cells
  assert len(cells) == len(set(cells))
  for name, distance in DISTANCES.items():
    mine = [c for c in cells if (c.distance, c.dtype, c.devices) == (name, "float32", 1)]
    assert len({c.n for c in mine if c.d == 64 and c.n >= 1024}) >= 3
    assert len({c.d for c in mine if c.n == 1024}) >= 3
    if distance.slices:
      assert len({c.slices for c in mine if (c.n, c.d) == (1024, 64)}) >= 3
    assert [c.n for c in cells if c.distance == name and c.dtype == "bfloat16"] == [1024]


def test_small_batches_come_first():
  sizes = [cell.n for cell in make_plan(sizes=["512,4", "32,8", "128,2"]).cells]
  timed = [n for n in sizes if sizes.count(n)]
  assert timed[0] == 32
  first = {n: sizes.index(n) for n in sizes}
  assert first[32] < first[128] < first[512]


def test_wishes():
  plan = make_plan(
    distances=["sliced_wasserstein", "cramer_wold"], sizes=["64,4"], slices=[7], quick=True
  )
  assert plan.cells == (Cell("sliced_wasserstein", 64, 4, 7), Cell("cramer_wold", 64, 4))
  assert plan.memory == ()
  assert plan.settings() == {"quick": True, "peers": True, "torch.compile": False}
  assert make_plan(cutoff=7.0).effort.cutoff == 7.0


def test_devices_take_batches_that_they_can_split():
  plan = make_plan(distances=["cramer_wold"], sizes=["64,4", "65,4"], quick=True, devices=4)
  assert [(c.n, c.devices) for c in plan.cells] == [(64, 1), (65, 1), (64, 4)]


@pytest.mark.parametrize(
  ("wish", "sentence"),
  [
    ({"distances": ["cramer-would"]}, "no distance 'cramer-would': did you mean cramer_wold?"),
    ({"distances": ["xyz"]}, "no distance 'xyz': there are kl_divergence, cramer_wold"),
    ({"sizes": ["256"]}, "sizes must be pairs n,d such as 256,64, but one is '256'."),
    ({"sizes": ["a,b"]}, "but one is 'a,b'"),
    ({"sizes": ["1,8"]}, "n from 2 and d from 1 up, below 2^31, but one is '1,8'."),
    ({"slices": [0]}, "slices must be a whole number from 1 up, but is 0."),
    ({"cutoff": 0.0}, "cutoff must be positive, but is 0."),
    ({"cutoff": float("nan")}, "cutoff must be positive, but is nan."),
  ],
)
def test_mistakes_are_one_sentence(wish, sentence):
  with pytest.raises(ValueError, match=re.escape(sentence)) as error:
    make_plan(**wish)
  assert "\n" not in str(error.value)
