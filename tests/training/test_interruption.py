import os
import signal
import threading

import pytest

from aejax.training.interruption import interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_remembers_the_signal_and_restores_handlers(number):
  before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
  with interruption() as interrupted:
    assert interrupted() is None
    os.kill(os.getpid(), number)
    assert interrupted() == number
  assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_interruption_raises_at_the_second_control_c():
  with pytest.raises(KeyboardInterrupt), interruption():  # noqa: PT012
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)


def test_interruption_in_another_thread():
  answers = []

  def run():
    with interruption() as interrupted:
      answers.append(interrupted())

  thread = threading.Thread(target=run)
  thread.start()
  thread.join()
  assert answers == [None]
