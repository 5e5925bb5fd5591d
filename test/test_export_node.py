"""An exported graph serves in the node, over real DDS, and takes turns with a checkpoint."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from ros_fixtures import night_pair
from sensor_msgs.msg import Image
from test_export import save_student
from test_reload import MASK, PARAMETERS, header, seconds, wait_until_connected

from uaafusion_ros.export.run import ExportJob, export_model
from uaafusion_ros.inference.pipeline import FusionPipeline
from uaafusion_ros.inference.products import Product
from uaafusion_ros.node.images import image_array, image_message

FALLBACK = "provider TensorRT is not in this onnxruntime"


def mask_of_next(client) -> np.ndarray:
    """Sends a pair; returns its mask."""
    head = header(next(seconds), "visible_camera")
    for stream, image, encoding in zip(
        ("infrared", "visible"), night_pair(), ("mono8", "bgr8"), strict=True
    ):
        client.publish(f"{stream}/image_raw", image_message(image, encoding, head))

    def masks():
        return [message for message in client.received[MASK] if message.header == head]

    (mask,) = client.wait_for(masks, f"the mask of {head.stamp.sec}")
    return image_array(mask)


def test_an_exported_file_serves_in_the_node_and_is_replaced_and_put_back(
    client, start, tmp_path
) -> None:
    checkpoint = save_student(tmp_path / "student.safetensors")
    graph = tmp_path / "street.onnx"
    export_model(ExportJob(str(checkpoint), graph, (96, 128)))
    expected = FusionPipeline.from_file(graph, device="cpu")(*night_pair(), Product.MASK).mask
    assert len(np.unique(expected)) > 1
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text(
        PARAMETERS.format(model=graph).replace("device: cpu", "providers: tensorrt")
    )
    start("fusion_node", "--params-file", str(parameters))
    client.wait_for(lambda: client.state() == "active", "the node to be active")
    client.subscribe(MASK, Image)
    try:
        wait_until_connected(client)
        np.testing.assert_array_equal(mask_of_next(client), expected)
        level, message, values = client.diagnostics()["node"]
        assert level == 1 and FALLBACK in message and values["device fallbacks"] == "1"
        assert values["device"].startswith("CPU (onnxruntime")
        assert values["model file"] == str(graph)

        for path, device in ((checkpoint, "cpu"), (graph, "CPU (onnxruntime")):
            assert client.set_parameter("model", str(path)) == ""
            client.wait_for(
                lambda device=device: client.diagnostics()["node"][2]["device"].startswith(device),
                f"{path.name} to serve",
            )
            # The checkpoint's own arithmetic may move a pixel that stands between two classes.
            assert (mask_of_next(client) == expected).mean() > 0.99
        (tmp_path / "bad.onnx").write_bytes(graph.read_bytes()[:1000])
        assert "not a whole ONNX file" in client.set_parameter("model", str(tmp_path / "bad.onnx"))
        np.testing.assert_array_equal(mask_of_next(client), expected)
    finally:
        client.unsubscribe(MASK)
