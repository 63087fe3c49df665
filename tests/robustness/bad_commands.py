"""Bad flags of every script: each ends in one sentence on stderr, and exit code 2.

`{digits}` is the work directory of a finished run, `{folder}` an empty folder, `{file}` a text
file, `{images}` a data set of 40 small images, `{used}` a folder with a file in it.
"""

__all__ = ["COMMANDS"]

WHOLE = ["0", "-1", "2.5", "ten", "", "nan", "1e3", "99999999999999999999"]
METHODS = ["ae", "vae", "wae-mmd", "cwae", "swae", "sigreg", "energy", "infovae", "sinkhorn", "rae"]
# What each number of train.py, beside the numbers themselves, may not be.
TRAIN = {
  "--latent-dim": WHOLE,
  "--epochs": WHOLE,
  "--batch-size": [*WHOLE, "1439"],
  "--accumulate": [*WHOLE, "3"],
  "--seeds": WHOLE,
  "--image-size": [*WHOLE, "1000000000"],
  "--seed": ["-1", "4294967296", "0.5", "a", "", "nan"],
  "--learning-rate": ["0", "-1", "nan", "inf", "-inf", "1e999", "fast", "", "1j"],
  "--network": ["mpl", "", "MLP", "../mlp"],
  "--schedule": ["cosin", "", "Cosine"],
  "--precision": ["float16", "", "double"],
  "--dataset": ["mnits", "nowhere.npz", "{file}", "{folder}", "/dev/null"],
  "--data-dir": ["{folder}/nowhere", "{file}", "~nobody-here"],
  "--workdir": [
    "{used}",
    "{file}",
    "{digits}",
    "{file}/run",
    "{folder}/" + "x" * 300,
  ],
  "--coordinator": ["localhost:1234", "", "nowhere"],
  "--num-processes": ["2", "two", "0"],
  "--process-id": ["0", "-1", "one"],
  "--reconstruction": ["squared", "", "mse"],
  "--resume": ["yes"],
  "--distributed": ["yes"],
  "--epoch": ["3"],
  "--nonsense": ["3"],
}
OBJECTIVE = {
  "ae": {"--weight": ["1"], "--beta": ["1"]},
  "vae": {"--beta": ["-1", "nan", "inf", "x", ""]},
  "wae-mmd": {"--weight": ["-1", "nan", "inf", "x"], "--sample-prior": ["yes"]},
  "cwae": {
    "--weight": ["-1", "nan", "inf", "x", ""],
    "--log": ["yes"],
    "--approximate": ["maybe"],
    "--kernel": ["imq"],
    "--prior": ["normal"],
  },
  "swae": {"--weight": ["-1", "nan"], "--num-directions": WHOLE},
  "sigreg": {"--weight": ["-1", "nan", "inf", "x"]},
  "energy": {"--weight": ["-1", "nan", "inf", "x"]},
  "infovae": {"--alpha": ["2", "nan", "-inf", "x"], "--weight": ["-1", "nan", "x"]},
  "sinkhorn": {"--weight": ["-1"], "--epsilon": ["0", "-1", "nan", "inf", "x"]},
  "rae": {"--weight": ["-1", "nan"], "--decay": ["-1", "nan", "inf", "x"]},
  "cwae+energy": {"--weight": ["1"], "--cwae-weight": ["-1", "x"], "--energy-weight": ["nan"]},
}


def _train():
  for flag, values in TRAIN.items():
    for value in values:
      yield "train", ["cwae", flag, value]
  for method, flags in OBJECTIVE.items():
    for flag, values in flags.items():
      for value in values:
        yield "train", [method, flag, value]
  for method in ("cwea", "", "CWAE", "cwae+", "+", "cwae+cwae", "cwae energy", "-x", "{digits}"):
    yield "train", [method]
  yield "train", []
  yield "train", ["cwae", "vae"]
  yield "train", ["cwae", "--epochs"]
  for given in (["--num-processes", "2"], ["--process-id", "0"], ["--coordinator", "a:1"]):
    yield "train", ["cwae", *given]
  several = ["--coordinator", "x", "--num-processes", "2", "--process-id", "0"]
  yield "train", ["cwae", *several]
  for k in ("2", "-1"):
    several = ["--coordinator", "localhost:1", "--num-processes", "2", "--process-id", k]
    yield "train", ["cwae", *several]
  for method in METHODS:
    yield "train", [method, "--latent-dim", "1000000000000"]
    yield "train", [method, "--latent-dim", "2000000000"]
  for changed in (["--seed", "1"], ["--latent-dim", "3"], ["--epochs", "1"], ["--network", "mlp"]):
    yield "train", ["cwae", "--workdir", "{digits}", "--resume", *changed]
  yield "train", ["vae", "--workdir", "{digits}", "--resume"]
  yield "train", ["cwae", "--workdir", "{folder}/new", "--resume"]
  yield "train", ["cwae", "--dataset", "{images}", "--batch-size", "37"]


