import re

import pytest
from benchmarks.distance_plan import Case, plan_distances
from benchmarks.distances import DISTANCES

pytestmark = pytest.mark.bench


def test_default_sizes_suffice_to_fit_every_exponent():
  cases = plan_distances().cases
  assert len(cases) == len(set(cases))
  for name, distance in DISTANCES.items():
    of_one = [c for c in cases if (c.distance, c.dtype, c.devices) == (name, "float32", 1)]
    assert len({c.n for c in of_one if c.d == 64 and c.n >= 1024}) >= 3
    assert len({c.d for c in of_one if c.n == 1024}) >= 3
    if distance.slices:
      assert len({c.slices for c in of_one if (c.n, c.d) == (1024, 64)}) >= 3
    assert [c.n for c in cases if c.distance == name and c.dtype == "bfloat16"] == [1024]


def test_small_batches_come_first():
  sizes = [case.n for case in plan_distances(sizes=["512,4", "32,8", "128,2"]).cases]
  assert list(dict.fromkeys(sizes)) == [32, 128, 512]


def test_plan_has_what_is_asked_for():
  plan = plan_distances(
    distances=["sliced_wasserstein", "cramer_wold"], sizes=["64,4"], slices=[7], quick=True
  )
  assert plan.cases == (Case("sliced_wasserstein", 64, 4, 7), Case("cramer_wold", 64, 4))
  assert plan.memory == ()
  assert plan.settings() == {"quick": True, "peers": True, "torch.compile": False}
  assert plan_distances(cutoff=7.0).budget.cutoff == 7.0


def test_devices_get_only_batches_that_divide():
  plan = plan_distances(distances=["cramer_wold"], sizes=["64,4", "65,4"], quick=True, devices=4)
  assert [(c.n, c.devices) for c in plan.cases] == [(64, 1), (65, 1), (64, 4)]


@pytest.mark.parametrize(
  ("options", "sentence"),
  [
    ({"distances": ["cramer-would"]}, "no distance 'cramer-would': did you mean cramer_wold"),
    ({"distances": ["xyz"]}, "no distance 'xyz'. There are kl_divergence, cramer_wold"),
    ({"sizes": ["256"]}, "sizes must be pairs n,d such as 256,64, but one is '256'."),
    ({"sizes": ["a,b"]}, "but one is 'a,b'"),
    ({"sizes": ["1,8"]}, "n from 2 and d from 1 up, below 2^31, but one is '1,8'."),
    ({"slices": [0]}, "slices must be a whole number from 1 up, but is 0."),
    ({"cutoff": 0.0}, "cutoff must be positive, but is 0."),
    ({"cutoff": float("nan")}, "cutoff must be positive, but is nan."),
  ],
)
def test_plan_rejects_options(options, sentence):
  with pytest.raises(ValueError, match=re.escape(sentence)) as error:
    plan_distances(**options)
  assert "\n" not in str(error.value)
