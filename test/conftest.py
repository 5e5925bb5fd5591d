"""Fixtures that several test modules share."""

import torch
from ros_fixtures import client, ros, start, tiny_model

__all__ = ["client", "ros", "start", "tiny_model"]

# Several test processes share few cores; threads that wait for each other would only spin.
torch.set_num_threads(1)
