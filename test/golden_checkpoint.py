"""Deterministic random weights in the layout of the authors' released checkpoint.

The released file is a pickled dict of two state dicts. Every entry gets a value that depends on
the seed, the sorted key names and the shapes alone, so that outputs of the authors' algorithm for
these weights can be stored (golden/*.npz) without storing the weights.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

GOLDEN = Path(__file__).parent / "golden"


def write_checkpoint(path: Path, seed: int) -> Path:
    """Write the checkpoint of `seed` to `path` as the authors' code saves it."""
    layout = json.loads((GOLDEN / "checkpoint_layout.json").read_text())
    content = {
        part: {
            key: torch.from_numpy(value)
            for key, value in random_weights(layout[part], seed + offset).items()
        }
        for offset, part in enumerate(("model_f", "model_s"))
    }
    torch.save(content, path)
    return path


def random_weights(shapes: dict[str, list[int]], seed: int) -> dict[str, np.ndarray]:
    """Draw a value for every key in sorted order; RandomState's stream is frozen for good."""
    rng = np.random.RandomState(seed)
    return {key: _value(key, tuple(shapes[key]), rng) for key in sorted(shapes)}


def _value(key: str, shape: tuple[int, ...], rng: np.random.RandomState) -> np.ndarray:
    noise = rng.standard_normal(shape)
    fan_in = np.sqrt(np.prod(shape[1:]))
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if key == "alpha":
        value = np.linspace(0.30, 0.10, shape[0])
    elif key.endswith("running_mean"):
        value = 0.1 * noise
    elif key.endswith("running_var"):
        value = 1.0 + 0.3 * np.tanh(noise)
    elif key == "cls_conv.weight":
        value = 1.5 * noise / fan_in
    elif len(shape) == 4:
        value = (1.45 if key.startswith(("blockflow", "init_conv")) else 1.1) * noise / fan_in
    elif shape == (1,) and ".1.weight" in key:
        value = np.full(shape, 0.25)
    elif key.endswith(".weight"):
        value = 1.0 + 0.1 * noise
    else:
        value = 0.1 * noise
    return np.asarray(value, np.float32)
