"""What the README says of topics and parameters is what the node has."""

from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from uaafusion_ros.node.inputs import CAMERA_INFO_TOPIC, IMAGE_TOPICS
from uaafusion_ros.node.model_swap import RELOAD_SERVICE
from uaafusion_ros.node.parameters import DECLARATIONS, REACTIVATE, RECONFIGURE, START
from uaafusion_ros.node.publishers import CLASSES_TOPIC, Output

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()
MARKS = {"": "", RECONFIGURE: " ¹", REACTIVATE: " ²", START: " ³"}


def row(declaration):
    """The line of a parameter in the README's table."""
    value = declaration.default
    if isinstance(value, tuple):
        value = "9 × 0.0"
    elif isinstance(value, bool):
        value = str(value).lower()
    elif value == "":
        value = '""'
    description = declaration.description.replace("<", "&lt;").replace(">", "&gt;")
    return f"| `{declaration.name}`{MARKS[declaration.fixed]} | `{value}` | {description} |"


def rows_after(heading):
    """The first cells of the tables in a section, without their quotes."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = (line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| `"))
    return [cell.split("`")[1] for cell in cells]


def test_every_parameter_stands_in_the_readme_with_its_default():
    assert [row(d) for d in DECLARATIONS if row(d) not in README.splitlines()] == []
    assert rows_after("Parameters") == [declaration.name for declaration in DECLARATIONS]


def test_every_service_stands_in_the_readme():
    assert rows_after("Services") == [RELOAD_SERVICE]


def test_every_topic_stands_in_the_readme():
    topics = {*IMAGE_TOPICS.values(), CAMERA_INFO_TOPIC, CLASSES_TOPIC, "/diagnostics"}
    assert set(rows_after("Topics")) == topics | {output.topic for output in Output}
