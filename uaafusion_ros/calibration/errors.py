"""Errors of a calibration."""

from __future__ import annotations


class CalibrationError(ValueError):
    """A calibration that cannot be made: what was found, what was expected, what to do."""
