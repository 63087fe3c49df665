"""Bad arguments of every command and script.

One case for each option and kind of mistake. `{digits}` is the work directory of a finished run,
`{folder}` an empty folder, `{file}` a text file, `{images}` a data set of 40 small images, `{used}`
a folder with a file in it.
"""

__all__ = ["COMMANDS"]

# Too small, not whole, not a number, too large.
NOT_WHOLE = ["0", "2.5", "ten", "99999999999999999999"]
# Negative, not finite, not a number.
NOT_WEIGHTS = ["-1", "nan", "x"]
NOT_SEEDS = ["-1", "4294967296", "0.5", "a"]
NOT_DATA_DIRS = ["{folder}/nowhere", "{file}", "~nobody-here"]
NOT_RUNS = ["{folder}", "{folder}/nowhere", "{file}", "", "/dev/null", "a\0b", "x" * 5000]
NOT_INCEPTION = ["{folder}", "{file}", "{folder}/nowhere.pth", "/dev/zero"]
NOT_SWITCHES = ["yes"]

TRAIN = {
  "--latent-dim": [*NOT_WHOLE, "2000000000", "1000000000000"],
  "--epochs": NOT_WHOLE,
  "--batch-size": [*NOT_WHOLE, "1439"],
  "--accumulate": [*NOT_WHOLE, "3"],
  "--seeds": NOT_WHOLE,
  "--keep-checkpoints": NOT_WHOLE,
  "--checkpoint-epochs": ["-1", "2.5", "ten"],
  "--checkpoint-minutes": ["-1", "nan", "soon"],
  "--image-size": [*NOT_WHOLE, "1000000000"],
  "--seed": NOT_SEEDS,
  "--learning-rate": ["0", "nan", "fast"],
  "--network": ["mpl", ""],
  "--schedule": ["cosin"],
  "--precision": ["float16"],
  "--dataset": ["mnits", "nowhere.npz", "{file}", "{folder}", "/dev/null"],
  "--data-dir": NOT_DATA_DIRS,
  "--workdir": ["{used}", "{file}", "{digits}", "{file}/run", "{folder}/" + "x" * 300],
  "--coordinator": ["localhost:1234", ""],
  "--num-processes": ["2", "two"],
  "--process-id": ["0", "one"],
  "--reconstruction": ["squared"],
  "--resume": NOT_SWITCHES,
  "--distributed": NOT_SWITCHES,
  "--skip-nonfinite": NOT_SWITCHES,
  "--epoch": ["3"],
}
OBJECTIVES = {
  "ae": {"--weight": ["1"]},
  "vae": {"--beta": NOT_WEIGHTS},
  "wae-mmd": {"--weight": NOT_WEIGHTS, "--sample-prior": NOT_SWITCHES},
  "cwae": {
    "--weight": NOT_WEIGHTS,
    "--log": NOT_SWITCHES,
    "--approximate": NOT_SWITCHES,
    "--kernel": ["imq"],
    "--prior": ["normal"],
  },
  "swae": {"--weight": NOT_WEIGHTS, "--num-directions": NOT_WHOLE},
  "sigreg": {"--weight": NOT_WEIGHTS},
  "energy": {"--weight": NOT_WEIGHTS},
  "infovae": {"--alpha": ["2", "nan", "x"], "--weight": NOT_WEIGHTS},
  "sinkhorn": {"--weight": ["-1"], "--epsilon": ["0", "nan", "x"]},
  "rae": {"--weight": ["-1"], "--decay": NOT_WEIGHTS},
  "cwae+energy": {"--weight": ["1"], "--cwae-weight": ["-1", "x"], "--energy-weight": ["nan"]},
}
NOT_METHODS = ["cwea", "", "CWAE", "cwae+", "cwae+cwae", "-x"]


