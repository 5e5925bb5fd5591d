"""Adapter for the authors' released checkpoint; the only place that knows their key names."""

from __future__ import annotations

import os
import pickle
import re
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from uaafusion_ros.network.checkpoint import CheckpointError, describe_differences
from uaafusion_ros.network.config import FMB_CLASSES, ConfigError, ModelConfig
from uaafusion_ros.network.encoder import ENCODER_TABLES
from uaafusion_ros.network.unfolding import UAAFusion

_NORM_PARTS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_CONV_PARTS = ("weight", "bias")
#: The release's LSTM gates in our order, and the three that are left without a state.
_GATES, _GATES_WITHOUT_STATE = "fioj", "ioj"


def import_authors_checkpoint(
    path: str | os.PathLike[str], *, data_step: bool = False
) -> UAAFusion:
    """Rebuild the authors' model from their pickle `{'model_f': …, 'model_s': …}`.

    The released code computes its data step and drops the result, so its weights were trained
    without one: parity means step sizes of 0. `data_step` keeps the ones in the file.

    Raises:
        CheckpointError: not such a file, or of another layout or shape, with what differs.
    """
    fusion, segmentation = _read(path)
    config = _infer_config(path, fusion, segmentation)
    model = UAAFusion(config)
    state = _map_segmentation(config, segmentation) | _map_fusion(config, fusion)
    differences = describe_differences(state, model.state_dict())
    unused = sorted(_unknown_keys(config, fusion, segmentation))
    if unused:
        differences += f"; keys without a place: {', '.join(unused[:5])}"
    if differences:
        raise CheckpointError(
            f"{path}: not the layout of the released checkpoint: {differences.lstrip('; ')}"
        )
    if not data_step:
        state["step_sizes"] = torch.zeros_like(state["step_sizes"])
    model.load_state_dict(state)
    return model


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    if not Path(path).is_file():
        raise CheckpointError(f"{path} does not exist; expected the authors' .pth file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        KeyError,
        SafetensorError,  # by the name of the file, some releases of PyTorch take it for one
    ) as error:
        raise CheckpointError(
            f"{path}: not a whole PyTorch checkpoint of plain tensors: {error}"
        ) from error
    parts = []
    for name in ("model_f", "model_s"):
        part = content.get(name) if isinstance(content, dict) else None
        if not isinstance(part, dict) or not all(isinstance(v, Tensor) for v in part.values()):
            found = sorted(map(str, content)) if isinstance(content, dict) else type(content)
            raise CheckpointError(
                f"{path}: holds {found}, expected a dict with the state dicts "
                "'model_f' (fusion) and 'model_s' (segmentation)"
            )
        # Saved from several GPUs, every key carries the wrapper's name.
        parts.append({str(key).removeprefix("module."): value for key, value in part.items()})
    return parts[0], parts[1]


def _infer_config(
    path: str | os.PathLike[str], fusion: dict[str, Tensor], segmentation: dict[str, Tensor]
) -> ModelConfig:
    try:
        stages = fusion["alpha"].numel()
        channels = fusion["blockflow.0.conv1.conv_unit.0.weight"].shape[0]
        classes = segmentation["cls_conv.weight"].shape[0]
        decoder_channels = segmentation["cat_conv.0.weight"].shape[0]
    except KeyError as error:
        raise CheckpointError(
            f"{path}: not the layout of the released checkpoint: {error} is missing"
        ) from error
    try:
        config = ModelConfig(stages=stages, channels=channels, decoder_channels=decoder_channels)
        if classes != len(FMB_CLASSES):
            names = tuple(f"class {index}" for index in range(classes))
            palette = tuple((37 * k % 256, 97 * k % 256, 151 * k % 256) for k in range(classes))
            config = replace(config, classes=names, palette=palette)
    except ConfigError as error:
        raise CheckpointError(f"{path}: not a model of the release: {error}") from error
    return config


