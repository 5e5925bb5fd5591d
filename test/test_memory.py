"""A device without memory: free, shrink, one more try; else a sentence."""

import numpy as np
import pytest
import torch

from uaafusion_ros.inference.backends import NetworkArrays
from uaafusion_ros.inference.errors import DeviceMemoryError
from uaafusion_ros.inference.memory import FULL_SIZE_AFTER, MemoryGuard, out_of_memory
from uaafusion_ros.inference.pipeline import FusionPipeline, PipelineSettings
from uaafusion_ros.inference.products import Product
from uaafusion_ros.network.checkpoint import CheckpointInfo
from uaafusion_ros.network.config import ModelConfig


class StarvedBackend:
    """Has memory for so many pixels; the network is the infrared image itself."""

    device, size, notice, reads_colour = "cuda:0", None, "", False

    def __init__(self, pixels):
        self.pixels, self.asked, self.freed = pixels, [], 0

    def run(self, infrared, visible, outputs, chroma=None):
        self.asked.append(infrared.shape[::-1])
        if infrared.size > self.pixels:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return NetworkArrays(fused=infrared)

    def use(self, mode, fast):
        pass

    def reset(self):
        pass

    def free(self):
        self.freed += 1


def fuse(pipeline):
    infrared = np.random.default_rng(0).integers(0, 255, (128, 160), np.uint8)
    return pipeline(infrared, infrared, Product.FUSED)


def test_a_frame_without_memory_is_fused_at_half_its_size_from_then_on():
    backend = StarvedBackend(80 * 64)
    pipeline = FusionPipeline(backend, CheckpointInfo(ModelConfig()))
    assert fuse(pipeline).fused.shape == (128, 160, 3)
    assert fuse(pipeline).fused.shape == (128, 160, 3)
    assert backend.asked == [(160, 128), (80, 64), (80, 64)]
    assert backend.freed == 1
    assert pipeline.shrinkage.side == 80 and "2.00 GiB" in pipeline.shrinkage.reason
    backend.pixels = 10**6
    pipeline.with_settings(PipelineSettings())
    fuse(pipeline)
    assert backend.asked[-1] == (160, 128) and pipeline.shrinkage is None


def test_one_more_try_and_no_more():
    backend = StarvedBackend(10)
    pipeline = FusionPipeline(backend, CheckpointInfo(ModelConfig()))
    with pytest.raises(DeviceMemoryError, match=r"cuda:0 has no memory for a frame of 80x64"):
        fuse(pipeline)
    assert len(backend.asked) == 2
    backend.pixels = 40 * 32
    fuse(pipeline)
    assert backend.asked[-1] == (40, 32)


def test_the_full_size_is_tried_again_after_a_while():
    now = [0.0]
    guard = MemoryGuard(lambda: now[0])
    guard.shrink(640, "full")
    assert guard.max_side(0) == 320 and guard.max_side(200) == 200
    now[0] = FULL_SIZE_AFTER
    assert guard.max_side(0) == 0 and guard.shrinkage is None


def test_other_errors_are_none_of_memory():
    assert not out_of_memory(RuntimeError("shapes differ"))
    assert not out_of_memory(ValueError("out of memory"))
    assert out_of_memory(MemoryError())
    assert "ALLOC_FAILED" in out_of_memory(RuntimeError("CUDNN_STATUS_ALLOC_FAILED"))
