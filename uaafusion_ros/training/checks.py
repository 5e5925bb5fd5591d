"""Refuses settings that nothing can be done with, by name."""

from __future__ import annotations

from uaafusion_ros.inference.errors import SettingsError


def check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raises SettingsError where the value is none of the allowed ones."""
    if value not in allowed:
        raise SettingsError(f"{name} is {value!r}, expected one of {', '.join(allowed)}")


def check_at_least(name: str, value: float, least: float) -> None:
    """Raises SettingsError where the value is below `least`, or not a number."""
    if not value >= least:
        raise SettingsError(f"{name} is {value}, expected at least {least}")
