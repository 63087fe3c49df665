"""config.json and summary.json, hostile or damaged: each is one sentence that names the file."""

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


def _one_sentence(error, path):
  message = str(error.value)
  assert type(error.value) is ValueError
  assert str(path) in message
  assert "\n" not in message
  assert len(message) < 700
  return message


@pytest.mark.parametrize("name", NO_OBJECTS)
def test_what_is_no_configuration(name, tmp_path):
  path = tmp_path / "config.json"
  path.write_bytes(NO_OBJECTS[name])
  with pytest.raises(ValueError, match=r"is damaged|does not describe a run") as error:
    read(tmp_path)
  _one_sentence(error, path)


@pytest.mark.parametrize("name", NO_OBJECTS)
def test_what_is_no_summary(name, tmp_path):
  write(tmp_path, CONFIGURATION)
  path = tmp_path / "summary.json"
  path.write_bytes(NO_OBJECTS[name])
  with pytest.raises(ValueError, match=r"is damaged|must hold an object") as error:
    write_report(tmp_path / "report.html", [tmp_path])
  _one_sentence(error, path)
  assert not (tmp_path / "report.html").exists()


def test_an_entry_that_is_there_twice(tmp_path):
  write(tmp_path, CONFIGURATION)
  path = tmp_path / "config.json"
  path.write_text('{"epochs": 3, ' + path.read_text()[1:])
  with pytest.raises(ValueError, match="is damaged: an entry occurs twice") as error:
    read(tmp_path)
  _one_sentence(error, path)


ANYTHING = [
  None,
  True,
  -1,
  0,
  2.5,
  "",
  "?",
  "\0",
  [],
  [1],
  {},
  {"a": 1},
  2**70,
  1e400,
  float("nan"),
]
# What an entry may be, of these.
FINE = {
  "method": [],
  "objective": [{}],
  "dataset": ["?", "\0"],
  "data_dir": [None, "", "?", "\0"],
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
  "seed": [0],
  "seeds": [],
  "accumulate": [],
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
def test_every_entry_of_a_configuration(entry, value, tmp_path):
  write(tmp_path, CONFIGURATION)
  path = tmp_path / "config.json"
  values = json.loads(path.read_text()) | {entry: value}
  path.write_text(json.dumps(values))
  if _is_fine(entry, value):
    assert read(tmp_path).make_objective()
    return
  with pytest.raises(ValueError, match="does not describe a run") as error:
    read(tmp_path)
  message = _one_sentence(error, path)
  named = {"objective": "field|weight|log", "seed": "seed", "method": "method|field"}
  assert any(word in message for word in named.get(entry, entry).split("|"))


@pytest.mark.parametrize("entry", FINE)
def test_an_entry_that_is_missing(entry, tmp_path):
  write(tmp_path, CONFIGURATION)
  path = tmp_path / "config.json"
  values = json.loads(path.read_text())
  del values[entry]
  path.write_text(json.dumps(values))
  if entry in ("seeds", "accumulate"):  # older runs have neither
    assert read(tmp_path) == CONFIGURATION
    return
  with pytest.raises(ValueError, match=f"missing or unknown entries {entry}") as error:
    read(tmp_path)
  _one_sentence(error, path)


@pytest.mark.parametrize("entry", ["dataset", "test_images", "normal_latents", "cramer_wold"])
def test_every_entry_of_a_summary(entry, tmp_path):
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


def test_what_a_page_shows_is_text_and_no_markup(tmp_path):
  write(tmp_path, CONFIGURATION)
  script = "<script>alert('&amp;$title')</script>\ud800"
  values = SUMMARY | {"method": script, script: script, "dataset": script}
  (tmp_path / "summary.json").write_text(json.dumps(values))
  (tmp_path / "plane.json").write_text(json.dumps({"points": script, "'\">": script}))
  (tmp_path / "plane_tiles.png").write_bytes(b'"><script>alert(1)</script>')
  page = write_report(tmp_path / "report.html", [tmp_path], title=script)
  assert "<script>alert" not in page.read_text()


def test_a_configuration_that_is_no_file(tmp_path):
  (tmp_path / "config.json").mkdir()
  with pytest.raises(ValueError, match="holds no run"):
    read(tmp_path)
  with pytest.raises(ValueError, match="holds no run"):
    read(Path("/dev/null"))
