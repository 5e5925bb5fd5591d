"""One measurement: a model in a mode at a size, in a process of its own for its memory's sake.

    python -m uaafusion_ros.bench.case '{"model": "release", "mode": "exact", …}'

Prints the result as one JSON object.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

#: Passes of the yardstick and products of the matrix that are timed after each frame.
YARDSTICK_PASSES = 2
MATRIX_SIDE = 1024


@dataclass(frozen=True)
class BenchCase:
    """What to measure. products: names of `Product`. threads: 0 leaves torch's own number."""

    model: str
    mode: str
    width: int
    height: int
    repeats: int = 5
    threads: int = 0
    products: tuple[str, ...] = ("FUSED", "MASK")
    device: str = "cpu"


def measure(case: BenchCase) -> dict[str, Any]:
    """Time the frames of a case, and the yardstick and the machine's peak between them.

    Raises:
        CheckpointError: no such model.
        SettingsError: a device or mode that there is not.
    """
    import torch

    from uaafusion_ros.bench.counting import count_multiply_adds
    from uaafusion_ros.bench.models import build_model, yardstick
    from uaafusion_ros.bench.stopwatch import TimedBackend
    from uaafusion_ros.inference.pipeline import FusionPipeline, PipelineSettings
    from uaafusion_ros.inference.products import Product
    from uaafusion_ros.network.unfolding import Output
    from uaafusion_ros.scenes.street import StreetScene

    if case.threads:
        torch.set_num_threads(case.threads)
    scene = StreetScene(case.height, case.width, "night", seed=1)
    frames = [scene.frame(0.1 * number) for number in range(case.repeats + 1)]
    pairs = [(frame.infrared, frame.visible[..., ::-1].copy()) for frame in frames]
    sources = [_luminance(image) for image in pairs[0]]
    model, info, untrained = build_model(case.model, case.mode, *map(torch.from_numpy, sources))
    backend = TimedBackend(model, case.device)
    pipeline = FusionPipeline(backend, info, PipelineSettings(mode=case.mode))
    products = Product(0)
    for name in case.products:
        products |= Product[name]
    loaded = _peak_memory()
    pipeline(*pairs[0], products)  # warms up; its memory is that of every frame
    backend.stopwatch.take()
    peak = _peak_memory()

    network = yardstick().to(backend.device)
    probe = torch.from_numpy(sources[0]).to(backend.device)
    matrix = torch.rand(MATRIX_SIDE, MATRIX_SIDE, device=backend.device)
    settle = torch.cuda.synchronize if backend.device != "cpu" else lambda: None

    def passes() -> None:
        for _ in range(YARDSTICK_PASSES):
            network(probe)
        settle()

    def multiply() -> None:
        torch.mm(matrix, matrix)
        settle()

    samples: list[dict[str, float]] = []
    with torch.no_grad():
        passes()
        multiply()
        for pair in pairs[1:]:
            sample = _time_frame(pipeline, backend, pair, products)
            wall, cpu = _time(passes)
            sample["yardstick"], sample["yardstick_cpu"] = (
                wall / YARDSTICK_PASSES,
                cpu / YARDSTICK_PASSES,
            )
            sample["multiply"], sample["multiply_cpu"] = _time(multiply)
            samples.append(sample)
        labels = model(
            *(torch.from_numpy(s).to(backend.device) for s in sources), Output.LABELS
        ).labels_BHW
    assert labels is not None
    return {
        **asdict(case),
        "mode": pipeline.mode,
        "untrained_head": untrained,
        "threads": torch.get_num_threads(),
        "classes_present": int(labels.unique().numel()),
        "multiply_adds": count_multiply_adds(lambda: pipeline(*pairs[-1], products)),
        "peak_rss_mib": round(peak, 1),
        "loaded_rss_mib": round(loaded, 1),
        **summarise(samples),
    }


def summarise(samples: list[dict[str, float]]) -> dict[str, Any]:
    """Medians over the frames; seconds. The parts add up to `frame` with `other`."""

    def median(key: str) -> float:
        return float(np.median([sample[key] for sample in samples]))

    frame, cpu = median("frame"), median("frame_cpu")
    # The sample in the middle, because medians of parts do not add up to the median of the whole.
    middle = sorted(samples, key=lambda sample: sample["frame"])[len(samples) // 2]
    parts = {name: middle[name] for name in PARTS}
    parts["other"] = middle["frame"] - sum(parts.values())
    # The fastest product is the machine's peak, whatever else it does.
    peak = MATRIX_SIDE**3 / min(sample["multiply"] for sample in samples)
    peak_cpu = MATRIX_SIDE**3 / min(sample["multiply_cpu"] for sample in samples)
    return {
        "frame": frame,
        "frame_p95": float(np.percentile([sample["frame"] for sample in samples], 95)),
        "frame_cpu": cpu,
        "frame_split": middle["frame"],
        "split": parts,
        "frames_per_second": 1 / frame,
        "yardstick": median("yardstick"),
        "yardstick_cpu": median("yardstick_cpu"),
        "passes": frame / median("yardstick"),
        "passes_cpu": cpu / median("yardstick_cpu"),
        "peak_multiply_adds_per_second": peak,
        "peak_multiply_adds_per_cpu_second": peak_cpu,
    }


PARTS = ("prepare", "segmentation", "attribution", "stages", "finish")


def _time_frame(pipeline: Any, backend: Any, pair: Any, products: Any) -> dict[str, float]:
    results: list[Any] = []
    wall, cpu = _time(lambda: results.append(pipeline(*pair, products)))
    parts = backend.stopwatch.take()
    timings = results[0].timings
    sample = {name: parts.get(name, 0.0) for name in PARTS}
    sample |= {"prepare": timings["prepare"], "finish": timings["finish"]}
    return sample | {"frame": wall, "frame_cpu": cpu}


def _time(run: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of all the process's threads."""
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def _luminance(image: np.ndarray) -> np.ndarray:
    grey = image if image.ndim == 2 else image.mean(axis=2)
    return (grey / 255).astype(np.float32)[None, None]


def _peak_memory() -> float:
    """Largest resident set of this process so far, MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts what the process was before it became this program
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: list[str]) -> int:
    """Measure the case described on the command line; errors become one JSON object too."""
    values = json.loads(arguments[0])
    values["products"] = tuple(values["products"])
    try:
        result = measure(BenchCase(**values))
    except (OSError, ValueError) as error:
        result = {**values, "error": str(error)}
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
