"""One thread that fuses pairs: a one-slot mailbox before it, the publishers behind it."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from rclpy.clock import Clock
from sensor_msgs.msg import CameraInfo

from uaafusion_ros.inference.errors import DeviceMemoryError, FrameError
from uaafusion_ros.inference.pipeline import FusionPipeline
from uaafusion_ros.inference.registration import Cameras
from uaafusion_ros.node.accounting import STREAMS, Accounting, FrameDrop
from uaafusion_ros.node.camera_info import CAMERA_INFO_TOPICS, camera_model
from uaafusion_ros.node.images import ImageError, is_constant
from uaafusion_ros.node.outputs import Output, needed_products
from uaafusion_ros.node.pairing import Pair
from uaafusion_ros.node.pairing_filter import Received
from uaafusion_ros.node.parameters import FrameSettings
from uaafusion_ros.node.publishers import FrameOrigin, Publishers
from uaafusion_ros.node.stillness import Stillness
from uaafusion_ros.stamps import SECOND

Decoders = Mapping[str, Callable[[Any], np.ndarray]]
"""For each stream, message -> array; raises `ImageError`."""


class FusionWorker:
    """Fuses the newest pair it has been offered; an older one that still waits is dropped.

    Args:
        decoders: how the messages of each stream become arrays.
        clock: the node's, to compare stamps with.
        warn: called with the kind of a warning and its text.
    """

    def __init__(
        self,
        pipeline: FusionPipeline,
        publishers: Publishers,
        accounting: Accounting,
        decoders: Decoders,
        settings: FrameSettings,
        clock: Clock,
        warn: Callable[[str, str], None],
    ) -> None:
        self._pipeline = pipeline
        self._publishers = publishers
        self._accounting = accounting
        self._decoders = decoders
        self._clock = clock
        self._warn = warn
        self._applied = self._settings = settings
        self._camera_infos: dict[str, CameraInfo] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._stillness = {stream: Stillness() for stream in STREAMS}
        self._forget = False
        self._mailbox: Pair[Received] | None = None
        self._successors: list[tuple[FusionPipeline, Callable[[], None]]] = []
        self._stopping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="fusion", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self, timeout: float | None) -> bool:
        """Drops what waits and lets the frame in work finish.

        Args:
            timeout: seconds to wait for it, None without limit.

        Returns:
            whether the thread has ended.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def offer(self, pair: Pair[Received]) -> None:
        """Puts a pair into the mailbox; returns at once."""
        with self._changed:
            loser, self._mailbox = self._mailbox, pair
            self._changed.notify()
        if loser is not None:
            self._accounting.drop_pair(FrameDrop.SUPERSEDED.value)

    def change(self, settings: FrameSettings) -> None:
        """Has ``settings`` used from the next frame on."""
        self._settings = settings

    def replace(self, pipeline: FusionPipeline, done: Callable[[], None]) -> None:
        """Has ``pipeline`` fuse from the next frame on; it goes on where the old one stops.

        Args:
            pipeline: warmed up; the worker's from now on.
            done: called on the worker's thread when it has taken over, even while stopping.
        """
        with self._changed:
            self._successors.append((pipeline, done))
            self._changed.notify()

    def forget(self) -> None:
        """Has the next frame start anew what is smoothed over time."""
        self._forget = True

    def set_camera_info(self, camera_info: CameraInfo, stream: str) -> None:
        """Takes over a camera's description."""
        self._camera_infos[stream] = camera_info

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._mailbox is not None or self._successors or self._stopping
                )
                pair, self._mailbox = self._mailbox, None
                successors, self._successors = self._successors, []
                stopping = self._stopping
            for pipeline, done in successors:
                self._hand_over(pipeline)
                done()
            if stopping:
                if pair is not None:
                    self._accounting.drop_pair(FrameDrop.STOPPED.value)
                return
            if pair is not None:
                self._handle(pair)

    def _hand_over(self, pipeline: FusionPipeline) -> None:
        pipeline.continue_from(self._pipeline)
        # No more is done to the old one than letting it go: collecting garbage, as its `close`
        # does, would stop all threads for longer than a frame may take.
        self._pipeline = pipeline
        self._publishers.describe(pipeline.classes, pipeline.palette)

    def _handle(self, pair: Pair[Received]) -> None:
        """Fuses and publishes one pair, or drops it with a reason; never raises."""
        try:
            requested = self._publishers.requested(camera_info="visible" in self._camera_infos)
            if not requested:
                self._accounting.drop_pair(FrameDrop.NOT_LISTENED.value)
                return
            started = time.perf_counter()
            model = self._fuse(pair, requested)
            beside = time.perf_counter() - started - model
        except ImageError as error:
            self._drop(FrameDrop.UNDECODABLE, str(error))
        except FrameError as error:
            self._drop(FrameDrop.REFUSED, str(error))
        except DeviceMemoryError as error:
            self._drop(FrameDrop.OUT_OF_MEMORY, str(error))
        except Exception as error:
            self._drop(
                FrameDrop.FAILED,
                f"{type(error).__name__}: {error}; please report it with the log",
                traceback.format_exc(),
            )
        else:
            self._accounting.published(
                since_receipt=time.monotonic() - max(pair.infrared.time, pair.visible.time),
                since_stamp=self._clock.now().nanoseconds / SECOND - pair.visible_stamp / SECOND,
                skew=pair.skew / SECOND,
                model=model,
                beside=beside,
            )

    def _fuse(self, pair: Pair[Received], requested: frozenset[Output]) -> float:
        """Returns the seconds that the model took."""
        self._apply_changes()
        infrared = self._decode("infrared", pair.infrared.message, pair.infrared_stamp)
        visible = self._decode("visible", pair.visible.message, pair.visible_stamp)
        products = needed_products(requested)
        if products and self._applied.pipeline.registration == "camera_info":
            self._pipeline.look_through(self._cameras(infrared=infrared, visible=visible))
        result = self._pipeline(infrared, visible, products) if products else None
        if (shrinkage := self._pipeline.shrinkage) is not None:
            self._warn("memory", f"fused at {shrinkage.side} pixels: {shrinkage.reason}")
        if misfit := self._pipeline.misfit:
            self._warn("compile_size", misfit)
        origin = FrameOrigin(
            header=pair.visible.message.header,
            height=visible.shape[0],
            width=visible.shape[1],
            camera_info=self._camera_infos.get("visible"),
        )
        self._publishers.publish(requested, result, origin, self._applied.overlay_opacity)
        return result.timings.get("network", 0.0) if result is not None else 0.0

    def _cameras(self, **images: np.ndarray) -> Cameras:
        infrared, visible = (
            camera_model(
                self._camera_infos.get(stream), CAMERA_INFO_TOPICS[stream], *image.shape[:2]
            )
            for stream, image in images.items()
        )
        return infrared, visible

    def _apply_changes(self) -> None:
        settings = self._settings
        if settings is not self._applied:
            self._pipeline.with_settings(settings.pipeline)
            self._applied = settings
        if self._forget:
            self._forget = False
            self._pipeline.reset()

    def _decode(self, stream: str, message: Any, stamp: int) -> np.ndarray:
        try:
            array = self._decoders[stream](message)
        except ImageError as error:
            raise ImageError(f"{stream} image: {error}") from error
        if is_constant(array):
            self._accounting.flat(stream)
            self._warn(
                f"{stream} flat",
                f"{stream} image is constant ({array[0, 0]}); check lens cap, shutter and exposure",
            )
        still_for = self._stillness[stream](array, stamp)
        if still_for is None:
            self._accounting.changed(stream)
        else:
            self._accounting.repeated(stream, still_for)
        before = self._shapes.get(stream, array.shape)
        self._shapes[stream] = array.shape
        if before != array.shape:
            self._warn(
                f"{stream} shape",
                f"{stream} images change from {before} to {array.shape} (height, width[, "
                "channels]); check that only one camera publishes this topic",
            )
        return array

    def _drop(self, reason: FrameDrop, error: str, details: str = "") -> None:
        self._accounting.drop_pair(reason.value, error)
        self._warn(reason.value, f"pair dropped ({reason.value}): {error}\n{details}".rstrip())
