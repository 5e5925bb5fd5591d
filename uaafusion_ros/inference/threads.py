"""How the model's threads wait for each other; imports nothing, because it has to come first."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

WAIT_POLICY = "OMP_WAIT_POLICY"


def let_waiting_threads_sleep(environment: MutableMapping[str, str] | None = None) -> None:
    """Have OpenMP's threads sleep where they wait, in this process; before torch is imported.

    By default they spin. On cores that cameras, other nodes or a second model use as well, those
    that spin keep the one they wait for from its core, and a frame takes many times as long. A
    user's own setting stays.
    """
    target = os.environ if environment is None else environment
    target.setdefault(WAIT_POLICY, "PASSIVE")
