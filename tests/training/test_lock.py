import subprocess
import sys

import pytest

from aejax._files import locked

HOLD = """
import sys
from pathlib import Path
from aejax._files import locked
with locked(Path(sys.argv[1])):
  print("held", flush=True)
  sys.stdin.read()
"""


def test_locked_rejects_another_process_until_the_first_ends(tmp_path):
  workdir = tmp_path / "run"
  command = [sys.executable, "-c", HOLD, str(workdir)]
  holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
  assert holder.stdout is not None
  assert holder.stdout.readline() == "held\n"
  with pytest.raises(ValueError, match=r"run is in use: another process trains"), locked(workdir):
    pass
  holder.kill()  # without time to release the lock
  holder.communicate()
  with locked(workdir):
    pass
