"""A recording's messages and what is fused of them, in one order that no number of jobs changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Any

from uaafusion_ros.bag_salvage import RawMessage
from uaafusion_ros.bag_topics import choose_topics
from uaafusion_ros.bags import deserialised_image, typestore
from uaafusion_ros.inference.products import Product
from uaafusion_ros.node.accounting import STREAMS
from uaafusion_ros.node.compressed_images import COMPRESSED_SUFFIX
from uaafusion_ros.offline.frames import FusedPair, InOrder, OrderedFusion
from uaafusion_ros.offline.pairs import RecordedPairs
from uaafusion_ros.offline.plan import FusionPlan
from uaafusion_ros.offline.recordings import Recordings

CAMERA_INFO = "sensor_msgs/msg/CameraInfo"


class FusionStream:
    """Reads recordings and fuses their pairs; never loses one.

    Args:
        products: what to compute of each pair.
        keep: topics, by name and type, whose messages come out beside the pairs.

    Attributes:
        topics: image topic of each stream.
        position: messages read so far.
        complete: whether the recordings have been read to their end.

    Raises:
        BagError: a recording that cannot be read at all.
        SettingsError: the names of the topics do not tell which to take.
        CheckpointError: the model cannot be used.
    """

    def __init__(
        self,
        plan: FusionPlan,
        products: Product,
        keep: Callable[[tuple[str, str]], bool] = lambda key: False,
    ) -> None:
        self.recordings = Recordings(plan.bags)
        chosen = choose_topics([self.recordings], plan.infrared, plan.visible)
        self.topics = dict(zip(STREAMS, chosen, strict=True))
        self._streams = {topic: stream for stream, topic in self.topics.items()}
        self._images = {
            (topic, self.recordings.topics[topic].type) for topic in self.topics.values()
        }
        self._info = camera_info_topic(self.topics["visible"]), CAMERA_INFO
        self._kept = {key for key in self.recordings.described if keep(key)}
        self.pairs = RecordedPairs(self._streams, plan.max_skew, plan.infrared_offset)
        self.fusion = OrderedFusion(plan, products)
        self.fused = 0
        self.dropped: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.position = 0
        self._camera_info: Any = None
        self._stopping = False
        self.complete = False

    @property
    def images(self) -> int:
        """How many images there are to read, as far as the recordings tell."""
        return sum(self.recordings.described[key].count for key in self._images)

    def stop(self) -> None:
        """End after what is in work."""
        self._stopping = True

    def state(self) -> dict[str, Any]:
        """What a later run needs to go on; only while nothing is in work."""
        return {
            "position": self.position,
            "fused": self.fused,
            "dropped": dict(self.dropped),
            "examples": self.examples,
            "pipeline": self.fusion.pipeline.state(),
        }

    def run(self, state: dict[str, Any] | None = None) -> Iterator[RawMessage | FusedPair]:
        """Yield the kept messages and the pairs, each after what was recorded before it.

        Args:
            state: of an earlier run that was stopped; what it has yielded is not again.
        """
        done = self._restore(state)
        queue = InOrder()
        keys = self._kept | self._images | ({self._info} & self.recordings.described.keys())
        for raw in self.recordings.messages(keys):
            if self._stopping and self.position >= done:
                break
            self._take(raw, keys, queue, again=self.position < done)
            self.position += 1
            yield from self._account(queue)
        else:
            for pair in self.pairs.flush():
                queue.put(self.fusion.add(pair, self._camera_info))
            self.complete = True
        self.fusion.finish()
        yield from self._account(queue)

    def close(self) -> None:
        """Release the models."""
        self.fusion.close()

    def summary(self) -> dict[str, Any]:
        """What was found and what became of it."""
        return {
            "topics": self.topics,
            "model": self.fusion.pipeline.model_name,
            **self.pairs.summary(),
            "fused": self.fused,
            "pairs_dropped": dict(sorted(self.dropped.items())),
            "damage": self.recordings.damage,
            "examples": self.pairs.examples | self.examples,
        }

    def warnings(self) -> list[str]:
        """What a person should know."""
        path, summary = self.recordings.path, self.summary()
        lines = [f"damaged: {text}" for text in summary["damage"]]
        lines += [f"{path}: {reason}: {text}" for reason, text in summary["examples"].items()]
        found, offset = summary["found"], summary["suggested_infrared_offset"]
        if 2 * summary["paired"] < min(found.values()):
            hint = f"; --infrared-offset {offset:.3f} would fit the stamps" if offset else ""
            lines.append(
                f"{path}: {summary['paired']} pairs of {found['infrared']} infrared and "
                f"{found['visible']} visible images{hint}"
            )
        if summary["resets"]:
            lines.append(f"{path}: stamps ran backwards {summary['resets']} times")
        return lines

    def _restore(self, state: dict[str, Any] | None) -> int:
        if state is None:
            return 0
        self.fused = state["fused"]
        self.dropped.update(state["dropped"])
        self.examples.update(state["examples"])
        self.fusion.pipeline.restore(state["pipeline"])
        return state["position"]

    def _take(
        self, raw: RawMessage, keys: Collection[tuple[str, str]], queue: InOrder, *, again: bool
    ) -> None:
        key = raw.topic, raw.type
        if key in self._kept and not again:
            queue.put(raw)
        if key == self._info:
            self._read_info(raw)
        if key not in self._images:
            return
        resets = self.pairs.resets
        for pair in self.pairs.add(deserialised_image(raw)):
            if not again:  # pairing begins anew, but not the work
                queue.put(self.fusion.add(pair, self._camera_info))
        if self.pairs.resets != resets and not again:
            self.fusion.restart()

    def _read_info(self, raw: RawMessage) -> None:
        try:
            self._camera_info = typestore().deserialize_cdr(raw.data, raw.type)
        except Exception as error:  # a corrupt message makes the parser fail in any way
            self.examples.setdefault("camera_info", f"{type(error).__name__}: {error}")

    def _account(self, queue: InOrder) -> Iterator[RawMessage | FusedPair]:
        for item in queue.ready():
            if isinstance(item, FusedPair):
                if item.drop:
                    self.dropped[item.drop] += 1
                    self.examples.setdefault(item.drop, item.error)
                else:
                    self.fused += 1
            yield item


def camera_info_topic(image_topic: str) -> str:
    """The topic that describes the camera of an image topic, by image_transport's rule."""
    return image_topic.removesuffix(COMPRESSED_SUFFIX).rpartition("/")[0] + "/camera_info"
