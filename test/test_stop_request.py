"""A request to stop, made by signals that come at the worst moments."""

import subprocess
import sys
import threading

import pytest
from ros_fixtures import PATIENCE

from uaafusion_ros.node.stop_request import StopRequest

INTERRUPTED_EVERYWHERE = """
import signal, sys, threading
from uaafusion_ros.node.stop_request import StopRequest, on_signals

stop = {kind}()
on_signals(stop.set)

def interrupt(frame, event, argument):
    if frame.f_code.co_name != "<lambda>":  # not the handler of the handler of the handler
        signal.raise_signal(signal.SIGTERM)
    return interrupt

sys.settrace(interrupt)
stop.wait(0.1)
stop.set()
sys.settrace(None)
print("stopped", stop.is_set())
"""


def interrupted(kind, timeout):
    command = [sys.executable, "-c", INTERRUPTED_EVERYWHERE.format(kind=kind)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout).stdout


def test_a_signal_before_every_line_of_wait_and_set_never_blocks():
    assert interrupted("StopRequest", PATIENCE) == "stopped True\n"


def test_the_same_signals_block_an_event_for_ever():
    """Why there is a class of our own, and why the test above can fail."""
    with pytest.raises(subprocess.TimeoutExpired):
        interrupted("threading.Event", 5)


def test_a_request_ends_every_wait_and_stays_made():
    stop = StopRequest()
    assert not stop.wait(0.01) and not stop.is_set()
    waits = [threading.Thread(target=stop.wait) for _ in range(3)]
    for wait in waits:
        wait.start()
    stop.set()
    for wait in waits:
        wait.join(10)
    assert not any(wait.is_alive() for wait in waits)
    assert stop.is_set() and stop.wait() and stop.wait(0)