RUNS = ["{folder}", "{folder}/nowhere", "{file}", "", "/dev/null", "a\0b", "x" * 5000]


def _others():
  for script in ("evaluate", "sample", "report"):
    for run in RUNS:
      yield script, [run]
    yield script, []
    yield script, ["{digits}", "--nonsense"]
  yield "evaluate", ["{digits}", "{digits}"]
  for value in ("{folder}", "{file}", "{images}", "{folder}/nowhere.pth", "", "/dev/zero"):
    yield "evaluate", ["{digits}", "--inception", value]
  for value in [*WHOLE, "1000000000000", "1000000000", "100000"]:
    if value != "1e3":
      yield "sample", ["{digits}", "--num", value, "--out", "{folder}/a.png"]
  for value in ("-1", "4294967296", "0.5", "a", ""):
    yield "sample", ["{digits}", "--seed", value, "--out", "{folder}/a.png"]
  for value in ("uniform", "", "Prior"):
    yield "sample", ["{digits}", "--sampler", value, "--out", "{folder}/a.png"]
  for value in ("{folder}/a.jpg", "{folder}", "{file}/a.png", "", "{folder}/a\0.png", "/dev/null"):
    yield "sample", ["{digits}", "--out", value]
  yield "sample", ["{digits}", "--out", "{folder}/" + "x" * 300 + ".png"]
  for value in ("{folder}", "{file}/a.html", "{folder}/" + "x" * 300):
    yield "report", ["{digits}", "--out", value]
  yield "report", ["{digits}", "{folder}", "--out", "{folder}/r.html"]
  yield "report", ["--out", "{folder}/r.html"]
  table = {
    "--dataset": ["mnits", "", "{file}", "{folder}"],
    "--data-dir": ["{folder}/nowhere", "{file}", "~nobody-here"],
    "--seeds": WHOLE,
    "--epochs": WHOLE,
    "--methods": ["cwea", "", "cwae,vae"],
    "--out": ["{file}", "{file}/table"],
    "--inception": ["{folder}", "{file}", "{images}", "{folder}/nowhere.pth"],
    "--nonsense": ["1"],
  }
  for flag, values in table.items():
    rest = [] if flag == "--dataset" else ["--dataset", "digits"]
    rest += [] if flag == "--out" else ["--out", "{folder}/table"]
    for value in values:
      yield "reproduce_table1", [*rest, flag, value]
  for dataset in ("mnits", "", "nowhere.npz", "{images}", "{file}", "{folder}"):
    yield "train_classifier", [dataset, "--out", "{folder}"]
  yield "train_classifier", ["--out", "{folder}"]
  for flag, values in {
    "--data-dir": ["{folder}/nowhere", "{file}", "~nobody-here"],
    "--epochs": WHOLE,
    "--seed": ["-1", "4294967296", "0.5", "a", ""],
    "--out": ["{file}", "{file}/x"],
    "--nonsense": ["1"],
  }.items():
    rest = [] if flag == "--out" else ["--out", "{folder}"]
    for value in values:
      yield "train_classifier", ["digits", *rest, flag, value]


def _benchmarks():
  distances = {
    "--distances": ["cramer-woldd", "", "all"],
    "--sizes": ["256", "256,", "a,b", "1,8", "2,0", "-2,3", "2.5,3", "1,2,3", "", "9" * 30 + ",2"],
    "--slices": ["0", "-1", "2.5", "many", ""],
    "--cutoff": ["0", "-1", "nan", "soon", ""],
    "--devices": [*WHOLE, "1000"],
    "--out": ["{file}", "{file}/x"],
    "--quick": ["yes"],
    "--nonsense": ["1"],
  }
  training = {
    "--methods": ["cwea", "", "cwae,vae"],
    "--networks": ["linear", "mpl", ""],
    "--side": [*WHOLE, "6", "10"],
    "--latent-dim": WHOLE,
    "--batch-size": [*WHOLE, "1"],
    "--seeds": WHOLE,
    "--torch-compile": ["-1", "nan", "inf", "soon", ""],
    "--out": ["{file}", "{file}/x"],
    "--quick": ["yes"],
    "--nonsense": ["1"],
  }
  for script, flags in (("benchmark_distances", distances), ("benchmark_training", training)):
    for flag, values in flags.items():
      rest = [] if flag == "--out" else ["--out", "{folder}/out"]
      for value in values:
        yield script, [*rest, flag, value]


COMMANDS = [*_train(), *_others(), *_benchmarks()]
