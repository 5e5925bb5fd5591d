"""The saved state of a run: whether there is one, whether it fits, what changed since."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.network.config import ModelConfig
from uaafusion_ros.training.errors import StateError
from uaafusion_ros.training.settings import TrainingSettings
from uaafusion_ros.training.state import load_state


def earlier_state(path: Path, resume: bool) -> dict[str, Any] | None:
    """Return the state to go on from, None to begin.

    Raises:
        SettingsError: there is one, and nobody asked to resume it.
        StateError: it is damaged.
    """
    if path.exists() and not resume:
        raise SettingsError(
            f"{path} is the state of an earlier run; --resume goes on with it, another out= "
            "begins anew"
        )
    return load_state(path)


def check_model(path: Path, state: Mapping[str, Any], model: ModelConfig) -> None:
    """Refuse a state that belongs to another model.

    Raises:
        StateError: names every field that differs.
    """
    different = describe_model_differences(state["model_config"], model.to_dict())
    if different:
        raise StateError(
            f"{path} is the state of another model: {different}. Set these back, or begin anew "
            "with another out="
        )


def describe_model_differences(found: Mapping, expected: Mapping) -> str:
    """Say in which fields two model descriptions differ; empty when they do not."""
    found, expected = plain(found), plain(expected)
    return "; ".join(
        f"{key} is {found.get(key)!r} there, {expected.get(key)!r} in the settings"
        for key in sorted(found.keys() | expected.keys())
        if found.get(key) != expected.get(key)
    )


def plain_settings(settings: TrainingSettings) -> dict[str, Any]:
    """Return the settings as plain values that YAML and a state file can hold."""
    return plain(dataclasses.asdict(settings))


def changed_settings(before: Any, now: Any, where: str = "") -> list[str]:
    """Say which settings differ, one line each."""
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            line
            for key in sorted(before.keys() | now.keys())
            for line in changed_settings(
                before.get(key), now.get(key), f"{where}.{key}" if where else key
            )
        ]
    return [] if before == now else [f"{where} from {before!r} to {now!r}"]


def plain(value: Any) -> Any:
    """Turn tuples into lists, all the way down."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value
