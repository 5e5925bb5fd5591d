"""Reads training settings: a YAML file, then `key=value` from the command line on top."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.network.config import ModelConfig
from uaafusion_ros.training.settings import TrainingSettings


def read_settings(path: Path, overrides: Iterable[str] = ()) -> TrainingSettings:
    """Read `path` and apply overrides such as `fusion.steps=20`; `data.NAME=null` leaves one out.

    Raises:
        SettingsError: no such file, not YAML, an unknown key (with those that are near), or an
            impossible value.
    """
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read ({error.strerror}); expected a file of settings such as "
            "config/train.yaml"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        what = "is empty" if values is None else f"holds {type(values).__name__}"
        raise SettingsError(f"{path} {what}, expected settings by name")
    for override in overrides:
        _apply(values, override)
    for name in ("data", "validation"):
        if isinstance(values.get(name), dict):
            values[name] = {key: value for key, value in values[name].items() if value is not None}
    model = values.get("model", {})
    if isinstance(model, dict):
        _refuse_unknown(model, [field.name for field in dataclasses.fields(ModelConfig)], "model")
        for name, value in model.items():
            model[name] = _number(value, type(getattr(ModelConfig(), name)))
    return _build(TrainingSettings, values, "")


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise SettingsError(f"{override!r} is no setting; expected key=value, as fusion.steps=20")
    *parents, last = key.split(".")
    for parent in parents:
        inner = values.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise SettingsError(f"{override!r}: {parent} is {inner!r}, which has no parts")
        values = inner
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"{override!r}: the value is not YAML: {error}") from error


def _build(kind: Any, values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise SettingsError(f"{where or 'the file'} is {values!r}, expected settings by name")
    hints = typing.get_type_hints(kind)
    _refuse_unknown(values, list(hints), where)
    default = _default_of_phase(where)
    found = {key: _convert(hints[key], value, _join(where, key)) for key, value in values.items()}
    try:
        return dataclasses.replace(default, **found) if default is not None else kind(**found)
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}" if where else str(error)) from error


def _default_of_phase(where: str) -> Any:
    """Phases of one kind differ in their defaults, which stand in `TrainingSettings`."""
    for field in dataclasses.fields(TrainingSettings):
        if field.name == where and field.default_factory is not dataclasses.MISSING:
            return field.default_factory()
    return None


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is dict:
        if not isinstance(value, dict):
            raise SettingsError(f"{where} is {value!r}, expected names with values")
        return {
            str(key): _convert(arguments[1], item, _join(where, str(key)))
            for key, item in value.items()
        }
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise SettingsError(f"{where} is {value!r}, expected a list")
        return tuple(_convert(arguments[0], item, where) for item in value)
    if hint is Any or isinstance(hint, types.UnionType):
        return value
    value = _number(value, hint)
    if type(value) is not hint:
        raise SettingsError(f"{where} is {value!r}, expected {hint.__name__}")
    return value


def _number(value: Any, kind: type) -> Any:
    """YAML 1.1 reads 6e-4 as text and 1 as an integer; both are numbers to a person."""
    if kind is float and isinstance(value, int | str) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _refuse_unknown(values: dict[str, Any], known: list[str], where: str) -> None:
    for key in values:
        if key in known:
            continue
        near = difflib.get_close_matches(str(key), known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(known)}"
        raise SettingsError(f"unknown setting {_join(where, str(key))}; {hint}")


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
