"""Every parameter of the fusion node, declared once with description, range and default.

Defaults of the frame path come from `PipelineSettings`; the others stand in the table below and
nowhere else. ``config/fusion.yaml`` and the launch files only override.
"""

from __future__ import annotations

from uaafusion_ros.inference.providers import PROVIDERS, ProviderSettings
from uaafusion_ros.inference.render import OVERLAY_OPACITY
from uaafusion_ros.inference.settings import (
    GAIN_CONTROLS,
    REGISTRATIONS,
    STRETCHES,
    PipelineSettings,
)
from uaafusion_ros.network.modes import AUTO, MODES
from uaafusion_ros.node.clock_offset import LARGEST
from uaafusion_ros.node.declarations import START, Declaration
from uaafusion_ros.node.pairing import DEFAULT_MAX_SKEW

NO_HOMOGRAPHY = (0.0,) * 9
"""Stands for "no homography": ROS parameters have no None, and empty arrays have no type."""

_pipeline = PipelineSettings()
_providers = ProviderSettings()

RECONFIGURE = "takes effect on the next configure transition"
REACTIVATE = "takes effect on the next activate transition"

DECLARATIONS = (
    Declaration(
        "model",
        "",
        "Model file, or name of a shipped model; empty: uaafusion_edge",
    ),
    Declaration(
        "device", "auto", "Where the model runs: auto, cpu, cuda or cuda:N", fixed=RECONFIGURE
    ),
    Declaration(
        "precision",
        "float32",
        "Arithmetic of the model; the 16-bit ones are for GPUs",
        choices=("float32", "float16", "bfloat16"),
        fixed=RECONFIGURE,
    ),
    Declaration(
        "providers",
        _providers.name,
        "Where onnxruntime runs an exported .onnx model; auto: the first that is installed",
        choices=PROVIDERS,
        fixed=RECONFIGURE,
    ),
    Declaration(
        "engine_cache",
        _providers.engine_cache,
        "Folder in which TensorRT keeps its engines; empty: ~/.cache/uaafusion/tensorrt",
        fixed=RECONFIGURE,
    ),
    Declaration(
        "compile_size",
        "",
        "HEIGHTxWIDTH at work, as 480x640, for which PyTorch compiles realtime mode while the node "
        "configures, in about a minute; empty: not compiled",
        fixed=RECONFIGURE,
    ),
    Declaration(
        "mask_sizes",
        "",
        "Factors of its size at which the fused image is read for the mask, as 0.8,1.6; more cost "
        "more; empty: as the model says",
        fixed=RECONFIGURE,
        field="mask_sizes",
    ),
    Declaration(
        "mode",
        _pipeline.mode,
        "How attribution is computed; auto: realtime where the model has learned it, else exact",
        choices=(AUTO, *MODES),
        field="mode",
    ),
    Declaration(
        "fast.every",
        _pipeline.fast.every,
        "Modes fast and realtime: frames between two renewals of the attribution",
        limits=(1, 1000),
        field="fast.every",
    ),
    Declaration(
        "fast.change",
        _pipeline.fast.change,
        "Modes fast and realtime: difference of thumbnails, in 0..1, that renews it at once",
        limits=(0.0, 1.0),
        field="fast.change",
    ),
    Declaration(
        "fast.scale",
        _pipeline.fast.scale,
        "Modes fast and realtime: the sources are judged at this part; 1 whole, 2 half",
        limits=(1, 8),
        field="fast.scale",
    ),
    Declaration(
        "fast.gradients",
        _pipeline.fast.gradients,
        "Mode fast: stages whose gradient is taken; later ones look where the last of them did",
        limits=(1, 100),
        field="fast.gradients",
    ),
    Declaration("autostart", True, "Configure and activate the node when it starts", fixed=START),
    Declaration(
        "input_transport",
        "raw",
        "raw subscribes Image; compressed subscribes CompressedImage on <topic>/compressed",
        choices=("raw", "compressed"),
        fixed=REACTIVATE,
    ),
    Declaration(
        "max_skew",
        DEFAULT_MAX_SKEW,
        "Largest difference between the stamps of a pair, in seconds",
        limits=(0.0, 10.0),
    ),
    Declaration(
        "max_wait",
        0.1,
        "Longest time an image waits for a closer partner, in seconds",
        limits=(0.001, 10.0),
    ),
    Declaration(
        "infrared_offset",
        0.0,
        "Added to infrared stamps before pairing, in seconds; -0.08 for a clock 80 ms ahead",
        limits=(-LARGEST, LARGEST),
    ),
    Declaration(
        "queue_size",
        30,
        "Images of each stream that may wait for a partner",
        limits=(1, 1000),
    ),
    Declaration(
        "gain.control",
        _pipeline.gain_control,
        "Range of 16-bit and float infrared images: percentiles of the image, or fixed limits",
        choices=GAIN_CONTROLS,
        field="gain_control",
    ),
    Declaration(
        "gain.low_percentile",
        _pipeline.gain_low_percentile,
        "Percentile of the infrared image that becomes black",
        limits=(0.0, 100.0),
        field="gain_low_percentile",
    ),
    Declaration(
        "gain.high_percentile",
        _pipeline.gain_high_percentile,
        "Percentile of the infrared image that becomes white",
        limits=(0.0, 100.0),
        field="gain_high_percentile",
    ),
    Declaration(
        "gain.smoothing",
        _pipeline.gain_smoothing,
        "Smoothing of the gain over time: 0 takes each image alone, near 1 is slow",
        limits=(0.0, 0.999),
        field="gain_smoothing",
    ),
    Declaration(
        "gain.minimum",
        _pipeline.gain_minimum,
        "Black of the fixed range, in counts, or kelvin if gain.kelvin_per_count is set",
        limits=(-1e6, 1e6),
        field="gain_minimum",
    ),
    Declaration(
        "gain.maximum",
        _pipeline.gain_maximum,
        "White of the fixed range, in counts, or kelvin if gain.kelvin_per_count is set",
        limits=(-1e6, 1e6),
        field="gain_maximum",
    ),
    Declaration(
        "gain.kelvin_per_count",
        _pipeline.kelvin_per_count,
        "Kelvin a count of a radiometric camera, for example 0.01; 0: not radiometric",
        limits=(0.0, 10.0),
        field="kelvin_per_count",
    ),
    Declaration(
        "stretch.mode",
        _pipeline.stretch,
        "Stretch of the fused luminance to the full range",
        choices=STRETCHES,
        field="stretch",
    ),
    Declaration(
        "stretch.smoothing",
        _pipeline.stretch_smoothing,
        "Smoothing of the stretch over time: 0 takes each image alone and may flicker",
        limits=(0.0, 0.999),
        field="stretch_smoothing",
    ),
    Declaration(
        "max_side",
        _pipeline.max_side,
        "Longer side that the model sees, in pixels; 0: full resolution. Smaller is faster",
        limits=(0, 8192),
        field="max_side",
    ),
    Declaration(
        "registration",
        _pipeline.registration,
        "How infrared pixels find their place: homography, camera_info (both cameras' calibration "
        "and infrared_rotation), or none: the image is resized",
        choices=REGISTRATIONS,
        field="registration",
    ),
    Declaration(
        "homography",
        _pipeline.homography or NO_HOMOGRAPHY,
        "Infrared pixel to visible pixel, 9 numbers row by row; all 0: the image is resized",
        field="homography",
    ),
    Declaration(
        "infrared_rotation",
        _pipeline.infrared_rotation,
        "Of the infrared optical frame in the visible one: roll, pitch, yaw in radians",
        field="infrared_rotation",
    ),
    Declaration(
        "overlay_opacity",
        OVERLAY_OPACITY,
        "Opacity of the class colours in segmentation/overlay",
        limits=(0.0, 1.0),
    ),
    Declaration(
        "diagnostics_period",
        1.0,
        "Time between two diagnostics messages, in seconds",
        limits=(0.1, 60.0),
        fixed=START,
    ),
)