def _train():
  for flag, values in TRAIN.items():
    for value in values:
      yield "train", ["cwae", flag, value]
  for method, flags in OBJECTIVES.items():
    for flag, values in flags.items():
      for value in values:
        yield "train", [method, flag, value]
  for method in NOT_METHODS:
    yield "train", [method]
  yield "train", []
  yield "train", ["cwae", "vae"]
  yield "train", ["cwae", "--epochs"]
  for coordinator, process in (("x", "0"), ("localhost:1", "2"), ("localhost:1", "-1")):
    several = ["--coordinator", coordinator, "--num-processes", "2", "--process-id", process]
    yield "train", ["cwae", *several]
  for changed in (["--seed", "1"], ["--latent-dim", "3"], ["--epochs", "1"], ["--network", "mlp"]):
    yield "train", ["cwae", "--workdir", "{digits}", "--resume", *changed]
  yield "train", ["vae", "--workdir", "{digits}", "--resume"]
  yield "train", ["cwae", "--workdir", "{folder}/new", "--resume"]
  yield "train", ["cwae", "--dataset", "{images}", "--batch-size", "37"]


def _other_commands():
  for command in ("evaluate", "sample", "report"):
    for run in NOT_RUNS:
      yield command, [run]
    yield command, []
    yield command, ["{digits}", "--nonsense"]
  yield "evaluate", ["{digits}", "{digits}"]
  for value in NOT_INCEPTION:
    yield "evaluate", ["{digits}", "--inception", value]
  for value in [*NOT_WHOLE, "1000000000000", "100000"]:
    yield "sample", ["{digits}", "--num", value, "--out", "{folder}/a.png"]
  for value in NOT_SEEDS:
    yield "sample", ["{digits}", "--seed", value, "--out", "{folder}/a.png"]
  yield "sample", ["{digits}", "--sampler", "uniform", "--out", "{folder}/a.png"]
  long = "{folder}/" + "x" * 300
  for value in ("{folder}/a.jpg", "{folder}", "{file}/a.png", "{folder}/a\0.png", f"{long}.png"):
    yield "sample", ["{digits}", "--out", value]
  for value in ("{folder}", "{file}/a.html", long):
    yield "report", ["{digits}", "--out", value]
  yield "report", ["{digits}", "{folder}", "--out", "{folder}/r.html"]
  # The name of the command itself; `aejax` is the program without one.
  for name in ("trian", "", "Train", "--nonsense"):
    yield "aejax", [name]
  yield "aejax", []


SCRIPTS = {
  "reproduce_table1": {
    "--dataset": ["mnits", "", "{file}", "{folder}"],
    "--data-dir": NOT_DATA_DIRS,
    "--seeds": NOT_WHOLE,
    "--epochs": NOT_WHOLE,
    "--methods": ["cwea", ""],
    "--out": ["{file}", "{file}/table"],
    "--inception": NOT_INCEPTION,
    "--nonsense": ["1"],
  },
  "train_classifier": {
    "": ["mnits", "", "nowhere.npz", "{images}", "{file}", "{folder}"],
    "--data-dir": NOT_DATA_DIRS,
    "--epochs": NOT_WHOLE,
    "--seed": NOT_SEEDS,
    "--out": ["{file}", "{file}/x"],
    "--nonsense": ["1"],
  },
  "benchmark_distances": {
    "--distances": ["cramer-woldd"],
    "--sizes": ["256", "a,b", "1,8", "2,0", "2.5,3", "1,2,3", "", "9" * 30 + ",2"],
    "--slices": ["0", "2.5", "many"],
    "--cutoff": ["0", "nan", "soon"],
    "--devices": [*NOT_WHOLE, "1000"],
    "--out": ["{file}", "{file}/x"],
    "--quick": NOT_SWITCHES,
    "--nonsense": ["1"],
  },
  "benchmark_training": {
    "--methods": ["cwea"],
    "--networks": ["linear", "mpl"],
    "--side": [*NOT_WHOLE, "6"],
    "--latent-dim": NOT_WHOLE,
    "--batch-size": [*NOT_WHOLE, "1"],
    "--seeds": NOT_WHOLE,
    "--torch-compile": ["-1", "nan", "soon"],
    "--out": ["{file}", "{file}/x"],
    "--quick": NOT_SWITCHES,
    "--nonsense": ["1"],
  },
}


def _scripts():
  for script, flags in SCRIPTS.items():
    for flag, values in flags.items():
      required = {"--out": "{folder}/out"}
      if script == "reproduce_table1":
        required["--dataset"] = "digits"
      elif script == "train_classifier":
        required[""] = "digits"
      for value in values:
        given = required | {flag: value}
        # A positional argument has no flag.
        yield script, [word for f, v in given.items() for word in ([f, v] if f else [v])]


COMMANDS = [*_train(), *_other_commands(), *_scripts()]
