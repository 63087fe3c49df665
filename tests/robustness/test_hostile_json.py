"""JSON files that are hostile or damaged: each gives one sentence that names the file."""

import json
from pathlib import Path

import pytest

from aejax.evaluation import write_report
from aejax.training import Options, complete
from aejax.training.configuration import _ADDED as ADDED
from aejax.training.configuration import FIELD_NAMES, read, write

pytestmark = pytest.mark.usefixtures("without_beartype")

CONFIGURATION = complete(
  "cwae", {}, Options(), dataset="digits", image_shape=(8, 8, 1), num_images=1438
)
SUMMARY = {"method": "cwae", "dataset": "digits", "test_images": 3, "cramer_wold": 0.1}

NO_OBJECTS = {
  "empty": b"",
  "blank": b" \n\t",
  "cut": b'{"method": "cw',
  "list": b"[1, 2]",
  "number": b"3",
  "null": b"null",
  "string": b'"cwae"',
  "nan": b"NaN",
  "bom": b"\xef\xbb\xbf{}",
  "latin-1": b'{"m\xe9thode": 1}',
  "utf-16": '{"a": 1}'.encode("utf-16"),
  "null-bytes": bytes(1000),
  "deep": b"[" * 100_000,
  "deep-objects": b'{"a":' * 100_000,
  "deep-and-closed": b"[" * 100_000 + b"]" * 100_000,
  "digits": b'{"a": ' + b"9" * 10_000 + b"}",
  "exponent": b'{"a": 1e999999999}',
  "trailing": b"{} {}",
  "python": b"{'a': None}",
  "escape": b'{"\\ud800": 1}',
  "html": b"<!doctype html>",
}
# A summary goes through the same parser: one example of each place that raises.
NO_SUMMARIES = ["empty", "list", "null", "latin-1", "deep", "digits"]

# Values of each entry of config.json that are out of range or of the wrong kind.
INTEGER = [0, -1, 2.5, "3", 2**70, True]
BAD_ENTRIES = {
  "method": ["", "cwea", "cwae+", "cwae+cwae", "vae"],
  "objective": [{"weight": -1}, {"weight": "x"}, {"weight": None}, {"wieght": 1}, {"log": 1}],
  "dataset": ["", 3],
  "data_dir": [3],
  "image_size": INTEGER,
  "image_shape": [
    [],
    [8, 8, 8, 1, 1],
    [8, 0, 1],
    [8.0, 8, 1],
    ["8", 8, 1],
    [8, 8, None],
    [2**40, 8, 1],
    "881",
    {"8": 8, "9": 8},
  ],
  "train_images": INTEGER,
  "data_digest": [3, True, 2.5],
  "flip": ["", "yes", 2],
  "scaling": ["", "units", 3, True, {"mean": [1.0]}, {"mean": [1.0], "scale": [0.0]}],
  "data": ["disk", 3, True],
  "network": ["", "mpl", "a:", ":b", 3],
  "prior": ["", "sphere:2", "mixture:1", 3, True],
  "optimizer": ["", "adm", 3],
  "warmup_steps": [-1, 2.5, "3", True],
  "weight_decay": [-1, "x", float("nan"), 0.1],
  "clip_norm": [-1, "x", float("nan"), True],
  "ema_decay": [-1, 1, "x", float("nan")],
  "weight_schedule": ["", "warmup", "cyclic:0", "constant:1", 3, True],
  "callback": ["", "tensorbord", 3, True],
  "test_epochs": [-1, 2.5, "3", True],
  "patience": [-1, 2.5, "3", True],
  "latent_dim": INTEGER,
  "epochs": INTEGER,
  "batch_size": [*INTEGER, 1439],
  "learning_rate": [0, -1.0, "fast", 1e400, float("nan"), True],
  "schedule": ["", "cosin"],
  "precision": ["float16"],
  "seed": [-1, 2**32, 0.0, "0", False],
  "seeds": INTEGER,
  "accumulate": INTEGER,
  "skip_nonfinite": [0, "no"],
  "checkpoint_minutes": [-1, "2", float("nan"), True],
  "checkpoint_epochs": [-1, 2.5, "3"],
  "keep_checkpoints": INTEGER,
}
# Entries that may be null, and entries of which these containers are a possible value.
MAY_BE_NULL = {"callback", "data", "data_digest", "data_dir", "image_size"}
MAY_BE = {"objective": {}, "image_shape": [1]}


def _one_sentence(error, path):
  message = str(error.value)
  assert type(error.value) is ValueError
  assert str(path) in message
  assert "\n" not in message
  assert len(message) < 700
  return message


@pytest.mark.parametrize("name", NO_OBJECTS)
def test_read_rejects_files_that_hold_no_object(name, tmp_path):
  path = tmp_path / "config.json"
  path.write_bytes(NO_OBJECTS[name])
  pattern = "is damaged|does not describe a run|was written by another version"
  with pytest.raises(ValueError, match=pattern) as error:
    read(tmp_path)
  _one_sentence(error, path)


