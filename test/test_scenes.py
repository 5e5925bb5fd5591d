"""The synthetic street: what is drawn, what is labelled, and what each camera sees of it."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from uaafusion_ros.scenes.classes import CLASSES, PALETTE, PERSON, ROAD, SKY, TRAFFIC_SIGN
from uaafusion_ros.scenes.street import StreetScene, street_sequence

CONDITIONS = ("day", "night", "fog")


def _inside(mask: np.ndarray) -> np.ndarray:
    """The mask without its rim, where the lens mixes neighbours."""
    return cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0


def _around(mask: np.ndarray) -> np.ndarray:
    wide = cv2.dilate(mask.astype(np.uint8), np.ones((21, 21), np.uint8)) > 0
    return wide & ~(cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0)


def test_same_seed_and_time_give_the_same_frame_whatever_was_rendered_before():
    first = StreetScene(96, 128, "night", seed=4)
    first.frame(0.3)
    again, other = StreetScene(96, 128, "night", seed=4), StreetScene(96, 128, "night", seed=5)
    frame, repeated = first.frame(1.7), again.frame(1.7)
    for name in ("infrared", "visible", "labels"):
        np.testing.assert_array_equal(getattr(frame, name), getattr(repeated, name))
    assert not np.array_equal(frame.labels, other.frame(1.7).labels)
    # Sensor noise belongs to the moment too: it must not stand still in the image.
    assert not np.array_equal(frame.infrared, first.frame(1.700001).infrared)


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("size", [(97, 131), (32, 32), (120, 64)])
def test_every_condition_renders_at_odd_sizes(condition, size):
    height, width = size
    frame = StreetScene(height, width, condition, seed=2).frame(12.3)
    assert frame.infrared.shape == frame.labels.shape == size
    assert frame.visible.shape == (*size, 3)
    assert frame.infrared.dtype == frame.visible.dtype == frame.labels.dtype == np.uint8
    assert frame.labels.max() < len(CLASSES) == len(PALETTE)
    assert {ROAD, SKY} <= set(np.unique(frame.labels))
    assert 15 < frame.visible.mean() < 200 and frame.infrared.std() > 8


def test_people_at_night_stand_out_in_infrared_where_the_visible_camera_hardly_sees_them():
    warmer, contrasts = [], []
    for seed in range(4):
        scene = StreetScene(240, 320, "night", seed=seed)
        for _, frame in street_sequence(3, 0.4, scene):
            people, road = frame.labels == PERSON, frame.labels == ROAD
            body, ring = _inside(people), _around(people)
            if body.sum() < 40:
                continue
            visible = frame.visible.mean(axis=2)
            warmer.append(frame.infrared[body].mean() - frame.infrared[road].mean())
            contrast, warmth = (
                abs(np.median(image[body]) - np.median(image[ring]))
                for image in (visible, frame.infrared)
            )
            contrasts.append(contrast / warmth)
    assert len(warmer) >= 6
    assert min(warmer) > 35
    assert np.median(contrasts) < 0.4


def test_signs_and_markings_show_in_the_visible_image_alone():
    signs = 0
    for seed in range(5):
        scene = StreetScene(240, 320, "day", seed=seed)
        for _, frame in street_sequence(4, 0.5, scene):
            brightness = frame.visible.mean(axis=2)
            road = _inside(frame.labels == ROAD)
            painted = road & (brightness > np.median(brightness[road]) + 60)
            bare = road & (brightness < np.median(brightness[road]) + 25)
            assert painted.sum() > 50
            difference = frame.infrared[painted].mean() - frame.infrared[bare].mean()
            assert abs(difference) < 12
            plates = (frame.labels == TRAFFIC_SIGN).astype(np.uint8)
            count, regions = cv2.connectedComponents(plates)
            for region in range(1, count):
                plate = _inside(regions == region)
                if plate.sum() < 60:
                    continue
                signs += 1
                symbol = frame.visible[plate].std(axis=0).max()
                assert symbol > 25 and symbol > 3 * frame.infrared[plate].std()
    assert signs >= 3


def test_labels_lie_where_the_infrared_image_changes():
    """The sky is colder than all that stands before it: its outline is an edge in infrared."""
    for seed in range(3):
        frame = StreetScene(240, 320, "day", seed=seed).frame(2.0)
        sky = frame.labels == SKY
        smooth = cv2.GaussianBlur(frame.infrared, (0, 0), 1.0).astype(np.float32)
        edges = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
        outline = sky ^ (cv2.erode(sky.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
        outline[:, [0, -1]] = outline[[0, -1]] = False
        shifted = np.roll(outline, 6, axis=0)
        assert np.median(edges[outline]) > 2 * np.median(edges[shifted])


def test_consecutive_frames_move_smoothly():
    scene = StreetScene(120, 160, "day", seed=1)
    frames = [scene.frame(5 + 0.02 * step) for step in range(12)]
    jumps = [np.mean(before.labels != after.labels) for before, after in pairwise(frames)]
    far_apart = np.mean(frames[0].labels != scene.frame(9.0).labels)
    assert max(jumps) < 0.05 < far_apart
    assert min(jumps) > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"condition": "dusk"}, "'dusk'.*day, night, fog"),
        ({"height": 31, "width": 640}, "31x640.*at least 32x32"),
    ],
)
def test_unusable_arguments_are_refused_in_words(arguments, said):
    with pytest.raises(ValueError, match=said):
        StreetScene(**arguments)
