"""What of a fusion may be asked for. Free of PyTorch, for those who only name it."""

from __future__ import annotations

import enum


class Product(enum.Flag):
    """What somebody asks for; nothing else is computed. ARRAYS are the network's raw arrays."""

    FUSED = enum.auto()
    MASK = enum.auto()
    WEIGHT = enum.auto()
    ATTENTION = enum.auto()
    ARRAYS = enum.auto()
    ALL = FUSED | MASK | WEIGHT | ATTENTION
