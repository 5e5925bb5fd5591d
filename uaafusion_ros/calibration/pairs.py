"""Pairs to calibrate with, evenly spread over a recording or two folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from uaafusion_ros.calibration.errors import CalibrationError
from uaafusion_ros.calibration.transforms import spread
from uaafusion_ros.inference.errors import FrameError, SettingsError
from uaafusion_ros.inference.files import by_stem, read_infrared, read_visible
from uaafusion_ros.inference.render import split_colour
from uaafusion_ros.inference.settings import PipelineSettings
from uaafusion_ros.inference.thermal import GainControl

Pair = tuple[np.ndarray, np.ndarray]

QUEUE_SIZE = 100
"""Images of a stream that may wait for the other."""

_SETTINGS = PipelineSettings(gain_smoothing=0.0)


def folder_pairs(
    infrared: Path, visible: Path, count: int, problem: Callable[[str], None]
) -> list[Pair]:
    """Luminance pairs of equal stem from two folders; what cannot be read is reported.

    Raises:
        SettingsError: a folder that does not exist, or nothing in common.
        CalibrationError: see `of_one_size`.
    """
    for folder in (infrared, visible):
        if not folder.is_dir():
            raise SettingsError(f"{folder} is no folder, expected one of images")
    files = by_stem(infrared, problem), by_stem(visible, problem)
    stems = sorted(files[0].keys() & files[1].keys())
    if not stems:
        raise SettingsError(
            f"{infrared} holds {len(files[0])} images and {visible} {len(files[1])}, none of equal "
            "stem; expected pairs such as a.png and a.jpg"
        )
    pairs = []
    for stem in (stems[index] for index in spread(len(stems), count)):
        try:
            pairs.append(
                luminance_pair(read_infrared(files[0][stem]), read_visible(files[1][stem]))
            )
        except FrameError as error:
            problem(f"{stem}: {error}")
    return of_one_size(pairs, problem)


def bag_pairs(
    path: Path,
    topics: tuple[str, str],
    max_skew: float,
    infrared_offset: float,
    count: int,
    problem: Callable[[str], None],
) -> list[Pair]:
    """Luminance pairs of a recording, paired by stamp as in the node.

    Args:
        topics: infrared and visible; "" tells them by their names.

    Raises:
        BagError: it cannot be read at all.
        SettingsError: it has no such topics.
        CalibrationError: see `of_one_size`.
    """
    from uaafusion_ros.bag_topics import choose_topics
    from uaafusion_ros.bags import DECODERS, Bag, BagImage
    from uaafusion_ros.node.images import ImageError
    from uaafusion_ros.offline.pairs import recorded_pairing

    bag = Bag(path)
    names = choose_topics([bag], *topics)
    pairing = recorded_pairing(max_skew, infrared_offset, QUEUE_SIZE)

    def paired() -> Iterator[tuple[BagImage, BagImage]]:
        for image in bag.images(names):
            if image.error:
                problem(image.error)
                continue
            infrared = image.topic == names[0]
            add = pairing.add_infrared if infrared else pairing.add_visible
            for pair in add(image.stamp, image, 0):
                yield pair.infrared, pair.visible
        for pair in pairing.flush():
            yield pair.infrared, pair.visible

    expected = min(bag.topics[name].count for name in names)
    wanted = set(spread(expected, count))
    pairs: list[Pair] = []
    for index, both in enumerate(paired()):
        if index not in wanted:
            continue
        try:
            infrared, visible = (
                DECODERS[stream, image.type](image.message)
                for stream, image in zip(("infrared", "visible"), both, strict=True)
            )
            pairs.append(luminance_pair(infrared, visible))
        except (ImageError, FrameError) as error:
            problem(str(error))
    if not pairs:
        raise CalibrationError(
            f"{path}: none of {pairing.received['infrared']} infrared and "
            f"{pairing.received['visible']} visible images make a pair within {max_skew} s; raise "
            "--max-skew, or give --infrared-offset"
        )
    return of_one_size(pairs, problem)


def luminance_pair(infrared: np.ndarray, visible: np.ndarray) -> Pair:
    """Both images as luminance [H,W] float32 in 0..1, at their own sizes."""
    return GainControl()(infrared, _SETTINGS), split_colour(visible)[0]


def of_one_size(pairs: list[Pair], problem: Callable[[str], None]) -> list[Pair]:
    """Leave out pairs of other sizes than most.

    Raises:
        CalibrationError: no pair is left.
    """
    sizes = Counter((infrared.shape, visible.shape) for infrared, visible in pairs)
    if not sizes:
        raise CalibrationError("no pair could be read; what was wrong with each is said above")
    (usual, _), *others = sizes.most_common()
    if others:
        problem(
            f"{sum(number for _, number in others)} of {len(pairs)} pairs are of another size than "
            f"{_said(usual[0])} and {_said(usual[1])}; one homography holds for one size only"
        )
    return [pair for pair in pairs if (pair[0].shape, pair[1].shape) == usual]


def _said(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
