"""Trainings in other processes, which are killed or whose disk fails."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
TRAIN = HERE.parents[1] / "experiments" / "train.py"


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
  """Returns the folder of compiled programs that all processes share."""
  return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def images(tmp_path_factory):
  """Returns a file of 47 small images; 42 of them are training images."""
  path = tmp_path_factory.mktemp("images") / "noise.npy"
  np.save(path, np.random.default_rng(0).integers(0, 256, (47, 5, 5), np.uint8))
  return path


@pytest.fixture
def start(cache, images):
  """Starts a training in another process; its messages go to a file next to the work directory."""
  started = []

  def start(workdir, *options, environment=None):
    command = [TRAIN, "vae", "--dataset", images, "--workdir", workdir, "--network", "linear"]
    command += ["--latent-dim", 2, "--batch-size", 4, *options]
    inherited = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache), "PYTHONFAULTHANDLER": "1"}
    with workdir.with_name(f"{workdir.name}.txt").open("a") as messages:
      process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdout=messages,
        stderr=messages,
        env=inherited | (environment or {}),
      )
    started.append(process)
    return process

  yield start
  for process in started:
    process.kill()
    process.wait()


@pytest.fixture(scope="session")
def faulty(tmp_path_factory):
  """Returns a function that makes the environment in which writes below a folder fail.

  The library of faults.c reads the kind of fault from the file `switch`; without it, none happens.
  """
  compiler = shutil.which("cc")
  if compiler is None or sys.platform != "linux":
    pytest.skip("a small C library makes the faults, and there is no C compiler")
  library = tmp_path_factory.mktemp("faults") / "faults.so"
  source = HERE / "faults.c"
  subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)

  def environment(folder, switch):
    return {
      "LD_PRELOAD": str(library),
      "FAULTS_BELOW": f"{folder}/",
      "FAULTS_SWITCH": str(switch),
    }

  return environment
