"""The node lives on when its model cannot be loaded, and goes through its states."""

import signal

import pytest

pytestmark = pytest.mark.live

pytest.importorskip("rclpy")


@pytest.fixture
def cut_off_model(tiny_model, tmp_path):
    path = tmp_path / "cut_off.safetensors"
    path.write_bytes(tiny_model.read_bytes()[:5000])
    return path


def test_a_bad_model_leaves_the_node_unconfigured_until_a_good_one_comes(
    client, start, tiny_model, cut_off_model
):
    node = start("fusion_node", "-p", f"model:={cut_off_model}", "-p", "diagnostics_period:=0.2")
    client.wait_for(lambda: "configure failed" in node.output(), "the failure")
    assert client.state() == "unconfigured"
    level, message, _ = client.diagnostics()["node"]
    assert level == 2 and "configure failed" in message and "cut_off.safetensors" in message

    missing = cut_off_model.with_name("missing.safetensors")
    assert client.set_parameter("model", str(missing)) == ""
    assert not client.change_state("configure")
    assert "missing.safetensors" in client.diagnostics()["node"][1]

    assert client.set_parameter("model", str(tiny_model)) == ""
    for transition, state in (
        ("configure", "inactive"),
        ("activate", "active"),
        ("deactivate", "inactive"),
        ("activate", "active"),
        ("deactivate", "inactive"),
        ("cleanup", "unconfigured"),
        ("configure", "inactive"),
    ):
        assert client.change_state(transition), transition
        assert client.state() == state
        level, message, _ = client.diagnostics()["node"]
        assert level == 0 and message.startswith(state)
    assert node.interrupt(signal.SIGTERM) == 0
    assert "Traceback" not in node.output()


def test_an_interrupt_while_the_node_starts_ends_it_quietly(start, client):
    node = start("fusion_node")
    client.wait_for(node.handles_signals, "the start of the process")
    client.spin(0.2)
    assert node.interrupt() == 0
    assert "Traceback" not in node.output()


def test_a_parameter_file_that_cannot_be_read_ends_the_start_with_a_sentence(start, tmp_path):
    file = tmp_path / "parameters.yaml"
    file.write_text("/uaafusion: {ros__parameters: {model: [}}")
    node = start("fusion_node", "--params-file", str(file))
    assert node.wait() == 1
    assert str(file) in node.output() and "Traceback" not in node.output()


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("max_skew:=-0.5", "max_skew is -0.5, expected 0.0 to 10.0"),
        ("max_wait:=soon", "max_wait is 'soon', expected a number"),
        ("homography:=[1.0, 2.0]", "expected 9 numbers"),
    ],
)
def test_an_impossible_parameter_ends_the_start_with_a_sentence(start, argument, said):
    node = start("fusion_node", "-p", argument, "-p", "autostart:=false")
    assert node.wait() == 1
    assert said in node.output()
    assert "Traceback" not in node.output()
