"""Bad command lines: each ends in one sentence on stderr and exit code 2.

There is one for each flag and kind of mistake. `{digits}` is the work directory of a finished run,
`{folder}` an empty folder, `{file}` a text file, `{images}` a data set of 40 small images, `{used}`
a folder with a file in it.
"""

__all__ = ["BENCHMARKS", "COMMANDS", "OBJECTIVE_FLAGS", "TRAIN_FLAGS"]

WHOLE = ["0", "2.5", "ten", "99999999999999999999"]
SEED = ["-1", "4294967296", "a"]
FOLDER = ["{file}", "{file}/below"]
DATA_DIR = ["{folder}/nowhere", "{file}", "~nobody-here"]
LONG = "{folder}/" + "x" * 300
INCEPTION = ["{folder}", "{file}", "{images}", "{folder}/nowhere.pth", "", "/dev/zero"]

# Bad values of the flags of `aejax train` that all methods share.
TRAIN_FLAGS = {
  "--dataset": ["mnits", "nowhere.npz", "{file}", "{folder}", "/dev/null"],
  "--workdir": ["{used}", "{digits}", LONG, *FOLDER],
  "--resume": ["yes"],
  "--data-dir": DATA_DIR,
  "--image-size": [*WHOLE, "1000000000"],
  "--network": ["mpl", "", "../mlp", "nowhere:f", "own_broken:f", "math:pi", "math:sin"],
  "--latent-dim": [*WHOLE, "2000000000"],
  "--standardise": ["maybe"],
  "--data": ["disk"],
  "--flip": ["yes"],
  "--prior": ["uniform", "mixture:1", ""],
  "--optimizer": ["adm"],
  "--warmup-steps": ["-1", "2.5"],
  "--weight-decay": ["-1", "nan", "0.1"],
  "--clip-norm": ["-1", "nan"],
  "--ema-decay": ["-1", "1", "nan"],
  "--weight-schedule": ["warmup", "cyclic:0", "constant:1", "x", ""],
  "--callback": ["tensorbord", ""],
  "--test-epochs": ["-1", "2.5"],
  "--patience": ["-1", "2.5"],
  "--epochs": WHOLE,
  "--batch-size": [*WHOLE, "1439"],
  "--accumulate": [*WHOLE, "3"],
  "--learning-rate": ["0", "nan", "inf", "fast", ""],
  "--schedule": ["cosin"],
  "--precision": ["float16"],
  "--skip-nonfinite": ["yes"],
  "--checkpoint-minutes": ["-1", "nan", "inf", "soon"],
  "--checkpoint-epochs": ["-1", "2.5", "often"],
  "--keep-checkpoints": WHOLE,
  "--seed": SEED,
  "--seeds": WHOLE,
  "--distributed": ["yes"],
  "--coordinator": ["localhost:1234", "", "nowhere"],
  "--num-processes": ["2", "two"],
  "--process-id": ["0", "one"],
}
WEIGHT = ["-1", "nan", "x"]
# Bad values of the flags of a method's objective.
OBJECTIVE_FLAGS = {
  "ae": {"--reconstruction": ["squared"], "--weight": ["1"]},
  "vae": {"--reconstruction": ["squared"], "--beta": WEIGHT},
  "wae-mmd": {"--reconstruction": ["x"], "--weight": WEIGHT, "--sample-prior": ["yes"]},
  "cwae": {
    "--reconstruction": ["squared"],
    "--weight": WEIGHT,
    "--sample-prior": ["yes"],
    "--log": ["yes"],
    "--approximate": ["maybe"],
    "--kernel": ["imq"],  # an object, for the library only
  },
  "swae": {
    "--reconstruction": ["squared"],
    "--weight": WEIGHT,
    "--sample-prior": ["yes"],
    "--num-directions": WHOLE,
  },
  "sigreg": {"--reconstruction": ["squared"], "--weight": WEIGHT},
  "energy": {"--reconstruction": ["squared"], "--weight": WEIGHT, "--sample-prior": ["yes"]},
  "infovae": {"--reconstruction": ["squared"], "--weight": WEIGHT, "--alpha": ["2", "nan", "x"]},
  "sinkhorn": {"--reconstruction": ["squared"], "--weight": WEIGHT, "--epsilon": ["0", "nan", "x"]},
  "rae": {"--reconstruction": ["squared"], "--weight": WEIGHT, "--decay": WEIGHT},
  "cwae+energy": {"--weight": ["1"], "--cwae-weight": WEIGHT, "--energy-weight": ["nan"]},
}


def _train():
  for flag, values in TRAIN_FLAGS.items():
    for value in values:
      yield "train", ["cwae", flag, value]
  for method, flags in OBJECTIVE_FLAGS.items():
    for flag, values in flags.items():
      for value in values:
        yield "train", [method, flag, value]
  for method in ("cwea", "", "cwae+", "cwae+cwae", "-x", "{digits}", "nowhere:Class", "math:pi"):
    yield "train", [method]
  yield "train", []
  yield "train", ["cwae", "vae"]
  yield "train", ["--objective"]
  yield "train", ["vae", "--prior", "sphere"]
  yield "train", ["cwae", "--epochs"]
  yield "train", ["cwae", "--epoch", "3"]
  yield "train", ["cwae", "--dataset", "{images}", "--batch-size", "37"]
  for coordinator, process in (("x", "0"), ("localhost:1", "2"), ("localhost:1", "-1")):
    several = ["--coordinator", coordinator, "--num-processes", "2", "--process-id", process]
    yield "train", ["cwae", *several]
  resume = ["--workdir", "{digits}", "--resume"]
  for changed in (["--seed", "1"], ["--latent-dim", "3"], ["--epochs", "1"], ["--weight", "3"]):
    yield "train", ["cwae", *resume, *changed]
  yield "train", ["vae", *resume]
  yield "train", ["cwae", "--workdir", "{folder}/new", "--resume"]


