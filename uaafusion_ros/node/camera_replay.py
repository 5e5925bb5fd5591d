"""The executable ``camera_replay``; the node itself stands in `replay_node`."""

from __future__ import annotations

from collections.abc import Sequence

from uaafusion_ros.node.process import RunnableNode, Stop, run


def main(args: Sequence[str] | None = None) -> int:
    """Runs the node ``camera_replay`` until its last image or a signal; returns the exit status."""

    def load():  # type: ignore[no-untyped-def]
        from uaafusion_ros.node.replay_node import CameraReplay

        def create(stop: Stop) -> RunnableNode:
            return CameraReplay(stop)

        return create

    return run(load, args)


if __name__ == "__main__":
    raise SystemExit(main())
