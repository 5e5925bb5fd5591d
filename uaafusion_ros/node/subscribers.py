"""Subscriptions as message_filters, where ROS provides them.

pip's ROS 2 wheels bring no message_filters; `SimpleFilter` and `Subscriber` then stand in for the
two classes of that name with the same interface.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rclpy.node import Node
from rclpy.qos import (
    QoSPolicyKind,
    QoSProfile,
    qos_policy_name_from_kind,
    qos_profile_sensor_data,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # ROS 2 Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks  # noqa: F401

if TYPE_CHECKING:
    HAVE_MESSAGE_FILTERS = False
else:
    try:
        # ROS 1's message_filters from PyPI or Debian imports rospy or lacks what we need.
        from message_filters import SimpleFilter, Subscriber

        HAVE_MESSAGE_FILTERS = True
    except ImportError:
        HAVE_MESSAGE_FILTERS = False

OVERRIDABLE = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)
"""QoS policies that parameters ``qos_overrides.TOPIC.…`` may change."""

DEPTH = 30
"""Messages of a topic that DDS keeps while the node is not scheduled: a second at 30 Hz.
With sensor data's usual 5, a busy machine loses images."""

if not HAVE_MESSAGE_FILTERS:

    class SimpleFilter:  # type: ignore[no-redef]
        """Something with output: calls registered callbacks with it."""

        def __init__(self) -> None:
            self._connections: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

        def registerCallback(self, callback: Callable[..., None], *args: Any) -> int:  # noqa: N802
            """Has ``callback`` called with every output, followed by ``args``."""
            self._connections.append((callback, args))
            return len(self._connections) - 1

        def signalMessage(self, *messages: Any) -> None:  # noqa: N802
            """Hands an output to all callbacks."""
            for callback, args in self._connections:
                callback(*messages, *args)

    class Subscriber(SimpleFilter):  # type: ignore[no-redef]
        """A subscription as the first filter of a chain."""

        def __init__(self, node: Node, *args: Any, **kwargs: Any) -> None:
            super().__init__()
            message_type, topic, *rest = args
            self.topic = topic
            self.sub = node.create_subscription(
                message_type, topic, self.signalMessage, *rest, **kwargs
            )


def subscribe(
    node: Node,
    message_type: type,
    topic: str,
    callback: Callable[[Any], None],
    on_incompatible_qos: Callable[[str], None] | None = None,
    on_lost: Callable[[int], None] | None = None,
) -> Subscriber:
    """Subscribes with sensor-data QoS of a greater depth; ``qos_overrides`` may change it.

    Args:
        on_incompatible_qos: called with the name of the policy in which a publisher differs.
        on_lost: called with the number of messages that the transport lost on their way.
    """

    def incompatible(event: Any) -> None:
        if on_incompatible_qos is not None:
            on_incompatible_qos(qos_policy_name_from_kind(event.last_policy_kind))

    def lost(event: Any) -> None:
        if on_lost is not None:
            on_lost(event.total_count_change)

    profile = qos_profile_sensor_data
    subscriber = Subscriber(
        node,
        message_type,
        topic,
        # A profile of its own: overrides are written into it.
        qos_profile=QoSProfile(
            history=profile.history,
            depth=DEPTH,
            reliability=profile.reliability,
            durability=profile.durability,
        ),
        qos_overriding_options=QoSOverridingOptions(OVERRIDABLE),
        event_callbacks=SubscriptionEventCallbacks(
            incompatible_qos=incompatible, message_lost=lost if on_lost is not None else None
        ),
    )
    subscriber.registerCallback(callback)
    return subscriber