def _others():
  for command in ("evaluate", "sample", "report", "export"):
    for run in ("{folder}", "{folder}/nowhere", "{file}", "", "/dev/null", "a\0b", "x" * 5000):
      yield command, [run]
    yield command, []
    yield command, ["{digits}", "--nonsense"]
  yield "evaluate", ["{digits}", "{digits}"]
  for value in INCEPTION:
    yield "evaluate", ["{digits}", "--inception", value]
  flags = {
    "--num": [*WHOLE, "1000000000", "100000"],
    "--seed": SEED,
    "--sampler": ["uniform"],
  }
  for flag, values in flags.items():
    for value in values:
      yield "sample", ["{digits}", flag, value, "--out", "{folder}/a.png"]
  for value in (
    "{folder}/a.jpg",
    "{folder}",
    "{file}/a.png",
    "",
    "{folder}/a\0.png",
    f"{LONG}.png",
  ):
    yield "sample", ["{digits}", "--out", value]
  for value in ("{folder}", "{file}/a.html", LONG):
    yield "report", ["{digits}", "--out", value]
  yield "report", ["{digits}", "{folder}", "--out", "{folder}/r.html"]
  yield "report", ["--out", "{folder}/r.html"]


def _flags(script, table, required, positional=()):
  """Each bad value of each flag, with the flags that the script needs besides."""
  for flag, values in table.items():
    others = [word for name, value in required.items() if name != flag for word in (name, value)]
    for value in values:
      yield script, [*positional, *others, flag, value]


def _scripts():
  table = {
    "--dataset": ["mnits", "{file}", "{folder}"],
    "--data-dir": DATA_DIR,
    "--seeds": [*WHOLE, "1001"],
    "--epochs": WHOLE,
    "--methods": ["cwea", "cwae,vae"],
    "--out": FOLDER,
    "--inception": INCEPTION[:4],
    "--nonsense": ["1"],
  }
  yield from _flags("reproduce_table1", table, {"--dataset": "digits", "--out": "{folder}/table"})
  for dataset in ("mnits", "nowhere.npz", "{images}", "{file}", "{folder}"):
    yield "train_classifier", [dataset, "--out", "{folder}"]
  yield "train_classifier", ["--out", "{folder}"]
  table = {
    "--data-dir": DATA_DIR,
    "--epochs": WHOLE,
    "--seed": SEED,
    "--out": FOLDER,
    "--nonsense": ["1"],
  }
  yield from _flags("train_classifier", table, {"--out": "{folder}"}, ["digits"])


def _benchmarks():
  table = {
    "--distances": ["cramer-woldd", "all"],
    "--sizes": ["256", "256,", "a,b", "1,8", "2,0", "2.5,3", "1,2,3", "9" * 30 + ",2"],
    "--slices": ["0", "2.5", "many"],
    "--cutoff": ["0", "nan", "soon"],
    "--devices": [*WHOLE, "1000"],
    "--out": FOLDER,
    "--quick": ["yes"],
    "--nonsense": ["1"],
  }
  yield from _flags("benchmark_distances", table, {"--out": "{folder}/out"})
  table = {
    "--methods": ["cwea", "cwae,vae"],
    "--networks": ["linear", "mpl"],
    "--side": [*WHOLE, "6"],
    "--latent-dim": WHOLE,
    "--batch-size": [*WHOLE, "1"],
    "--seeds": WHOLE,
    "--torch-compile": ["-1", "nan", "soon"],
    "--out": FOLDER,
    "--quick": ["yes"],
    "--nonsense": ["1"],
  }
  yield from _flags("benchmark_training", table, {"--out": "{folder}/out"})
  yield from _flags("benchmark_imports", {"--repetitions": [*WHOLE, "1001"]}, {})
  table = {"--n": WHOLE, "--steps": WHOLE, "--seeds": WHOLE, "--start": ["0", "-1", "x"]}
  yield from _flags("measure_collapse", table, {"--out": "{folder}/out"})
  yield from _flags("measure_levels", {"--sets": WHOLE}, {"--out": "{folder}/out"})
  table = {
    "--dataset": ["cifar10"],
    "--penalties": ["vicreg"],
    "--network": ["linear"],
    "--weights": ["0", "-1", "nan"],
    **dict.fromkeys(("--dim", "--batch-size", "--steps", "--seeds", "--sweep-steps"), WHOLE),
    "--time-n": WHOLE,
    "--seconds": ["0", "nan", "soon"],
  }
  yield from _flags("self_supervised", table, {"--out": "{folder}/out"})
  yield from _flags("benchmark_many_latents", {"--rows": ["6", "-1", "x"]}, {})
  yield "accelerator", ["--minutes", "x"]
  yield "accelerator", ["--nonsense"]


def _compile_report():
  yield "compile_report", ["v9"]
  table = {
    "--distances": ["cramer-woldd"],
    "--sizes": WHOLE,
    "--dim": WHOLE,
    "--methods": ["cwea"],
    "--networks": ["mpl"],
    "--batch-size": WHOLE,
    "--precision": ["float8"],
    "--nonsense": ["1"],
  }
  yield from _flags("compile_report", table, {"--out": "{folder}/out"})


COMMANDS = [*_train(), *_others(), *_scripts(), *_compile_report()]
BENCHMARKS = list(_benchmarks())
