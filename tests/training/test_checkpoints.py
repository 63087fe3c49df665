import dataclasses
import json
import math
import shutil
import warnings

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import AejaxWarning
from aejax.training import Diverged
from aejax.training.checkpoint_group import CheckpointGroup
from aejax.training.checkpoints import Checkpoints
from aejax.training.manifest import Damaged
from aejax.training.state import build, fresh


def _state(step):
  return {
    "step": jnp.int32(step),
    "params": {"kernel": jnp.full((3, 2), step, jnp.float32), "half": jnp.ones(2, jnp.bfloat16)},
    "key": jax.random.key(step),
  }


def _plain(state):
  return jax.device_get({**state, "key": jax.random.key_data(state["key"])})


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
  folder = tmp_path_factory.mktemp("saved") / "checkpoints"
  with Checkpoints(folder) as checkpoints:
    assert checkpoints.latest is None
    for step in (5, 10, 15):
      checkpoints.save(step, _state(step))
    assert checkpoints.latest == 15
  return folder


def test_restore_returns_the_newest_bit_for_bit(saved):
  with Checkpoints(saved) as checkpoints:
    state = checkpoints.restore(_state(0))
  chex.assert_trees_all_equal(_plain(state), _plain(_state(15)))
  assert jax.tree.map(lambda leaf: leaf.dtype, state) == jax.tree.map(
    lambda leaf: leaf.dtype, _state(0)
  )
  # A typed key, which draws the same numbers as the saved one.
  assert jax.random.bits(state["key"]) == jax.random.bits(jax.random.key(15))


def test_restore_accepts_shapes_and_dtypes(saved):
  with Checkpoints(saved) as checkpoints:
    state = checkpoints.restore(jax.eval_shape(lambda: _state(0)))
  chex.assert_trees_all_equal(_plain(state), _plain(_state(15)))
  assert {leaf.sharding.device_set.pop() for leaf in jax.tree.leaves(state)} == {jax.devices()[0]}


def test_checkpoints_keep_two_by_default(saved):
  assert sorted(path.name for path in saved.iterdir()) == ["10", "15"]


def test_save_copies_buffers_and_ignores_a_saved_step(tmp_path):
  with Checkpoints(tmp_path / "checkpoints") as checkpoints:
    state = _state(1)
    checkpoints.save(1, state)
    for leaf in jax.tree.leaves(state["params"]):
      leaf.delete()
    checkpoints.save(1, _state(2))
    restored = checkpoints.restore(_state(0))
  np.testing.assert_array_equal(restored["params"]["kernel"], np.ones((3, 2)))


def test_restore_without_checkpoints(tmp_path):
  with (
    Checkpoints(tmp_path / "empty") as checkpoints,
    pytest.raises(ValueError, match=r"There is no checkpoint in .*empty\."),
  ):
    checkpoints.restore(_state(0))


@pytest.mark.parametrize(
  ("changes", "sentence"),
  [
    (
      {"params": {"kernel": jnp.zeros((4, 2)), "half": jnp.ones(2, jnp.bfloat16)}},
      r"of another model: \['params'\]\['kernel'\] is float32\[3, 2\] in it, not float32\[4, 2\]",
    ),
    ({"more": jnp.zeros(2)}, r"\['more'\] is absent in it, not float32\[2\]"),
    ({"step": jnp.zeros(())}, r"\['step'\] is int32\[\] in it, not float32\[\]"),
    ({"params": {}}, r"\['params'\]\['half'\] is bfloat16\[2\] in it, not absent"),
  ],
)
def test_restore_rejects_another_model(saved, changes, sentence):
  with Checkpoints(saved) as checkpoints, pytest.raises(ValueError, match=sentence):
    checkpoints.restore({**_state(0), **changes})


# Files that Orbax writes for itself after all others.
BOOKKEEPING = {"_CHECKPOINT_METADATA", "commit_success.txt"}


def _files(folder):
  return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("damage", ["missing", "cut", "changed"])
def test_restore_names_every_damaged_file(saved, tmp_path, damage):
  names = [path.relative_to(saved) for path in _files(saved / "15")]
  assert len(names) > 5
  for name in names:
    copy = tmp_path / name.name
    shutil.copytree(saved, copy)
    path = copy / name
    content = path.read_bytes()
    if damage == "missing":
      path.unlink()
    elif damage == "cut":
      path.write_bytes(content[: len(content) // 2])
    else:
      middle = len(content) // 2
      path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    with Checkpoints(copy) as checkpoints:
      if str(name.relative_to("15")) in BOOKKEEPING:
        chex.assert_trees_all_equal(_plain(checkpoints.restore(_state(0))), _plain(_state(15)))
        shutil.rmtree(copy)
        continue
      with pytest.raises(Damaged, match="damaged") as error:
        checkpoints.restore(_state(0), 15)
    assert "\n" not in str(error.value)
    shutil.rmtree(copy)


@pytest.mark.parametrize(
  ("manifest", "sentence"),
  [
    (None, r"15 is damaged: There is no .*manifest\.json"),
    ("[]", r"15 is damaged: its manifest\.json lacks an entry"),
    ('{"leaves": {}, "files": {}}', r"15 is damaged: its manifest\.json lacks an entry"),
    ('{"format": 2, "leaves": [], "files": {}}', r"manifest\.json lacks an entry"),
  ],
)
def test_restore_rejects_checkpoint_without_manifest(saved, tmp_path, manifest, sentence):
  copy = tmp_path / "checkpoints"
  shutil.copytree(saved, copy)
  path = copy / "15" / "manifest.json"
  path.unlink() if manifest is None else path.write_text(manifest)
  with Checkpoints(copy) as checkpoints, pytest.raises(Damaged, match=sentence) as error:
    checkpoints.restore(_state(0), 15)
  assert "\n" not in str(error.value)


def test_restore_rejects_another_format(saved, tmp_path):
  copy = tmp_path / "checkpoints"
  shutil.copytree(saved, copy)
  path = copy / "15" / "manifest.json"
  path.write_text(json.dumps({**json.loads(path.read_text()), "format": 3}))
  # No other checkpoint is tried: this one is not damaged.
  with (
    Checkpoints(copy) as checkpoints,
    pytest.raises(ValueError, match=r"by another version of aejax: its format is 3, .* reads 2\."),
  ):
    checkpoints.restore(_state(0))


def test_restore_reports_errors_of_orbax(saved, tmp_path):
  copy = tmp_path / "copy"
  shutil.copytree(saved, copy)
  metadata = copy / "15" / "default" / "_METADATA"
  metadata.write_bytes(metadata.read_bytes()[:100])
  manifest = copy / "15" / "manifest.json"
  manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "files": {}}))
  with (
    Checkpoints(copy) as checkpoints,
    pytest.raises(Damaged, match=r"checkpoint of step 15 in .* cannot be restored") as error,
  ):
    checkpoints.restore(_state(0), 15)
  assert "\n" not in str(error.value)


