"""The programs in examples/ run, and show what they say."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from ros_fixtures import PATIENCE

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_every_example_is_run_here_and_listed():
    names = {path.name for path in EXAMPLES.glob("*.py")}
    tests = Path(__file__).read_text()
    listed = (EXAMPLES / "README.md").read_text()
    assert all(f'"{name}"' in tests and f"[{name}]({name})" in listed for name in names)


def test_two_images_of_a_users_own_become_one(tmp_path):
    infrared = np.full((64, 80), 7000, np.uint16)
    infrared[20:50, 20:40] = 7400  # somebody warm
    visible = np.full((96, 120, 3), 60, np.uint8)
    files = tmp_path / "infrared.png", tmp_path / "visible.png"
    for file, image in zip(files, (infrared, visible), strict=True):
        cv2.imwrite(str(file), image)
    done = subprocess.run(
        [sys.executable, EXAMPLES / "fuse_two_images.py", tmp_path / "out.png", *files],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert "of the image, infrared" in done.stdout
    sheet = cv2.imread(str(tmp_path / "out.png"))
    assert sheet.shape == (96, 4 * 120, 3)
    fused = sheet[:, 240:360].mean(axis=2)
    assert fused[40:65, 35:55].mean() > fused[:20].mean() + 20  # in the visible image's pixels


def test_a_subscriber_reads_fused_image_mask_and_class_names(ros, start, tiny_model):
    pytest.importorskip("rclpy")
    start("fusion_node", "-p", f"model:={tiny_model}")
    start("camera_replay", "-p", "width:=96", "-p", "height:=64", "-p", "rate:=5.0")
    listener = start(str(EXAMPLES / "subscribe_to_fused.py"), "--", "--once")
    assert listener.wait() == 0, listener.output()
    output = listener.output()
    assert "(64, 96, 3)" in output
    assert "%" in output and any(name in output for name in ("road", "person", "unlabelled"))
