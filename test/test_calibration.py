"""The homography of a rig is found from what both cameras see, or refused."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from uaafusion_ros.calibration.errors import CalibrationError
from uaafusion_ros.calibration.estimation import Estimate, estimate
from uaafusion_ros.calibration.judgement import doubts, plausible
from uaafusion_ros.calibration.transforms import disagreement, moved, scaling
from uaafusion_ros.cli import app
from uaafusion_ros.inference.files import by_stem
from uaafusion_ros.scenes.street import StreetScene

ROADSCENE = Path(__file__).resolve().parents[2] / "shared" / "data" / "roadscene" / "train"
INFRARED, VISIBLE = (160, 128), (320, 240)
"""Width and height: another resolution and another aspect."""


def rig(scale, degrees, right, down, infrared=INFRARED, visible=VISIBLE):
    """Infrared pixel to visible pixel: the view's width and place as parts of the visible one."""
    middle = (np.array(infrared) - 1) / 2
    turn = cv2.getRotationMatrix2D((0, 0), degrees, scale * visible[0] / infrared[0])[:, :2]
    homography = np.eye(3)
    homography[:2, :2] = turn
    target = (np.array(visible) - 1) / 2 + np.array([right, down]) * visible
    homography[:2, 2] = target - turn @ middle
    homography[2, :2] = 0.02 / visible[0], -0.015 / visible[0]  # it looks aside a little
    return homography


RIGS = {
    "wider": rig(1.12, 0.0, 0.02, -0.03),
    "turned": rig(0.9, 2.0, -0.04, 0.05),
    "narrow": rig(0.62, -2.5, 0.08, 0.02),
}


def seen_by_infrared(scene, homography, size=INFRARED):
    """What an infrared camera of that homography sees, averaged over its larger pixels."""
    view = scaling(3) @ np.linalg.inv(homography)
    fine = cv2.warpPerspective(
        scene, view, (3 * size[0], 3 * size[1]), borderMode=cv2.BORDER_REPLICATE
    )
    return cv2.resize(fine, size, interpolation=cv2.INTER_AREA)


@cache
def street(condition, seed):
    """A street that is larger than the visible image, so that infrared may look beyond."""
    return StreetScene(300, 400, condition, seed=seed).frame(1.7 * seed)


def street_pairs(homography, condition, count):
    """Infrared and visible grey images."""
    shift = np.array([[1.0, 0, 40], [0, 1, 30], [0, 0, 1]])
    pairs = []
    for seed in range(count):
        frame = street(condition, seed)
        visible = cv2.cvtColor(frame.visible[30:270, 40:360], cv2.COLOR_BGR2GRAY)
        pairs.append((seen_by_infrared(frame.infrared, shift @ homography), visible))
    return pairs


@pytest.mark.parametrize(
    ("view", "condition"), [("wider", "day"), ("turned", "night"), ("narrow", "day")]
)
def test_a_known_warp_is_found_to_a_pixel_and_a_half(view, condition):
    found = estimate(street_pairs(RIGS[view], condition, 4))
    gaps = disagreement(RIGS[view], found.homography, INFRARED, VISIBLE)
    assert np.median(gaps) < 1.0 and np.percentile(gaps, 95) < 2.0
    assert found.residual < 1.0 and found.repeatability < 2.0
    assert doubts(found, INFRARED, VISIBLE, 4) == []


@pytest.mark.skipif(not ROADSCENE.is_dir(), reason="needs RoadScene beside the repository")
@pytest.mark.slow
def test_a_known_warp_of_real_streets_is_found_to_a_pixel_and_a_half():
    visible_size, infrared_size = (500, 330), (320, 240)
    homography = rig(0.85, 1.5, 0.03, -0.02, infrared_size, visible_size)
    pairs = []
    for stem, path in list(by_stem(ROADSCENE / "infrared", print).items())[:20]:
        infrared, visible = (
            cv2.resize(cv2.imread(str(file), 0), visible_size, interpolation=cv2.INTER_AREA)
            for file in (path, path.parents[1] / "visible" / f"{stem}{path.suffix}")
        )
        pairs.append((seen_by_infrared(infrared, homography, infrared_size), visible))
    found = estimate(pairs)
    assert np.median(disagreement(homography, found.homography, infrared_size, visible_size)) < 1.5


