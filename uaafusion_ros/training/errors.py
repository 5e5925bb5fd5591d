"""Errors of training that a person can act on."""

from __future__ import annotations


class TrainingError(Exception):
    """A run that cannot begin or go on; says why, and what was kept."""


class DatasetError(TrainingError):
    """Data that cannot be used: what was found and what was expected."""


class StateError(TrainingError):
    """A saved state that cannot be used: what was found, what was expected, what to do."""
