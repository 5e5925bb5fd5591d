"""Topics that the demo records, with their message types."""

_IMAGE, _INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"

INFRARED = "/infrared/image_raw"
VISIBLE = "/visible/image_raw"
FUSED = "/uaafusion/fused/image"
MASK = "/uaafusion/segmentation/mask"
MASK_OVERLAY = "/uaafusion/segmentation/overlay"
ATTRIBUTION = "/uaafusion/attribution/overlay"
CLASSES = "/uaafusion/segmentation/classes"

INPUTS = {
    INFRARED: _IMAGE,
    "/infrared/camera_info": _INFO,
    VISIBLE: _IMAGE,
    "/visible/camera_info": _INFO,
}
TOPICS = INPUTS | {
    FUSED: _IMAGE,
    "/uaafusion/fused/camera_info": _INFO,
    MASK: _IMAGE,
    MASK_OVERLAY: _IMAGE,
    CLASSES: "std_msgs/msg/String",
    ATTRIBUTION: _IMAGE,
    "/uaafusion/attribution/infrared_weight": _IMAGE,
    "/diagnostics": "diagnostic_msgs/msg/DiagnosticArray",
}
LATCHED_TOPICS = (*INPUTS, CLASSES)
"""Those whose publishers keep messages for subscribers that DDS introduces to them late."""
