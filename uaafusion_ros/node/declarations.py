"""Declaring ROS parameters from a table, with errors that say what to do."""

from __future__ import annotations

import difflib
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

START = "read once when the node starts"
"""Makes a parameter read-only for ROS."""


@dataclass(frozen=True)
class Declaration:
    """One parameter: everything that ROS and the reference need to know about it."""

    name: str
    default: Any
    description: str
    limits: tuple[float, float] | None = None
    choices: tuple[str, ...] | None = None
    fixed: str = ""
    """Why it cannot change while the node runs; empty when it can."""

    field: str = ""
    """The field of `PipelineSettings` that it sets, if any; ``fast.X`` is X of its `fast`."""

    def descriptor(self) -> ParameterDescriptor:
        """The declaration in ROS's terms."""
        descriptor = ParameterDescriptor(name=self.name, description=self.description)
        descriptor.read_only = self.fixed == START
        if self.choices:
            descriptor.additional_constraints = "one of: " + ", ".join(self.choices)
        if self.fixed:
            descriptor.additional_constraints = f"{descriptor.additional_constraints} {self.fixed}"
        if self.limits is not None and isinstance(self.default, float):
            low, high = map(float, self.limits)
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        elif self.limits is not None:
            low, high = map(int, self.limits)
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
        return descriptor


class ParameterError(ValueError):
    """A parameter value that cannot be used; says which, what was expected and what to do."""


def declare_parameters(node: Node, declarations: Sequence[Declaration]) -> None:
    """Declares all parameters on ``node``.

    Raises:
        ParameterError: an override of the wrong type or out of range.
    """
    overrides = node._parameter_overrides
    for declaration in declarations:
        name = declaration.name
        if name in overrides:
            # A whole number for a floating point parameter ("rate: 10") is what people write.
            value = _as_floats_like(declaration.default, overrides[name].value)
            check_value(declaration, value)
            overrides[name] = Parameter(name, value=value)
        node.declare_parameter(name, declaration.default, declaration.descriptor())


def check_value(declaration: Declaration, value: Any) -> None:
    """Checks type, range, choices and length.

    Raises:
        ParameterError: with what was found and expected.
    """
    expected = _expectation(declaration, value)
    if expected:
        raise ParameterError(
            f"parameter {declaration.name} is {value!r}, expected {expected} "
            f"({declaration.description})"
        )


def _expectation(declaration: Declaration, value: Any) -> str:
    """What should stand in place of ``value``; empty if it is fine."""
    default, limits = declaration.default, declaration.limits
    if isinstance(default, tuple):
        fine = isinstance(value, (Sequence, array)) and not isinstance(value, str)
        fine = fine and len(value) == len(default) and all(map(_is_finite, value))
        return "" if fine else f"{len(default)} numbers"
    if type(value) is not type(default):
        kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        return kinds[type(default)]
    if isinstance(value, float) and not _is_finite(value):
        return "a finite number"
    if limits is not None and not limits[0] <= value <= limits[1]:
        return f"{limits[0]} to {limits[1]}"
    if declaration.choices and value not in declaration.choices:
        return "one of: " + ", ".join(declaration.choices)
    return ""


def _is_finite(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def unknown_overrides(node: Node) -> dict[str, str]:
    """A sentence for each override that no declared parameter takes, with near matches."""
    known = sorted(node._parameters)
    sentences = {}
    for name in node._parameter_overrides:
        if node.has_parameter(name):
            continue
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "docs/reference.md has the list"
        sentences[name] = f"unknown parameter {name!r} is ignored; {hint}"
    return sentences


def _as_floats_like(default: Any, value: Any) -> Any:
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if isinstance(default, tuple) and isinstance(value, (Sequence, array)):
        return [float(number) if type(number) is int else number for number in value]
    return value