@pytest.fixture
def damaged(saved, tmp_path):
  """Checkpoints of steps 10 and 15, the newer one damaged."""
  copy = tmp_path / "checkpoints"
  shutil.copytree(saved, copy)
  (copy / "15" / "default" / "_METADATA").write_bytes(b"{}")
  return copy


DAMAGED_15 = (
  "15 is damaged: default/_METADATA is missing or has changed. Looking for the one before"
)


def test_restore_takes_the_checkpoint_before_a_damaged_one(damaged, tmp_path):
  with Checkpoints(damaged) as checkpoints:
    with pytest.warns(AejaxWarning, match=DAMAGED_15):
      state = checkpoints.restore(_state(0))
    assert checkpoints.latest == 10
  chex.assert_trees_all_equal(_plain(state), _plain(_state(10)))
  assert sorted(path.name for path in damaged.iterdir()) == ["10", "15"]  # reading moves nothing

  # A resumed run saves the same step again, and deletes nothing, not even the damaged checkpoint.
  with CheckpointGroup([tmp_path]) as runs:
    with pytest.warns(AejaxWarning, match=DAMAGED_15):
      step, (again,) = runs.restore([_state(0)], None)
    assert step == int(again["step"]) == 10
    runs.save(15, [_state(15)])
  with Checkpoints(damaged) as checkpoints:
    chex.assert_trees_all_equal(_plain(checkpoints.restore(_state(0))), _plain(_state(15)))
  (aside,) = tmp_path.glob("damaged-15-*")
  assert (aside / "default" / "_METADATA").read_bytes() == b"{}"


def test_restore_moves_nothing_if_a_filter_raises_its_warning(damaged, tmp_path):
  before = _files(damaged)
  with (
    warnings.catch_warnings(action="error", category=AejaxWarning),
    CheckpointGroup([tmp_path]) as runs,
    pytest.raises(AejaxWarning, match=DAMAGED_15),
  ):
    runs.restore([_state(0)], None)
  assert _files(damaged) == before
  assert not list(tmp_path.glob("damaged-*"))


def test_restore_names_the_newest_if_all_are_damaged(saved, tmp_path):
  copy = tmp_path / "checkpoints"
  shutil.copytree(saved, copy)
  for step in ("10", "15"):
    (copy / step / "manifest.json").write_text("{")
  with (
    Checkpoints(copy) as checkpoints,
    pytest.warns(AejaxWarning) as warned,
    pytest.raises(ValueError, match=r"15 is damaged: .*manifest\.json"),
  ):
    checkpoints.restore(_state(0))
  assert len(warned) == 2


def test_exit_keeps_the_first_error_if_a_save_fails_too(tmp_path, monkeypatch):
  checkpoints = Checkpoints(tmp_path / "checkpoints")

  def fail():
    raise OSError("the disk is full")

  monkeypatch.setattr(checkpoints, "wait", fail)
  with pytest.warns(AejaxWarning, match="the disk is full"), pytest.raises(KeyError), checkpoints:
    raise KeyError
  with (
    warnings.catch_warnings(action="error", category=AejaxWarning),
    pytest.raises(KeyError),
    checkpoints,
  ):
    raise KeyError
  with pytest.raises(OSError, match="the disk is full"), checkpoints:
    pass


def test_restore_writes_nothing(saved):
  before = {path: path.stat().st_mtime_ns for path in _files(saved)}
  with Checkpoints(saved) as checkpoints:
    checkpoints.restore(_state(0))
  assert before == {path: path.stat().st_mtime_ns for path in _files(saved)}


def test_manifest_lists_every_file(saved):
  for step in ("10", "15"):
    listed = json.loads((saved / step / "manifest.json").read_text())["files"]
    present = {str(p.relative_to(saved / step)) for p in _files(saved / step)}
    assert set(listed) == present - {"manifest.json", *BOOKKEEPING}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_save_rejects_parameters_that_are_not_finite(configure, tmp_path, bad):
  _, state, _ = build(configure())
  params = jax.tree.map(lambda leaf: leaf.at[..., -1].set(bad), state.params)
  with Checkpoints(tmp_path) as checkpoints:
    with pytest.raises(Diverged):
      checkpoints.save(0, fresh(dataclasses.replace(state, params=params)))
    assert checkpoints.latest is None
    checkpoints.save(0, fresh(state))
    checkpoints.wait()
    assert checkpoints.latest == 0