def test_images_that_show_different_things_are_refused_or_doubted():
    infrared = [pair[0] for pair in street_pairs(RIGS["turned"], "day", 4)]
    rng = np.random.default_rng(0)
    others = [
        cv2.GaussianBlur(rng.integers(0, 255, VISIBLE[::-1]).astype(np.uint8), (0, 0), 3)
        for _ in infrared
    ]
    try:
        found = estimate(list(zip(infrared, others, strict=True)))
    except CalibrationError as error:
        assert "record scenes with edges that both cameras see" in str(error)
    else:
        assert doubts(found, INFRARED, VISIBLE, 4)


def good(**changes):
    values = {
        "homography": RIGS["turned"],
        "residual": 0.5,
        "worst": 1.0,
        "found": 80,
        "agreeing": 70,
        "examined": 100,
        "spread": 0.6,
        "repeatability": 0.4,
        "lead": 2.0,
    }
    return Estimate(**(values | changes))


@pytest.mark.parametrize(
    ("estimate_", "said"),
    [
        (good(residual=3.2), "residual is 3.2 px, expected 2.0"),
        (good(repeatability=9.0), "one half of the pairs says otherwise than the other, by 9.0 px"),
        (good(agreeing=12), "only 12 of 80 matched places agree"),
        (good(found=14, agreeing=14), "only 14 of"),
        (good(spread=0.05), "span 5% of the common view"),
        (good(homography=np.diag([-1.0, 1, 1])), "mirrors the image"),
    ],
)
def test_an_estimate_is_doubted_with_the_reason(estimate_, said):
    assert not doubts(good(), INFRARED, VISIBLE, 8)
    assert any(said in doubt for doubt in doubts(estimate_, INFRARED, VISIBLE, 8))


def test_only_upright_convex_views_of_sensible_size_are_plausible():
    assert all(plausible(view, INFRARED, VISIBLE) for view in RIGS.values())
    folded = RIGS["turned"].copy()
    folded[2, 0] = -0.01
    tiny = np.diag([0.1, 0.1, 1])
    turned = np.array([[-1.0, 0, 159], [0, -1, 127], [0, 0, 1]])
    assert not any(plausible(view, INFRARED, VISIBLE) for view in (folded, tiny, turned))


def invoke(*arguments):
    return CliRunner().invoke(app, ["calibrate", *arguments])


def node_settings(path):
    """What the node makes of a parameter file."""
    parameters = yaml.safe_load(path.read_text())["/**"]["ros__parameters"]
    assert parameters["registration"] == "homography"
    assert all(isinstance(number, float) for number in parameters["homography"])
    return np.array(parameters["homography"]).reshape(3, 3)


def test_folders_become_parameters_and_a_picture(tmp_path):
    for number, (infrared, visible) in enumerate(street_pairs(RIGS["turned"], "day", 4)):
        for stream, image in (("infrared", infrared), ("visible", visible)):
            (tmp_path / stream).mkdir(exist_ok=True)
            counts = image if stream == "visible" else 7000 + 10 * image.astype(np.uint16)
            cv2.imwrite(str(tmp_path / stream / f"{number}.png"), counts)
    cv2.imwrite(str(tmp_path / "visible" / "0.png"), np.zeros((90, 90), np.uint8))  # another size
    out = tmp_path / "out"
    result = invoke(
        *("--infrared", str(tmp_path / "infrared"), "--visible", str(tmp_path / "visible")),
        *("--out", str(out)),
    )
    assert result.exit_code == 0, result.output
    assert "1 of 4 pairs are of another size than 160x128 and 320x240" in result.output
    assert re.search(r"Residual: median 0\.\d+ px.*halves of the pairs agree", result.output)
    assert "3 pairs are few" in result.output
    found = node_settings(out / "registration.yaml")
    assert np.median(disagreement(RIGS["turned"], found, INFRARED, VISIBLE)) < 1.5
    assert cv2.imread(str(out / "overlay.png")).shape[1] == 3 * 480


