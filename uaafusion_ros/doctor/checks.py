"""One line of the doctor's report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(str, Enum):
    """What a check came to."""

    OK = "ok"
    WARN = "warn"
    """It works, but not always or not well."""

    ERROR = "error"
    """It does not work."""

    SKIPPED = "skipped"
    """It could not be looked at."""


@dataclass(frozen=True)
class Check:
    """What was looked at, what was found, and what to do about it."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


def ok(name: str, found: str) -> Check:
    """All is well."""
    return Check(name, Verdict.OK, found)


def warn(name: str, found: str, advice: str) -> Check:
    """It may cost something."""
    return Check(name, Verdict.WARN, found, advice)


def error(name: str, found: str, advice: str) -> Check:
    """It cannot work."""
    return Check(name, Verdict.ERROR, found, advice)


def skipped(name: str, found: str, advice: str = "") -> Check:
    """Nobody knows."""
    return Check(name, Verdict.SKIPPED, found, advice)
