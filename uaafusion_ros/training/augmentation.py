"""Augmentation that fits the sensors: one geometry for a moment, photometry for each camera.

Images are float32 [H,W] in 0..1, labels uint8 [H,W].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from uaafusion_ros.inference.render import GREY_CHROMA
from uaafusion_ros.training.datasets import Sample

#: Roughly how warm a class looks to a thermal camera, 0..1; others get the middle.
TYPICAL_WARMTH = {
    "road": 0.45,
    "sidewalk": 0.45,
    "building": 0.5,
    "traffic light": 0.5,
    "traffic sign": 0.35,
    "vegetation": 0.4,
    "sky": 0.12,
    "person": 0.85,
    "car": 0.55,
    "truck": 0.55,
    "bus": 0.55,
    "motorcycle": 0.65,
    "bicycle": 0.6,
    "pole": 0.4,
}
_MIDDLE_WARMTH = 0.45
#: Chroma of grey in 0..1, as 8 bits have it.
GREY = np.float32(GREY_CHROMA / 255)
PERSON = "person"


@dataclass(frozen=True)
class Patch:
    """A crop of a sample, float32 in 0..1; chroma [H,W,2] is -0.5..0.5."""

    visible: np.ndarray
    infrared: np.ndarray | None
    labels: np.ndarray | None
    fused: np.ndarray | None = None
    chroma: np.ndarray | None = None


def random_crop(
    sample: Sample,
    rng: np.random.Generator,
    height: int,
    width: int,
    scales: tuple[float, float] = (0.6, 1.6),
) -> Patch:
    """Scale, crop and mirror all images of a sample alike; labels keep their ids."""
    rows, columns = sample.visible.shape
    scale = float(np.exp(rng.uniform(*np.log(scales))))
    scale = max(scale, (height + 1) / rows, (width + 1) / columns)
    size = (max(width, round(columns * scale)), max(height, round(rows * scale)))
    top = int(rng.integers(0, size[1] - height + 1))
    left = int(rng.integers(0, size[0] - width + 1))
    mirrored = rng.random() < 0.5

    def cut(image: np.ndarray | None, interpolation: int) -> np.ndarray | None:
        if image is None:
            return None
        resized = cv2.resize(image, size, interpolation=interpolation)
        patch = resized[top : top + height, left : left + width]
        return np.ascontiguousarray(patch[:, ::-1] if mirrored else patch)

    def cut_light(image: np.ndarray | None) -> np.ndarray | None:
        patch = cut(image, cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        return None if patch is None else patch.astype(np.float32) / 255

    visible, chroma = cut_light(sample.visible), cut_light(sample.chroma)
    assert visible is not None
    return Patch(
        visible,
        cut_light(sample.infrared),
        cut(sample.labels, cv2.INTER_NEAREST),
        cut_light(sample.fused),
        None if chroma is None else chroma - GREY,
    )


def vary_visible(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, gamma, noise, blur and now and then glare or night."""
    if rng.random() < 0.3:
        image = darken(image, rng)
    if rng.random() < 0.2:
        image = _add_glare(image, rng)
    return _vary(image, rng)


