import os
import signal
import threading

import pytest

from aejax.training.interruption import interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_remembered_and_the_handlers_come_back(number):
  before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
  with interruption() as interrupted:
    assert interrupted() is None
    os.kill(os.getpid(), number)
    assert interrupted() == number
  assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_second_control_c_insists():
  with pytest.raises(KeyboardInterrupt), interruption():  # noqa: PT012
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)


def test_another_thread_gets_no_signals():
  answers = []

  def run():
    with interruption() as interrupted:
      answers.append(interrupted())

  thread = threading.Thread(target=run)
  thread.start()
  thread.join()
  assert answers == [None]
