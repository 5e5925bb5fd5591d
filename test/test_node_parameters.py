"""What the shipped parameter file says of the node's parameters holds."""

import re
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy")

from uaafusion_ros.node.declarations import check_value
from uaafusion_ros.node.fusion_parameters import DECLARATIONS

FILE = Path(__file__).resolve().parents[1] / "config" / "fusion.yaml"


def test_the_shipped_file_shows_true_defaults():
    defaults = {declaration.name: declaration.default for declaration in DECLARATIONS}
    shown = re.findall(r"^    (?:# )?([a-z_.]+: +\S.*)$", FILE.read_text(), re.MULTILINE)
    assert len(shown) >= 10
    for line in shown:
        ((name, value),) = yaml.safe_load(line).items()
        default = defaults[name]
        assert value == (list(default) if isinstance(default, tuple) else default), name


def test_the_jetsons_file_sets_parameters_that_the_node_takes():
    declarations = {declaration.name: declaration for declaration in DECLARATIONS}
    values = yaml.safe_load(FILE.with_name("jetson.yaml").read_text())["/**"]["ros__parameters"]
    for name, value in values.items():
        check_value(declarations[name], value)


def test_every_parameter_is_described_and_has_a_range_or_choices_where_it_can():
    for declaration in DECLARATIONS:
        assert declaration.description and not declaration.description.endswith("."), declaration
        if type(declaration.default) in (int, float):
            low, high = declaration.limits
            assert low <= declaration.default <= high, declaration
        if declaration.choices:
            assert declaration.default in declaration.choices