def test_a_recording_becomes_parameters(tmp_path):
    pytest.importorskip("rosbags")
    from bag_fixtures import START, StreetBag, compressed, raw

    bag = StreetBag(tmp_path / "bag")
    for number, (infrared, visible) in enumerate(street_pairs(RIGS["narrow"], "day", 4)):
        stamp = START + number * 10**9
        bag.add("/camera/image_raw/compressed", stamp, compressed(stamp, visible, "jpg"))
        counts = 7000 + 10 * infrared.astype(np.uint16)
        bag.add("/thermal/image_raw", stamp, raw(stamp + 80_000_000, counts, "mono16"))
    bag.write()
    common = str(bag.path), "--out", str(tmp_path / "out")
    assert "none of 4 infrared and 4 visible images make a pair" in str(invoke(*common).exception)
    result = invoke(*common, "--infrared-offset", "-0.08")
    assert result.exit_code == 0, result.output
    found = node_settings(tmp_path / "out" / "registration.yaml")
    assert np.median(disagreement(RIGS["narrow"], found, INFRARED, VISIBLE)) < 1.5


def clicked(tmp_path, infrared, visible):
    places = [
        {"infrared": one.tolist(), "visible": other.tolist()}
        for one, other in zip(infrared, visible, strict=True)
    ]
    content = {"infrared_size": [160, 128], "visible_size": [320, 240], "points": places}
    (tmp_path / "points.yaml").write_text(yaml.safe_dump(content))
    return invoke("--points", str(tmp_path / "points.yaml"), "--out", str(tmp_path / "out"))


CLICKS = np.array(
    [[20, 15], [140, 20], [130, 110], [25, 100], [80, 60], [60, 30], [100, 90], [40, 70.0]]
)


def test_clicked_points_become_parameters_and_a_wrong_click_is_named(tmp_path):
    rng = np.random.default_rng(2)
    targets = moved(RIGS["turned"], CLICKS) + rng.normal(0, 0.5, CLICKS.shape)
    targets[5] += 40
    result = clicked(tmp_path, CLICKS, targets)
    assert result.exit_code == 0, result.output
    assert "points 6 contradict the others" in result.output
    found = node_settings(tmp_path / "out" / "registration.yaml")
    assert np.median(disagreement(RIGS["turned"], found, INFRARED, VISIBLE)) < 1.5


def test_four_clicks_are_met_by_anything_and_need_force(tmp_path):
    targets = moved(RIGS["turned"], CLICKS[:4])
    result = clicked(tmp_path, CLICKS[:4], targets)
    assert result.exit_code == 1 and "click 6 or more" in result.output
    assert not (tmp_path / "out" / "registration.yaml").exists()
    arguments = "--points", str(tmp_path / "points.yaml"), "--out", str(tmp_path / "out"), "--force"
    assert invoke(*arguments).exit_code == 0
    assert "Not to be trusted" in (tmp_path / "out" / "registration.yaml").read_text()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("points: 3", "no list 'points'"),
        ("points: [", "is no YAML"),
        ("{infrared_size: [160, 128], visible_size: [9, 9], points: []}", "0 points, expected at"),
        (
            "{infrared_size: [160, 128], visible_size: [320, 240], points: "
            "[{infrared: [1, 2], visible: [4]}]}",
            r"point 1: visible is \[4\], expected two numbers",
        ),
        (
            "{infrared_size: [160, 128], visible_size: [320, 240], points: ["
            + ", ".join(["{infrared: [1, 2], visible: [400, 2]}"] * 4)
            + "]}",
            "point 1: visible .* lies outside the image of 320x240",
        ),
    ],
)
def test_point_files_that_cannot_be_used_are_refused(tmp_path, content, said):
    from uaafusion_ros.calibration.points import read_points

    path = tmp_path / "points.yaml"
    path.write_text(content)
    with pytest.raises(CalibrationError, match=said):
        read_points(path)


def test_nothing_to_calibrate_from_is_said():
    assert "give a recording, or --infrared DIR" in str(invoke("--infrared", "x").exception)