@pytest.mark.parametrize("name", NO_SUMMARIES)
def test_write_report_rejects_files_that_hold_no_object(name, tmp_path):
  write(tmp_path, CONFIGURATION)
  path = tmp_path / "summary.json"
  path.write_bytes(NO_OBJECTS[name])
  with pytest.raises(ValueError, match=r"is damaged|must hold an object") as error:
    write_report(tmp_path / "report.html", [tmp_path])
  _one_sentence(error, path)
  assert not (tmp_path / "report.html").exists()


def test_read_rejects_an_entry_that_occurs_twice(tmp_path):
  write(tmp_path, CONFIGURATION)
  path = tmp_path / "config.json"
  path.write_text('{"epochs": 3, ' + path.read_text()[1:])
  with pytest.raises(ValueError, match=r"is damaged: an entry .* twice") as error:
    read(tmp_path)
  _one_sentence(error, path)


@pytest.mark.parametrize("entry", BAD_ENTRIES)
def test_read_rejects_bad_values_of_an_entry(entry, tmp_path):
  write(tmp_path, CONFIGURATION)
  path = tmp_path / "config.json"
  values = json.loads(path.read_text())
  anything = [value for value in ([], {}, [1], {"a": 1}) if value != MAY_BE.get(entry)]
  if entry not in MAY_BE_NULL:
    anything.append(None)
  named = {"objective": "field|weight|log", "method": "method|field"}.get(entry, entry)
  for value in [*BAD_ENTRIES[entry], *anything]:
    path.write_text(json.dumps(values | {entry: value}))
    with pytest.raises(ValueError, match="does not describe a run") as error:
      read(tmp_path)
    message = _one_sentence(error, path)
    assert any(word in message for word in named.split("|")), value


def test_read_rejects_a_missing_entry(tmp_path):
  assert set(BAD_ENTRIES) == FIELD_NAMES
  write(tmp_path, CONFIGURATION)
  path = tmp_path / "config.json"
  values = json.loads(path.read_text())
  for entry in FIELD_NAMES - ADDED:  # which earlier versions did not write
    path.write_text(json.dumps({name: value for name, value in values.items() if name != entry}))
    with pytest.raises(ValueError, match=f"missing or unknown entries {entry}") as error:
      read(tmp_path)
    _one_sentence(error, path)


def test_read_accepts_unusual_values(tmp_path):
  write(tmp_path, CONFIGURATION)
  path = tmp_path / "config.json"
  values = json.loads(path.read_text())
  fine = {"dataset": ["?", "\0"], "data_dir": [None, "", "\0"], "learning_rate": [2, 2**70]}
  fine |= {"objective": [{}], "checkpoint_minutes": [0], "image_size": [None, 7]}
  for entry, several in fine.items():
    for value in several:
      path.write_text(json.dumps(values | {entry: value}))
      assert getattr(read(tmp_path), entry) == value


@pytest.mark.parametrize("entry", ["method", "dataset", "test_images", "normal_latents"])
def test_write_report_rejects_a_damaged_summary(entry, tmp_path):
  write(tmp_path, CONFIGURATION)
  path = tmp_path / "summary.json"
  good = {"method": str, "dataset": str, "test_images": int, "normal_latents": dict}[entry]
  for value in (None, True, -1, 2.5, "", "\0", [], [1], {}, {"a": 1}, 2**70, float("nan")):
    path.write_text(json.dumps(SUMMARY | {entry: value}))
    if isinstance(value, good):
      write_report(tmp_path / "report.html", [tmp_path]).unlink()
      continue
    with pytest.raises(ValueError, match=f"is damaged: its {entry} is") as error:
      write_report(tmp_path / "report.html", [tmp_path])
    _one_sentence(error, path)
    assert not (tmp_path / "report.html").exists()


def test_write_report_shows_any_metric(tmp_path):
  write(tmp_path, CONFIGURATION)
  for value in (None, True, -1, 2.5, "", "\0", [1], {"a": 1}, 2**70, 1e400, float("nan")):
    (tmp_path / "summary.json").write_text(json.dumps(SUMMARY | {"cramer_wold": value}))
    assert write_report(tmp_path / "report.html", [tmp_path]).read_text()


def test_write_report_escapes_markup(tmp_path):
  write(tmp_path, CONFIGURATION)
  script = "<script>alert('&amp;$title')</script>\ud800"
  values = SUMMARY | {"method": script, script: script, "dataset": script}
  (tmp_path / "summary.json").write_text(json.dumps(values))
  (tmp_path / "plane.json").write_text(json.dumps({"points": script, "'\">": script}))
  (tmp_path / "plane_tiles.png").write_bytes(b'"><script>alert(1)</script>')
  page = write_report(tmp_path / "report.html", [tmp_path], title=script)
  assert "<script>alert" not in page.read_text()


def test_read_rejects_a_configuration_that_is_not_a_file(tmp_path):
  (tmp_path / "config.json").mkdir()
  with pytest.raises(ValueError, match="holds no run"):
    read(tmp_path)
  with pytest.raises(ValueError, match="holds no run"):
    read(Path("/dev/null"))
