"""Fixtures and options that several test modules share."""

from pathlib import Path

import pytest
import torch
from reliability_report import ReliabilityReport
from ros_fixtures import client, ros, start, tiny_model

__all__ = ["client", "ros", "start", "tiny_model"]

# Several test processes share few cores; threads that wait for each other would only spin.
torch.set_num_threads(1)

_report = ReliabilityReport()


def pytest_addoption(parser):
    group = parser.getgroup("faults and promises")
    group.addoption("--reliability", type=Path, help="write what was measured to this page")
    group.addoption("--soak", type=float, default=60.0, help="seconds of the soak test")
    group.addoption("--stall", type=float, default=4.0, help="seconds that cameras are stopped")
    group.addoption("--slow-machine", type=float, default=5.0, help="factor on promised times")


def pytest_sessionfinish(session, exitstatus):
    path = session.config.getoption("--reliability")
    if path is not None and exitstatus == 0:
        _report.write(path)


@pytest.fixture(scope="session")
def reliability():
    """The page that `--reliability` writes."""
    return _report