def _map_segmentation(config: ModelConfig, source: dict[str, Tensor]) -> dict[str, Tensor]:
    pairs = {"encoder.stem.conv": "feature_extractor.features.0.0"}
    pairs["encoder.stem.norm"] = "feature_extractor.features.0.1"
    feature = 1
    for row_index, row in enumerate(ENCODER_TABLES["mobilenet_v2"].rows):
        for block in range(row.repeats):
            ours = f"encoder.rows.{row_index}.{block}.layers"
            theirs = f"feature_extractor.features.{feature}.conv"
            layers = 3 if row.expansion > 1 else 2
            for layer in range(layers):
                # Theirs counts convolution, norm and activation; ours has them in one.
                pairs[f"{ours}.{layer}.conv"] = f"{theirs}.{3 * layer}"
                pairs[f"{ours}.{layer}.norm"] = f"{theirs}.{3 * layer + 1}"
            feature += 1
    for ours, theirs, index in (
        ("shortcut", "shortcut_conv", 0),
        ("merge", "cat_conv", 0),
        ("refine", "cat_conv", 4),
    ):
        pairs[f"decoder.{ours}.conv"] = f"{theirs}.{index}"
        pairs[f"decoder.{ours}.norm"] = f"{theirs}.{index + 1}"
    pairs["classifier"] = "cls_conv"
    mapped = {}
    for ours, theirs in pairs.items():
        for part in _NORM_PARTS:
            if f"{theirs}.{part}" in source:
                mapped[f"segmentation.{ours}.{part}"] = source[f"{theirs}.{part}"]
    return mapped


def _map_fusion(config: ModelConfig, source: dict[str, Tensor]) -> dict[str, Tensor]:
    units = {"infrared_entry": "init_conv_ir", "visible_entry": "init_conv_vi"}
    mapped: dict[str, Tensor] = {"step_sizes": source["alpha"]}
    for stage in range(config.stages):
        ours, theirs = f"stages.{stage}", f"blockflow.{stage}"
        units |= {
            f"{ours}.image_entry": f"{theirs}.conv1",
            f"{ours}.long_entry": f"{theirs}.conv2",
            f"{ours}.gated": f"{theirs}.conv3",
            f"{ours}.image_exit": f"{theirs}.conv4.0",
        }
        if stage == config.stages - 1:
            continue
        units |= {
            f"{ours}.memory.entry": f"{theirs}.conv5",
            f"{ours}.memory.exit": f"{theirs}.conv6",
        }
        mapped |= _join_gates(source, f"{theirs}.lstm", f"{ours}.memory.lstm.gates", stage > 0)
    for ours, theirs in units.items():
        for part in ("0.weight", "0.bias", "1.weight", "2.weight", "2.bias"):
            key = f"{theirs}.conv_unit.{part}"
            if key in source:
                mapped[f"{ours}.{part}"] = source[key]
    return mapped


def _join_gates(
    source: dict[str, Tensor], theirs: str, ours: str, has_state: bool
) -> dict[str, Tensor]:
    """Stack the gates' convolutions into one, inputs before hidden state."""
    gates = _GATES if has_state else _GATES_WITHOUT_STATE
    sides = "xh" if has_state else "x"
    try:
        weight = torch.cat(
            [
                torch.cat([source[f"{theirs}.conv_{side}{gate}.weight"] for gate in gates])
                for side in sides
            ],
            dim=1,
        )
        bias = torch.stack(
            [
                torch.cat([source[f"{theirs}.conv_{side}{gate}.bias"] for gate in gates])
                for side in sides
            ]
        ).sum(dim=0)
    except (KeyError, RuntimeError):
        return {}  # reported as missing by the comparison with the model
    return {f"{ours}.weight": weight, f"{ours}.bias": bias}


def _unknown_keys(
    config: ModelConfig, fusion: dict[str, Tensor], segmentation: dict[str, Tensor]
) -> set[str]:
    """Keys that are neither mapped nor known to be unused by the release."""
    known = re.compile(
        rf"alpha$|init_conv_(ir|vi)\.conv_unit|init_conv_f0\.|"
        rf"blockflow\.([0-{config.stages - 1}])\.(conv[1-6]|lstm)\."
    )
    unknown = {key for key in fusion if not known.match(key)}
    expected = re.compile(r"(feature_extractor\.features|shortcut_conv|cat_conv|cls_conv)\.")
    return unknown | {key for key in segmentation if not expected.match(key)}
