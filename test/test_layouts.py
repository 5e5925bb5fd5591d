"""The layouts of RViz and Foxglove: everything named, in order, of our topics, with fitting QoS."""

import json
import sys
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs" / "drawing"))

import layouts
import schematics

from uaafusion_ros.node.inputs import IMAGE_TOPICS
from uaafusion_ros.node.outputs import Output

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "config"
SHOWN = {
    "Infrared": f"/{IMAGE_TOPICS['infrared']}",
    "Visible": f"/{IMAGE_TOPICS['visible']}",
    **{
        name: output.topic.replace("~", "/uaafusion")
        for name, output in (
            ("Fused", Output.FUSED),
            ("Segmentation", Output.MASK_OVERLAY),
            ("Attribution", Output.ATTRIBUTION),
        )
    },
}
"""Names and topics in the order in which they are to be read."""


@pytest.fixture(scope="module")
def rviz():
    return yaml.safe_load((CONFIG / "fusion.rviz").read_text())


@pytest.fixture(scope="module")
def foxglove():
    return json.loads((CONFIG / "foxglove.json").read_text())


def test_rviz_shows_every_picture_by_name_in_order(rviz):
    displays = rviz["Visualization Manager"]["Displays"]
    shown = [(display["Name"], display["Topic"]["Value"]) for display in displays]
    assert shown == list(SHOWN.items())
    assert all(display["Enabled"] and display["Value"] for display in displays)


def test_rviz_asks_for_qos_that_cameras_of_any_kind_and_the_node_offer(rviz):
    for display in rviz["Visualization Manager"]["Displays"]:
        topic = display["Topic"]
        assert topic["Reliability Policy"] == "Best Effort", display["Name"]
        assert topic["Durability Policy"] == "Volatile", display["Name"]
        assert topic["History Policy"] == "Keep Last" and 1 <= topic["Depth"] <= 10


def test_rviz_opens_inputs_left_fused_in_the_middle_and_explanations_right(rviz):
    panels = dict(layouts.rviz_panels(CONFIG / "fusion.rviz"))
    assert list(panels) == ["Displays", *SHOWN]
    assert in_three_columns(panels)
    assert all(rviz["Window Geometry"][name] == {"collapsed": False} for name in SHOWN)


def in_three_columns(panels):
    """Places are x, y, width, height as parts of the window."""
    (left, top, *_), (below, lower, *_) = panels["Infrared"], panels["Visible"]
    fused, segmentation, attribution = (panels[n] for n in ("Fused", "Segmentation", "Attribution"))
    return (
        left == below < fused[0] < segmentation[0] == attribution[0]
        and top < lower
        and segmentation[1] < attribution[1]
        and fused[2] * fused[3] == max(w * h for _, _, w, h in panels.values())
    )


def test_foxglove_shows_the_same_and_the_diagnostics(foxglove):
    panels = foxglove["configById"]
    images = [panel for panel in panels.values() if "imageMode" in panel]
    shown = [(panel["foxglovePanelTitle"], panel["imageMode"]["imageTopic"]) for panel in images]
    assert shown == list(SHOWN.items())
    assert [p["topicToRender"] for p in panels.values() if "topicToRender" in p] == ["/diagnostics"]


def test_foxglove_opens_in_the_same_order(foxglove):
    placed = layouts.foxglove_panels(CONFIG / "foxglove.json")
    panels = {name: tuple(round(number, 6) for number in place) for name, place in placed}
    assert len(placed) == len(panels) == len(foxglove["configById"])
    assert in_three_columns(panels)


@pytest.mark.parametrize("draw", schematics.SCHEMATICS, ids=lambda draw: draw.__name__)
def test_the_schematics_in_the_documents_are_those_that_are_drawn_now(draw, tmp_path):
    drawn = tmp_path / "drawn.svg"
    draw().write(drawn)
    shown = ROOT / "docs" / "pictures" / f"{draw.__name__}.svg"
    assert drawn.read_text() == shown.read_text(), "make pictures"