def darken(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Take a visible image to dusk or night."""
    return image ** rng.uniform(1.2, 2.5) * rng.uniform(0.25, 0.9)


def vary_infrared(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gain, offset, noise and drift of a thermal camera; rarely white-hot turned black-hot."""
    if rng.random() < 0.1:
        image = 1 - image
    if rng.random() < 0.3:
        rows, columns = image.shape
        slope = np.linspace(-1, 1, columns, dtype=np.float32) * rng.uniform(-0.1, 0.1)
        image = (
            image
            + slope
            + np.linspace(-1, 1, rows, dtype=np.float32)[:, None] * rng.uniform(-0.1, 0.1)
        )
    return _vary(np.clip(image, 0, 1), rng)


def vary_exposure(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gain and gamma alone: noise would teach the fusion to draw noise."""
    image = np.clip(image * rng.uniform(0.75, 1.25), 0, 1) ** rng.uniform(0.75, 1.35)
    return image.astype(np.float32)


def vary_chroma(chroma: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Saturation, white balance and a turn of the hues; [H,W,2] in -0.5..0.5."""
    angle = rng.normal(0, 0.12)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = chroma @ (rng.uniform(0.5, 1.4) * turn).astype(np.float32)
    cast = rng.normal(0, 0.012, 2).astype(np.float32)
    return np.clip(turned + cast, -0.5, 0.5)


def warmth_of(classes: Sequence[str]) -> np.ndarray:
    """Return the typical warmth of every class, float32 [C] in 0..1."""
    return np.array([TYPICAL_WARMTH.get(name, _MIDDLE_WARMTH) for name in classes], np.float32)


def imitate_infrared(
    image: np.ndarray, labels: np.ndarray, warmth_C: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Repaint a labelled visible frame the way a thermal camera might see it.

    Every class gets a warmth around its typical one; the texture that is left is the visible one,
    weakened and often inverted, under the blur of a thermal lens.
    """
    warmth = np.clip(warmth_C + rng.normal(0, 0.12, warmth_C.shape), 0, 1).astype(np.float32)
    warmth[0] = _MIDDLE_WARMTH
    base: np.ndarray = warmth[labels]
    base = cv2.GaussianBlur(base, (0, 0), rng.uniform(0.6, 1.6))
    mean = cv2.blur(image, (31, 31))
    texture = (image - mean) * rng.uniform(-0.8, 0.8) + (mean - 0.5) * rng.uniform(-0.3, 0.3)
    return np.clip(base + texture, 0, 1).astype(np.float32)


class PeoplePaster:
    """Pastes people cut from labelled frames: warm in the infrared image, dim in the visible."""

    MINIMUM_HEIGHT = 24

    def __init__(self, classes: Sequence[str]) -> None:
        """Begin without cutouts; `classes` are the model's."""
        self._person = list(classes).index(PERSON) if PERSON in classes else None
        self._cutouts: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]] = []

    def collect(self, sample: Sample) -> None:
        """Cut out the people of a labelled visible frame."""
        if sample.labels is not None and self._person is not None:
            self._collect(sample, sample.labels == self._person)

    def __len__(self) -> int:
        return len(self._cutouts)

    def _collect(self, sample: Sample, people: np.ndarray) -> None:
        count, regions, boxes, _ = cv2.connectedComponentsWithStats(people.astype(np.uint8))
        for index in range(1, count):
            left, top, width, height, _ = boxes[index]
            if height < self.MINIMUM_HEIGHT or not 0.2 < width / height < 0.9:
                continue
            window = np.s_[top : top + height, left : left + width]
            chroma = None if sample.chroma is None else sample.chroma[window].copy()
            self._cutouts.append((sample.visible[window].copy(), regions[window] == index, chroma))

    def paste(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Return the patch with one to four people more, their pixels labelled as such."""
        if patch.infrared is None or patch.labels is None or not self._cutouts:
            return patch
        infrared, visible = patch.infrared.copy(), patch.visible.copy()
        labels = patch.labels.copy()
        chroma = None if patch.chroma is None else patch.chroma.copy()
        for _ in range(int(rng.integers(1, 5))):
            self._paste_one(infrared, visible, labels, chroma, rng)
        return Patch(visible, infrared, labels, chroma=chroma)

    def _paste_one(
        self,
        infrared: np.ndarray,
        visible: np.ndarray,
        labels: np.ndarray,
        chroma: np.ndarray | None,
        rng: np.random.Generator,
    ) -> None:
        image, mask, colours = self._cutouts[int(rng.integers(len(self._cutouts)))]
        rows, columns = labels.shape
        height = int(np.clip(np.exp(rng.uniform(np.log(16), np.log(0.7 * rows))), 16, rows))
        width = max(4, round(image.shape[1] * height / image.shape[0]))
        if width >= columns:
            return
        texture = cv2.resize(image, (width, height)).astype(np.float32) / 255
        soft = cv2.resize(mask.astype(np.float32), (width, height))
        mirrored = rng.random() < 0.5
        if mirrored:
            texture, soft = texture[:, ::-1], soft[:, ::-1]
        # Feet stand where the ground is: the nearer (taller), the lower in the image.
        ground = rows * (0.45 + 0.55 * height / rows)
        bottom = int(np.clip(ground + rng.normal(0, 0.06) * rows, height, rows))
        left = int(rng.integers(0, columns - width))
        window = np.s_[bottom - height : bottom, left : left + width]
        alpha = cv2.GaussianBlur(soft, (0, 0), 0.7)
        around = float(infrared[window].mean())
        warm = np.clip(around + rng.uniform(0.15, 0.5), 0, 1)
        heat = warm + (texture - texture.mean()) * rng.uniform(-0.3, 0.3)
        infrared[window] += alpha * (np.clip(heat, 0, 1) - infrared[window])
        dim = float(visible[window].mean()) * rng.uniform(0.4, 1.2)
        dark = dim + (texture - texture.mean()) * rng.uniform(0.05, 0.5)
        visible[window] += alpha * (np.clip(dark, 0, 1) - visible[window])
        labels[window][soft > 0.5] = self._person
        if chroma is not None and colours is not None:
            # As dim as the person: chroma scales with the light.
            own = cv2.resize(colours, (width, height)).astype(np.float32) / 255 - GREY
            own *= dim / max(float(texture.mean()), 0.05)
            own = own[:, ::-1] if mirrored else own
            chroma[window] += alpha[..., None] * (np.clip(own, -0.5, 0.5) - chroma[window])


def _vary(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    image = image * rng.uniform(0.7, 1.3) + rng.uniform(-0.12, 0.12)
    image = np.clip(image, 0, 1) ** rng.uniform(0.7, 1.5)
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.3))
    if rng.random() < 0.5:
        image = image + rng.normal(0, rng.uniform(0.003, 0.03), image.shape)
    return np.clip(image, 0, 1).astype(np.float32)


def _add_glare(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rows, columns = image.shape
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    for _ in range(int(rng.integers(1, 4))):
        radius = rng.uniform(0.02, 0.12) * columns
        distance = np.hypot(y - rng.uniform(0.2, 0.9) * rows, x - rng.uniform(0, 1) * columns)
        image = image + rng.uniform(0.4, 1.2) * np.exp(-distance / radius)
    return np.clip(image, 0, 1)
