"""The fusion node on a device whose memory somebody else takes.

The file named by STARVED_LIMIT says for how many pixels the memory suffices. No GPU is needed: the
error is raised where the network would allocate.
"""

import os
import sys
from pathlib import Path

import torch

from uaafusion_ros.inference.backends import TorchBackend
from uaafusion_ros.node import fusion_node

LIMIT = Path(os.environ["STARVED_LIMIT"])
_run = TorchBackend.run


def starved(self, infrared, visible, outputs, chroma=None):
    if infrared.size > int(LIMIT.read_text()):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return _run(self, infrared, visible, outputs, chroma)


TorchBackend.run = starved
sys.exit(fusion_node.main())
