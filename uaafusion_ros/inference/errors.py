"""Errors of the frame path."""

from __future__ import annotations


class FrameError(ValueError):
    """A frame that cannot be fused: what was found, what was expected, what to do."""


class DeviceMemoryError(ValueError):
    """The device has no memory for a model or a frame: which device, what it said, what to do."""


class SettingsError(ValueError):
    """A setting that is unknown or impossible: what was found and what is allowed."""
