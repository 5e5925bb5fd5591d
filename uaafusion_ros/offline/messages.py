"""The node's messages, made for recordings: no ROS, but the same bytes."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from uaafusion_ros.bag_writer import offered_qos
from uaafusion_ros.bags import RAW, BagTopic, typestore
from uaafusion_ros.inference.render import OVERLAY_OPACITY
from uaafusion_ros.node.camera_info import fused_camera_info
from uaafusion_ros.node.outputs import CLASSES_TOPIC, OUTPUT_DEPTH, Output, Palette, picture
from uaafusion_ros.offline.frames import FusedPair
from uaafusion_ros.offline.stream import CAMERA_INFO

NODE = "/uaafusion"
"""The node's name, under which its topics stand."""

STRING = "std_msgs/msg/String"


def resolved(topic: str) -> str:
    """The full name of one of the node's topics."""
    return topic.replace("~", NODE, 1)


def output_topics() -> list[BagTopic]:
    """All that the node publishes of frames, with the QoS that it offers."""
    topics = [
        BagTopic(
            resolved(output.topic),
            CAMERA_INFO if output is Output.CAMERA_INFO else RAW,
            0,
            qos=(offered_qos(latched=False, depth=OUTPUT_DEPTH),),
        )
        for output in Output
    ]
    latched = (offered_qos(latched=True, depth=1),)
    return [*topics, BagTopic(resolved(CLASSES_TOPIC), STRING, 0, qos=latched)]


def output_messages(fused: FusedPair, palette: Palette) -> list[tuple[tuple[str, str], bytes]]:
    """Topic, by name and type, and serialised message of all outputs of a pair that was fused."""
    assert fused.result is not None and fused.visible is not None
    header = fused.pair.visible.message.header
    messages = []
    if fused.camera_info is not None:
        info = fused_camera_info(fused.camera_info, header, *fused.visible.shape[:2])
        messages.append(_packed(Output.CAMERA_INFO.topic, CAMERA_INFO, info))
    for output in Output:
        made = picture(output, fused.result, palette, OVERLAY_OPACITY)
        if made is not None:
            messages.append(_packed(output.topic, RAW, image(*made, header)))
    return messages


def classes_message(text: str) -> tuple[tuple[str, str], bytes]:
    """The latched list of the classes."""
    return _packed(CLASSES_TOPIC, STRING, typestore().types[STRING](text))


def image(array: np.ndarray, encoding: str, header: Any) -> Any:
    """An Image message with the pixels of ``array``; see `node.images.image_message`."""
    pixels = np.ascontiguousarray(array)
    return typestore().types[RAW](
        header=header,
        height=array.shape[0],
        width=array.shape[1],
        encoding=encoding,
        is_bigendian=int(sys.byteorder == "big" and array.dtype.itemsize > 1),
        step=pixels.nbytes // array.shape[0],
        data=pixels.view(np.uint8).ravel(),
    )


def _packed(topic: str, kind: str, message: Any) -> tuple[tuple[str, str], bytes]:
    return (resolved(topic), kind), bytes(typestore().serialize_cdr(message, kind))
