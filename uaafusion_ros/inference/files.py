"""Fuses image files; the command line's way into the pipeline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from uaafusion_ros.inference.backends import NetworkArrays
from uaafusion_ros.inference.errors import DeviceMemoryError, FrameError, SettingsError
from uaafusion_ros.inference.frames import FusionResult
from uaafusion_ros.inference.output_files import write_image
from uaafusion_ros.inference.pipeline import FusionPipeline
from uaafusion_ros.inference.products import Product
from uaafusion_ros.inference.providers import ProviderSettings
from uaafusion_ros.inference.render import attribution_overlay, mask_overlay
from uaafusion_ros.inference.settings import PipelineSettings

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".npy")


@dataclass(frozen=True)
class FuseJob:
    """What to fuse, with what, and where to put it."""

    infrared: Path
    visible: Path
    out: Path
    model: str
    arrays: bool
    sequence: bool
    device: str
    max_side: int
    mode: str
    mask_sizes: tuple[float, ...] = ()
    providers: ProviderSettings = field(default_factory=ProviderSettings)


@dataclass
class FuseReport:
    """How many pairs were found and fused, and what was wrong with the others."""

    found: int = 0
    fused: int = 0
    problems: list[str] = field(default_factory=list)


def fuse_files(job: FuseJob, console: Console) -> FuseReport:
    """Fuse every pair; one that cannot be is reported and skipped.

    Raises:
        CheckpointError: the model cannot be used.
        SettingsError: paths that are missing, empty, or a folder beside a file.
    """
    report = FuseReport()

    def problem(text: str) -> None:
        report.problems.append(text)
        console.print(f"[yellow]skipped:[/yellow] {escape(text)}", soft_wrap=True)

    pairs = _pairs(job.infrared, job.visible, problem)
    report.found = len(pairs) + len(report.problems)
    settings = PipelineSettings(max_side=job.max_side, mode=job.mode, mask_sizes=job.mask_sizes)
    if not job.sequence:
        settings = replace(settings, gain_smoothing=0.0, stretch_smoothing=0.0)
    pipeline = FusionPipeline.from_file(
        job.model, device=job.device, settings=settings, providers=job.providers
    )
    if pipeline.notice:
        console.print(f"[yellow]warning:[/yellow] {escape(pipeline.notice)}", soft_wrap=True)
    products = Product.ALL | (Product.ARRAYS if job.arrays else Product(0))
    for stem, infrared, visible in track(pairs, "fusing", console=console, disable=len(pairs) < 2):
        if not job.sequence:
            pipeline.reset()
        try:
            result = pipeline(read_infrared(infrared), read_visible(visible), products)
        except (FrameError, DeviceMemoryError) as error:
            problem(f"{stem}: {error}")
            continue
        if pipeline.shrinkage is not None:
            console.print(
                f"[yellow]{escape(stem)}: fused at {pipeline.shrinkage.side} pixels for want of "
                "memory[/yellow]; set --max-side"
            )
        _write(job.out, stem, result, pipeline.palette)
        report.fused += 1
    pipeline.close()
    return report


def read_infrared(path: Path) -> np.ndarray:
    """Read infrared [H,W] as it is stored: uint8, uint16 or float.

    Raises:
        FrameError: not a readable image.
    """
    image = _read(path, cv2.IMREAD_UNCHANGED)
    if image.ndim == 3:
        # Many recordings store grey thermal images in three equal channels.
        image = cv2.cvtColor(
            image[..., :3] if image.shape[2] >= 3 else image[..., :1].repeat(3, axis=2),
            cv2.COLOR_BGR2GRAY,
        )
    return image


def read_visible(path: Path) -> np.ndarray:
    """Read visible BGR uint8 [H,W,3], or float luminance [H,W] from .npy.

    Raises:
        FrameError: not a readable image.
    """
    return _read(path, cv2.IMREAD_COLOR)


def _read(path: Path, flags: int) -> np.ndarray:
    if path.suffix.lower() == ".npy":
        try:
            return np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise FrameError(f"{path} is not a readable .npy array: {error}") from error
    try:
        image = cv2.imread(str(path), flags)
    except cv2.error as error:
        raise FrameError(f"{path} is not a readable image: {error.err}") from error
    if image is None:
        raise FrameError(f"{path} is not a readable image; expected one of {', '.join(SUFFIXES)}")
    return image


def _pairs(
    infrared: Path, visible: Path, problem: Callable[[str], None]
) -> list[tuple[str, Path, Path]]:
    for path in (infrared, visible):
        if not path.exists():
            raise SettingsError(f"{path} does not exist; expected an image or a folder of images")
    if infrared.is_dir() != visible.is_dir():
        raise SettingsError(
            f"{infrared} and {visible}: one is a folder and the other a file, expected two files "
            "or two folders"
        )
    if not infrared.is_dir():
        return [(visible.stem, infrared, visible)]
    left, right = by_stem(infrared, problem), by_stem(visible, problem)
    for name, own, other, folder in (
        ("infrared", left, right, visible),
        ("visible", right, left, infrared),
    ):
        for stem in sorted(own.keys() - other.keys()):
            problem(f"{name} {own[stem].name} has no partner of the same stem in {folder}")
    stems = sorted(left.keys() & right.keys())
    if not stems:
        raise SettingsError(
            f"{infrared} holds {len(left)} images and {visible} {len(right)}, none of equal stem; "
            f"expected pairs such as a.png and a.jpg ({', '.join(SUFFIXES)})"
        )
    return [(stem, left[stem], right[stem]) for stem in stems]


def by_stem(folder: Path, problem: Callable[[str], None]) -> dict[str, Path]:
    """Return a folder's image files by stem; of several of one stem the first, the rest named."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        if path.stem in found:
            problem(f"{path} has the same stem as {found[path.stem].name}")
            continue
        found[path.stem] = path
    return found


def _write(
    out: Path, stem: str, result: FusionResult, palette: tuple[tuple[int, int, int], ...]
) -> None:
    assert result.fused is not None and result.mask is not None
    assert result.infrared_weight is not None and result.attention is not None
    pictures = {
        "fused": result.fused,
        "mask": result.mask,
        "overlay": mask_overlay(result.fused, result.mask, palette),
        "attribution": attribution_overlay(result.fused, result.infrared_weight, result.attention),
    }
    for folder, picture in pictures.items():
        path = out / folder / f"{stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, picture)
    if result.arrays is not None:
        _write_arrays(out / "arrays" / f"{stem}.npz", result.arrays)


def _write_arrays(path: Path, arrays: NetworkArrays) -> None:
    assert arrays.fused is not None and arrays.infrared_weight is not None
    assert arrays.contribution_infrared is not None and arrays.contribution_visible is not None
    assert arrays.attention is not None and arrays.regions is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        fused=arrays.fused,
        weight_infrared=arrays.infrared_weight,
        weight_visible=1 - arrays.infrared_weight,
        contribution_infrared=arrays.contribution_infrared,
        contribution_visible=arrays.contribution_visible,
        attention=arrays.attention,
        labels=arrays.regions,
    )
