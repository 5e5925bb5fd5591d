"""The executable ``web_viewer``; the node itself stands in `web_viewer_node`."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence

from uaafusion_ros.node.process import RunnableNode, Stop, run

NICENESS = 5
"""Where the processor is short, the page waits and the fusion does not."""


def main(args: Sequence[str] | None = None) -> int:
    """Runs the node ``web_viewer`` until SIGINT or SIGTERM; returns the exit status."""
    if importlib.util.find_spec("aiohttp") is None:
        print(
            "web_viewer needs aiohttp, not installed in this Python: apt install python3-aiohttp, "
            "or pip install 'uaafusion_ros[web]'",
            file=sys.stderr,
        )
        return 1
    os.nice(NICENESS)

    def load():  # type: ignore[no-untyped-def]
        from uaafusion_ros.node.web_viewer_node import WebViewer

        def create(stop: Stop) -> RunnableNode:
            return WebViewer(stop)

        return create

    return run(load, args)


if __name__ == "__main__":
    raise SystemExit(main())
