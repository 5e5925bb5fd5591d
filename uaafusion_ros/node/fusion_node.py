"""The executable ``fusion_node``; the node itself stands in `fusion_lifecycle`."""

from __future__ import annotations

from collections.abc import Sequence

from uaafusion_ros.node.process import RunnableNode, Stop, run


def main(args: Sequence[str] | None = None) -> int:
    """Runs the node ``uaafusion`` until SIGINT or SIGTERM; returns the exit status."""

    def load():  # type: ignore[no-untyped-def]
        from uaafusion_ros.node.fusion_lifecycle import FusionNode

        def create(stop: Stop) -> RunnableNode:
            return FusionNode()

        return create

    return run(load, args)


if __name__ == "__main__":
    raise SystemExit(main())
