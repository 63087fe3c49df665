"""A damaged config.json or summary.json raises one sentence that names the file."""

import json
from pathlib import Path

import pytest

from aejax.evaluation.report import write_report
from aejax.training import Options, complete
from aejax.training.configuration import read, write

pytestmark = pytest.mark.usefixtures("without_beartype")

CONFIGURATION = complete(
  "cwae", {}, Options(), dataset="digits", image_shape=(8, 8, 1), num_images=1438
)
SUMMARY = {"method": "cwae", "dataset": "digits", "test_images": 3, "cramer_wold": 0.1}

NOT_OBJECTS = {
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


def _assert_one_sentence(error, path):
  message = str(error.value)
  assert type(error.value) is ValueError
  assert str(path) in message
  assert "\n" not in message
  assert len(message) < 700
  return message


@pytest.mark.parametrize("name", NOT_OBJECTS)
def test_damaged_configuration_is_rejected(name, tmp_path):
  path = tmp_path / "config.json"
  path.write_bytes(NOT_OBJECTS[name])
  with pytest.raises(ValueError, match=r"is damaged|does not describe|another version") as error:
    read(tmp_path)
  _assert_one_sentence(error, path)


@pytest.mark.parametrize("name", NOT_OBJECTS)
def test_damaged_summary_is_rejected(name, tmp_path):
  write(tmp_path, CONFIGURATION)
  path = tmp_path / "summary.json"
  path.write_bytes(NOT_OBJECTS[name])
  with pytest.raises(ValueError, match=r"is damaged|must hold an object") as error:
    write_report(tmp_path / "report.html", [tmp_path])
  _assert_one_sentence(error, path)
  assert not (tmp_path / "report.html").exists()


def test_repeated_entry_is_rejected(tmp_path):
  write(tmp_path, CONFIGURATION)
  path = tmp_path / "config.json"
  path.write_text('{"epochs": 3, ' + path.read_text()[1:])
  with pytest.raises(ValueError, match="is damaged: an entry occurs twice") as error:
    read(tmp_path)
  _assert_one_sentence(error, path)


ANYTHING = [
  None,
  True,
  -1,
  2.5,
  "?",
  "\0",
  [1],
  {},
  2**70,
  float("nan"),
]
# Which of these values each entry accepts.
FINE = {
  "method": [],
  "objective": [{}],
  "dataset": ["?", "\0"],
  "data_dir": [None, "?", "\0"],
  "image_size": [None],
  "image_shape": [],
  "train_images": [],
  "network": [],
  "latent_dim": [],
  "epochs": [],
  "batch_size": [],
  "learning_rate": [True, 2.5, 2**70],
  "schedule": [],
  "precision": [],
  "seed": [],
  "seeds": [],
  "accumulate": [],
  "skip_nonfinite": [True],
  "checkpoint_minutes": [True, 2.5, 2**70],
  "checkpoint_epochs": [],
  "keep_checkpoints": [],
}
SHAPES = [[8, 8], [8, 8, 1, 1], [8, 0, 1], [8, -8, 1], [8.0, 8, 1], ["8", 8, 1], [8, 8, None]]
OBJECTIVES = [{"weight": -1}, {"weight": "x"}, {"weight": None}, {"wieght": 1}, {"log": 1}]
WRONG = [
  *((entry, value) for entry in FINE for value in ANYTHING),
  *(("image_shape", shape) for shape in SHAPES),
  *(("image_shape", [2**40, 8, 1]), ("image_shape", "881"), ("image_shape", {"8": 8, "9": 8})),
  *(("objective", fields) for fields in [*OBJECTIVES, [["weight", 1]], "weight"]),
  *(("batch_size", n) for n in (1439, "128", 128.0)),
  *(("method", name) for name in ("cwea", "cwae+", "cwae+cwae", "vae", ["cwae"])),
  *(("seed", seed) for seed in (2**32, "0", 0.0, False)),
]


def _is_fine(entry, value):
  return any(type(value) is type(fine) and value == fine for fine in FINE[entry])


@pytest.mark.parametrize(
  ("entry", "value"), WRONG, ids=[f"{k}-{entry}" for k, (entry, _) in enumerate(WRONG)]
)
def test_wrong_entry_of_configuration_is_rejected(entry, value, tmp_path):
  write(tmp_path, CONFIGURATION)
  path = tmp_path / "config.json"
  values = json.loads(path.read_text()) | {entry: value}
  path.write_text(json.dumps(values))
  if _is_fine(entry, value):
    assert read(tmp_path).make_objective()
    return
  with pytest.raises(ValueError, match="does not describe a run") as error:
    read(tmp_path)
  message = _assert_one_sentence(error, path)
  named = {"objective": "field|weight|log", "seed": "seed", "method": "method|field"}
  assert any(word in message for word in named.get(entry, entry).split("|"))


@pytest.mark.parametrize("entry", FINE)
def test_missing_entry_of_configuration_is_rejected(entry, tmp_path):
  write(tmp_path, CONFIGURATION)
  path = tmp_path / "config.json"
  values = json.loads(path.read_text())
  del values[entry]
  path.write_text(json.dumps(values))
  with pytest.raises(ValueError, match=f"missing or unknown entries {entry}") as error:
    read(tmp_path)
  _assert_one_sentence(error, path)


@pytest.mark.parametrize("entry", ["dataset", "test_images", "normal_latents", "cramer_wold"])
def test_wrong_entry_of_summary_is_rejected_or_shown(entry, tmp_path):
  write(tmp_path, CONFIGURATION)
  path, page = tmp_path / "summary.json", tmp_path / "report.html"
  for value in ANYTHING:
    path.write_text(json.dumps(SUMMARY | {entry: value}))
    try:
      write_report(page, [tmp_path])
    except ValueError as error:
      sentence = str(error)
    else:
      assert page.read_text()
      page.unlink()
      continue
    assert f"{path} is damaged: its {entry} is" in sentence
    assert not page.exists()


def test_report_escapes_markup(tmp_path):
  write(tmp_path, CONFIGURATION)
  script = "<script>alert('&amp;$title')</script>\ud800"
  values = SUMMARY | {"method": script, script: script, "dataset": script}
  (tmp_path / "summary.json").write_text(json.dumps(values))
  (tmp_path / "plane.json").write_text(json.dumps({"points": script, "'\">": script}))
  (tmp_path / "plane_tiles.png").write_bytes(b'"><script>alert(1)</script>')
  page = write_report(tmp_path / "report.html", [tmp_path], title=script)
  assert "<script>alert" not in page.read_text()


def test_configuration_that_is_a_folder_is_rejected(tmp_path):
  (tmp_path / "config.json").mkdir()
  with pytest.raises(ValueError, match="holds no run"):
    read(tmp_path)
  with pytest.raises(ValueError, match="holds no run"):
    read(Path("/dev/null"))
