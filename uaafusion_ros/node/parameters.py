"""The values of the fusion node's parameters, together and checked; see fusion_parameters.py."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rclpy.node import Node
from rclpy.parameter import Parameter

from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.inference.providers import ProviderSettings
from uaafusion_ros.inference.settings import PipelineSettings, parse_mask_sizes, parse_size
from uaafusion_ros.network.modes import FastSettings, ModeError
from uaafusion_ros.node.declarations import ParameterError, check_value
from uaafusion_ros.node.fusion_parameters import (
    DECLARATIONS,
    NO_HOMOGRAPHY,
    REACTIVATE,
    RECONFIGURE,
)
from uaafusion_ros.stamps import SECOND

_FAST = "fast."
"""Begins the fields of `FastSettings`, which is a field of the pipeline's settings itself."""

_BY_NAME = {declaration.name: declaration for declaration in DECLARATIONS}


@dataclass(frozen=True)
class FrameSettings:
    """What may change between two frames."""

    pipeline: PipelineSettings
    overlay_opacity: float


@dataclass(frozen=True)
class NodeSettings:
    """Values of all parameters, times in nanoseconds where they are compared with stamps."""

    model: str
    device: str
    precision: str
    providers: ProviderSettings
    compile_size: tuple[int, int] | None
    input_transport: str
    max_skew: int
    max_wait: int
    infrared_offset: int
    queue_size: int
    frame: FrameSettings


def read_settings(node: Node, changes: Iterable[Parameter] = ()) -> NodeSettings:
    """Values of all declared parameters, with ``changes`` put in their place.

    Raises:
        ParameterError: values that contradict each other.
    """
    values = {name: node.get_parameter(name).value for name in _BY_NAME}
    values.update({change.name: change.value for change in changes if change.name in _BY_NAME})
    for name, declaration in _BY_NAME.items():
        check_value(declaration, values[name])
    fields = {d.field: values[d.name] for d in DECLARATIONS if d.field}
    homography = tuple(float(number) for number in fields["homography"])
    fields["infrared_rotation"] = tuple(map(float, fields["infrared_rotation"]))
    fields["homography"] = None if homography == NO_HOMOGRAPHY else homography
    fields["mask_sizes"] = _mask_sizes(fields["mask_sizes"])
    fast = {
        field.removeprefix(_FAST): fields.pop(field)
        for field in list(fields)
        if field.startswith(_FAST)
    }
    try:
        pipeline = PipelineSettings(fast=FastSettings(**fast), **fields)
    except (ModeError, SettingsError) as error:
        raise ParameterError(
            f"{error}; parameters that depend on each other are set in one atomic call"
        ) from error
    return NodeSettings(
        model=values["model"],
        device=values["device"],
        precision=values["precision"],
        providers=ProviderSettings(values["providers"], values["engine_cache"]),
        compile_size=_compile_size(values["compile_size"]),
        input_transport=values["input_transport"],
        max_skew=round(values["max_skew"] * SECOND),
        max_wait=round(values["max_wait"] * SECOND),
        infrared_offset=round(values["infrared_offset"] * SECOND),
        queue_size=values["queue_size"],
        frame=FrameSettings(pipeline, values["overlay_opacity"]),
    )


def _mask_sizes(text: str) -> tuple[float, ...]:
    try:
        return parse_mask_sizes(text)
    except SettingsError as error:
        raise ParameterError(str(error)) from error


def _compile_size(text: str) -> tuple[int, int] | None:
    try:
        return parse_size(text, "compile_size") if text else None
    except SettingsError as error:
        raise ParameterError(f"{error}; empty compiles nothing") from error


def refusal(changes: Iterable[Parameter], state: str) -> str:
    """Why one of ``changes`` cannot be made now; empty when all can.

    Args:
        changes: what somebody asks for.
        state: the node's lifecycle state; parameters that are read on a transition can be changed
            in the states before it.
    """
    changeable_in = {RECONFIGURE: ("unconfigured",), REACTIVATE: ("unconfigured", "inactive")}
    for change in changes:
        declaration = _BY_NAME.get(change.name)
        states = changeable_in.get(declaration.fixed) if declaration else None
        if declaration and states and state not in states:
            return (
                f"parameter {change.name} cannot change while the node is {state}: it "
                f"{declaration.fixed}; bring the node to {states[-1]} first"
            )
    return ""
