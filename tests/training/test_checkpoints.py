import json
import shutil

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax.training.checkpoints import CheckpointGroup, Checkpoints


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


def test_the_newest_comes_back_bit_for_bit(saved):
  with Checkpoints(saved) as checkpoints:
    state = checkpoints.restore(_state(0))
  chex.assert_trees_all_equal(_plain(state), _plain(_state(15)))
  assert jax.tree.map(lambda leaf: leaf.dtype, state) == jax.tree.map(
    lambda leaf: leaf.dtype, _state(0)
  )
  # The key is a key: it draws what the saved one draws.
  assert jax.random.bits(state["key"]) == jax.random.bits(jax.random.key(15))


def test_shapes_and_dtypes_are_enough_to_restore(saved):
  with Checkpoints(saved) as checkpoints:
    state = checkpoints.restore(jax.eval_shape(lambda: _state(0)))
  chex.assert_trees_all_equal(_plain(state), _plain(_state(15)))
  assert {leaf.sharding.device_set.pop() for leaf in jax.tree.leaves(state)} == {jax.devices()[0]}


def test_two_are_kept(saved):
  assert sorted(path.name for path in saved.iterdir()) == ["10", "15"]


def test_a_saved_step_is_left_alone_and_donated_buffers_are_copied(tmp_path):
  with Checkpoints(tmp_path / "checkpoints") as checkpoints:
    state = _state(1)
    checkpoints.save(1, state)
    for leaf in jax.tree.leaves(state["params"]):
      leaf.delete()
    checkpoints.save(1, _state(2))
    restored = checkpoints.restore(_state(0))
  np.testing.assert_array_equal(restored["params"]["kernel"], np.ones((3, 2)))


def test_none_is_named(tmp_path):
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
def test_another_model_is_named(saved, changes, sentence):
  with Checkpoints(saved) as checkpoints, pytest.raises(ValueError, match=sentence):
    checkpoints.restore({**_state(0), **changes})


# What Orbax writes for itself, after all the rest.
BOOKKEEPING = {"_CHECKPOINT_METADATA", "commit_success.txt"}


def _files(folder):
  return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("damage", ["missing", "cut", "changed"])
def test_damage_to_any_file_is_named(saved, tmp_path, damage):
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
      harmless = str(name.relative_to("15")) in BOOKKEEPING or (name.name, damage) == (
        "manifest.json",
        "missing",
      )
      if harmless:  # an older run that was killed may have left no manifest
        chex.assert_trees_all_equal(_plain(checkpoints.restore(_state(0))), _plain(_state(15)))
        shutil.rmtree(copy)
        continue
      with pytest.raises(ValueError, match="damaged") as error:
        checkpoints.restore(_state(0), 15)
    assert "\n" not in str(error.value)
    shutil.rmtree(copy)


def test_damage_that_no_manifest_tells_is_an_error_too(saved, tmp_path):
  copy = tmp_path / "copy"
  shutil.copytree(saved, copy)
  (copy / "15" / "manifest.json").unlink()
  metadata = copy / "15" / "default" / "_METADATA"
  metadata.write_bytes(metadata.read_bytes()[:100])
  with (
    Checkpoints(copy) as checkpoints,
    pytest.raises(ValueError, match=r"checkpoint of step 15 in .* cannot be restored"),
  ):
    checkpoints.restore(_state(0), 15)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(saved, tmp_path, capsys):
  copy = tmp_path / "checkpoints"
  shutil.copytree(saved, copy)
  (copy / "15" / "default" / "_METADATA").write_bytes(b"{}")
  with Checkpoints(copy) as checkpoints:
    state = checkpoints.restore(_state(0))
    assert checkpoints.latest == 10
  chex.assert_trees_all_equal(_plain(state), _plain(_state(10)))
  assert "15 is damaged: default/_METADATA is missing or has changed" in capsys.readouterr().err
  assert sorted(path.name for path in copy.iterdir()) == ["10", "15"]  # reading moves nothing

  # A run that goes on saves the same step anew, and loses nothing, not even the damaged one.
  with CheckpointGroup([tmp_path]) as runs:
    step, (again,) = runs.restore([_state(0)], None)
    assert step == int(again["step"]) == 10
    runs.save(15, [_state(15)])
  with Checkpoints(copy) as checkpoints:
    chex.assert_trees_all_equal(_plain(checkpoints.restore(_state(0))), _plain(_state(15)))
  (aside,) = tmp_path.glob("damaged-15-*")
  assert (aside / "default" / "_METADATA").read_bytes() == b"{}"


def test_where_all_are_damaged_the_newest_is_named(saved, tmp_path, capsys):
  copy = tmp_path / "checkpoints"
  shutil.copytree(saved, copy)
  for step in ("10", "15"):
    (copy / step / "manifest.json").write_text("{")
  with (
    Checkpoints(copy) as checkpoints,
    pytest.raises(ValueError, match=r"15 is damaged: .*manifest\.json"),
  ):
    checkpoints.restore(_state(0))
  assert capsys.readouterr().err.count("warning") == 2


def test_reading_writes_nothing(saved):
  before = {path: path.stat().st_mtime_ns for path in _files(saved)}
  with Checkpoints(saved) as checkpoints:
    checkpoints.restore(_state(0))
  assert before == {path: path.stat().st_mtime_ns for path in _files(saved)}


def test_every_file_is_in_the_manifest(saved):
  for step in ("10", "15"):
    listed = json.loads((saved / step / "manifest.json").read_text())["files"]
    present = {str(p.relative_to(saved / step)) for p in _files(saved / step)}
    assert set(listed) == present - {"manifest.json", *BOOKKEEPING}
