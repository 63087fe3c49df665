"""Every plain field of every objective changes the loss of a run as it changes the objective."""

import dataclasses

import jax
import pytest
from training.small_runs import TRAIN, SmallRuns, log

from aejax import objectives
from aejax.autoencoder import pixels
from aejax.networks import architectures
from aejax.training.epoch import epoch_order
from aejax.training.state import build

CROSS_ENTROPY = {"reconstruction": "binary_cross_entropy"}
CHANGED = {
  "ae": {},
  "vae": {"beta": 3.0},
  "wae-mmd": {"weight": 3.0, "sample_prior": True},
  "cwae": {"weight": 3.0, "sample_prior": True, "log": False, "approximate": True},
  "swae": {"weight": 3.0, "sample_prior": True, "num_directions": 7},
  "sigreg": {"weight": 3.0},
  "energy": {"weight": 3.0, "sample_prior": True},
  "infovae": {"alpha": 0.25, "weight": 3.0},
  "sinkhorn": {"weight": 3.0, "epsilon": 0.5},
  "rae": {"weight": 3.0, "decay": 0.1},
}


def plain_fields(objective):
  """Returns the fields that the command line offers and config.json stores."""
  example = objective()
  return {
    field.name
    for field in dataclasses.fields(objective)
    if field.init and isinstance(getattr(example, field.name), bool | int | float | str)
  }


def first_losses(run, fields):
  """Returns the terms of the first step's loss with all fields, then without each of them."""
  model, state, _ = build(run.configuration)
  key = jax.random.fold_in(state.key, state.step)
  order = epoch_order(jax.random.fold_in(jax.random.key(0), 1), 0, TRAIN)
  images = pixels(run.dataset.train[order])
  make = objectives.BY_NAME[run.configuration.method]
  all_but_one = [{k: v for k, v in fields.items() if k != field} for field in fields]
  variants = [make(**some) for some in (fields, *all_but_one)]
  losses = jax.jit(lambda: [objective(model, images, key=key)[1] for objective in variants])()
  return [jax.tree.map(float, terms) for terms in losses]


@pytest.fixture(autouse=True)
def _linear_with_sigmoid(monkeypatch):
  """Lets the linear network decode to (0, 1), as the cross-entropy needs."""
  network = (*architectures._NETWORKS["linear"][:2], "sigmoid")
  monkeypatch.setitem(architectures._NETWORKS, "linear", network)


@pytest.mark.parametrize("method", objectives.BY_NAME)
def test_every_field_reaches_the_objective(method, tmp_path):
  fields = CROSS_ENTROPY | CHANGED[method]
  assert set(fields) == plain_fields(objectives.BY_NAME[method])
  run = SmallRuns(tmp_path).prepare(method, fields)
  assert run.configuration.make_objective() == objectives.BY_NAME[method](**fields)


# Training compiles for seconds, and the way from the configuration to the loss is one for all.
QUICK = ("cwae", "vae")
slow = [pytest.param(m, marks=pytest.mark.slow) for m in objectives.BY_NAME if m not in QUICK]


@pytest.mark.parametrize("method", [*QUICK, *slow])
def test_every_field_reaches_the_trained_loss(method, tmp_path):
  fields = CROSS_ENTROPY | CHANGED[method]
  run = SmallRuns(tmp_path).train(method, fields, batch_size=TRAIN)
  expected, *others = first_losses(run, fields)
  found = {name: log(run)[0][name] for name in expected}
  assert found == pytest.approx(expected, rel=1e-4)
  for field, without in zip(fields, others, strict=True):
    assert without != pytest.approx(expected, rel=1e-2), field
