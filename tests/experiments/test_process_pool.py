"""A pool of processes, one on each core."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from table1.process_pool import Job, cores, run

pytestmark = pytest.mark.bench

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
CORES = cores()
needs_two = pytest.mark.skipif(len(CORES) < 2, reason="one core only")


def job(tmp_path, name, code):
  return Job(name, [sys.executable, "-c", code], tmp_path / "logs" / f"{name}.txt")


# Prints its cores once the other job has started too.
PAIR = """
import os, pathlib, time
here = pathlib.Path({folder!r})
(here / {name!r}).touch()
end = time.monotonic() + 30
while not (here / {other!r}).exists():
  assert time.monotonic() < end
  time.sleep(0.01)
print(os.sched_getaffinity(0))
"""


@needs_two
def test_run_binds_each_job_to_a_core(tmp_path):
  before = os.sched_getaffinity(0)
  pairs = [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")]
  jobs = [
    job(tmp_path, name, PAIR.format(folder=str(tmp_path), name=name, other=other))
    for name, other in pairs
  ]
  done = []
  assert run(jobs, CORES[:2], done.append) is None
  assert {job.label for job in done} == set("abcd")
  printed = [job.log.read_text() for job in jobs]
  assert set(printed[:2]) == set(printed[2:]) == {f"{{{core}}}\n" for core in CORES[:2]}
  assert os.sched_getaffinity(0) == before


def test_run_starts_one_job_a_core(tmp_path):
  code = f"""
import pathlib, time
here = pathlib.Path({str(tmp_path)!r}) / "running"
here.mkdir()  # fails while another job runs
time.sleep(0.1)
here.rmdir()
"""
  done = []
  run([job(tmp_path, str(k), code) for k in range(3)], CORES[:1], done.append)
  assert [job.label for job in done] == ["0", "1", "2"]


SAVES = """
import pathlib, signal, sys, time
def save(*_):
  pathlib.Path({path!r}).write_text("saved")
  sys.exit(143)
signal.signal(signal.SIGTERM, save)
print("ready", flush=True)
time.sleep(60)
"""


@needs_two
def test_run_terminates_the_others_when_a_job_fails(tmp_path):
  saved, ready = tmp_path / "saved", tmp_path / "logs" / "long.txt"
  fails = f"""
import pathlib, sys, time
while not (pathlib.Path({str(ready)!r}).exists() and pathlib.Path({str(ready)!r}).read_text()):
  time.sleep(0.01)
sys.exit("error: no such thing.\\n")
"""
  jobs = [
    job(tmp_path, "long", SAVES.format(path=str(saved))),
    job(tmp_path, "short", fails),
    job(tmp_path, "never", f"open({str(tmp_path / 'begun')!r}, 'w')"),
  ]
  with pytest.raises(ValueError, match=r"^short failed; the end of .*: error: no such thing\.$"):
    run(jobs, CORES[:2], lambda job: None)
  assert saved.read_text() == "saved"
  assert not (tmp_path / "begun").exists()


def test_run_of_a_program_that_does_not_exist(tmp_path):
  with pytest.raises(FileNotFoundError):
    run([Job("x", [tmp_path / "nowhere"], tmp_path / "x.txt")], CORES[:1], lambda job: None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_passes_a_signal_on_and_waits(tmp_path, number):
  saved, log = tmp_path / "saved", tmp_path / "log.txt"
  code = f"""
import pathlib, sys
sys.path.insert(0, {str(EXPERIMENTS)!r})
from table1.process_pool import Job, cores, run
command = [sys.executable, "-c", {SAVES.format(path=str(saved))!r}]
job = Job("x", command, pathlib.Path({str(log)!r}))
print(run([job, job], cores()[:1], print))
"""
  process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
  end = time.monotonic() + 60
  while not (log.exists() and log.read_text()):
    assert time.monotonic() < end
    assert process.poll() is None
    time.sleep(0.02)
  process.send_signal(number)
  out, _ = process.communicate(timeout=60)
  assert out == f"{number.value}\n"
  assert saved.read_text() == "saved"
  assert log.read_text() == "ready\n"  # the second job did not start
