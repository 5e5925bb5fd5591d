"""Fuses pairs of a recording, several at a time, and hands them back in their order.

What smooths over time, gain and stretch, follows the order of the frames; the network between them
does not remember frames, except in mode `fast`, and so runs on several at a time. A convolution
adds in an order that depends on its number of threads: each frame is computed by one thread, so
that the result is the same for any number of jobs and cores.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from uaafusion_ros.bags import DECODERS, BagImage
from uaafusion_ros.inference.backends import NetworkArrays
from uaafusion_ros.inference.errors import FrameError
from uaafusion_ros.inference.frames import FusionResult, PreparedFrame
from uaafusion_ros.inference.pipeline import FusionPipeline
from uaafusion_ros.inference.products import Product
from uaafusion_ros.node.accounting import FrameDrop
from uaafusion_ros.node.images import ImageError
from uaafusion_ros.node.pairing import Pair
from uaafusion_ros.offline.plan import FusionPlan


@dataclass
class FusedPair:
    """A pair on its way. ``result`` is None until it is ``done``, and where ``drop`` says why.

    camera_info: what the visible camera had said of itself by then, None for nothing.
    """

    pair: Pair[BagImage]
    camera_info: Any = None
    infrared: np.ndarray | None = None
    visible: np.ndarray | None = None
    result: FusionResult | None = None
    drop: str = ""
    error: str = ""
    done: bool = False

    @property
    def received(self) -> int:
        """When its later half was recorded, in nanoseconds."""
        return max(self.pair.infrared.received, self.pair.visible.received)


class OrderedFusion:
    """Fuses pairs of one recording.

    Args:
        products: what to compute of each pair.

    Raises:
        CheckpointError: the model cannot be used.
        SettingsError: the device or mode is none of this machine's or model's.
    """

    def __init__(self, plan: FusionPlan, products: Product) -> None:
        def load() -> FusionPipeline:
            return FusionPipeline.from_file(plan.model, device=plan.device, settings=plan.frames)

        self._products = products
        self._threads = torch.get_num_threads()
        self.pipeline = load()
        one = self.pipeline.remembers or self.pipeline.device != "cpu"
        self._jobs = 1 if one else plan.cores
        # Each has its own network: two threads in one would share what it keeps.
        self._free: queue.SimpleQueue[FusionPipeline] = queue.SimpleQueue()
        self._pipelines = [self.pipeline, *(load() for _ in range(self._jobs - 1))]
        for pipeline in self._pipelines:
            self._free.put(pipeline)
        self._pool = ThreadPoolExecutor(
            self._jobs, "fusion", initializer=torch.set_num_threads, initargs=(1,)
        )
        self._waiting: deque[tuple[FusedPair, PreparedFrame, Future[NetworkArrays]]] = deque()

    def add(self, pair: Pair[BagImage], camera_info: Any = None) -> FusedPair:
        """Begin with a pair; waits while enough others are in work."""
        fused = FusedPair(pair, camera_info)
        try:
            fused.infrared = _decode("infrared", pair.infrared)
            fused.visible = _decode("visible", pair.visible)
            if fused.visible.shape[:2] != self.pipeline.frame_size:
                self.finish()  # another camera: all smoothing starts anew
            frame = self.pipeline.prepare(fused.infrared, fused.visible)
        except ImageError as error:
            return _dropped(fused, FrameDrop.UNDECODABLE, error)
        except FrameError as error:
            return _dropped(fused, FrameDrop.REFUSED, error)
        self._waiting.append((fused, frame, self._pool.submit(self._compute, frame)))
        while len(self._waiting) > self._jobs + 1 or (self._waiting and self._waiting[0][2].done()):
            self._finish_oldest()
        return fused

    def restart(self) -> None:
        """Forget what is smoothed over time: stamps ran backwards."""
        self.finish()
        self.pipeline.reset()

    def finish(self) -> None:
        """Wait until every pair is done."""
        while self._waiting:
            self._finish_oldest()

    def close(self) -> None:
        """Release models and threads; what is not done yet never will be."""
        self._pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._threads)
        for pipeline in self._pipelines:
            pipeline.close()

    def _compute(self, frame: PreparedFrame) -> NetworkArrays:
        pipeline = self._free.get()
        try:
            return pipeline.compute(frame, self._products)
        finally:
            self._free.put(pipeline)

    def _finish_oldest(self) -> None:
        fused, frame, computed = self._waiting.popleft()
        fused.result = self.pipeline.finish(frame, computed.result(), self._products)
        fused.done = True


class InOrder:
    """A queue of messages and pairs that lets nothing out before what came before it."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()

    def put(self, item: Any) -> None:
        """Append a message, or a `FusedPair` that need not be done."""
        self._items.append(item)

    def ready(self) -> Iterator[Any]:
        """Yield what nothing undone stands before."""
        while self._items and getattr(self._items[0], "done", True):
            yield self._items.popleft()


def _decode(stream: str, image: BagImage) -> np.ndarray:
    try:
        return DECODERS[stream, image.type](image.message)
    except ImageError as error:
        raise ImageError(f"{stream} image: {error}") from error


def _dropped(fused: FusedPair, reason: FrameDrop, error: Exception) -> FusedPair:
    fused.drop, fused.error, fused.done = reason.value, str(error), True
    return fused
