"""Fixtures of the tests of faults."""

from fault_fixtures import bench, parameters, running

__all__ = ["bench", "parameters", "running"]
