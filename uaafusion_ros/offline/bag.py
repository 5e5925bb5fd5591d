"""`uaafusion bag`: a recording with the fusion in it, as if the node had run and never hurried."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from uaafusion_ros import __version__
from uaafusion_ros.bag_salvage import RawMessage
from uaafusion_ros.bag_writer import SplitBag, read_custom_data, unfinished_only
from uaafusion_ros.bags import STORAGE_SUFFIXES
from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.inference.products import Product
from uaafusion_ros.node.outputs import classes_json
from uaafusion_ros.offline.frames import FusedPair
from uaafusion_ros.offline.interrupts import interrupts_call
from uaafusion_ros.offline.messages import classes_message, output_messages, output_topics
from uaafusion_ros.offline.plan import FusionPlan
from uaafusion_ros.offline.progress import watched
from uaafusion_ros.offline.resuming import (
    fingerprint,
    forget_state,
    has_state,
    load_state,
    save_state,
)
from uaafusion_ros.offline.stream import FusionStream

CUSTOM = "uaafusion"
"""Key of what we say of a recording in its metadata, as JSON."""


@dataclass(frozen=True)
class BagJob:
    """What to write where.

    only_outputs: leave the original topics out. resume: go on where an interrupted run stopped.
    """

    plan: FusionPlan
    out: Path
    only_outputs: bool = False
    resume: bool = False


def fuse_bag(job: BagJob, console: Console) -> dict[str, Any]:
    """Write the recording with our topics to ``job.out``.

    The same recordings give the same messages, for any number of jobs and interruptions. Ctrl-C
    ends the recording after the pairs in work; it is whole as far as it goes.

    Returns:
        what was found and fused, with ``complete`` false after Ctrl-C.

    Raises:
        BagError: a recording that cannot be read at all.
        SettingsError: topics that do not tell, a folder that is not empty, or nothing to go on
            from.
        CheckpointError: the model cannot be used.
        OSError: the recording cannot be written.
    """
    begun = _begun(job, console)
    if begun and begun["complete"]:
        console.print(f"{job.out} is complete already", markup=False, soft_wrap=True)
        return begun
    ours = {(topic.name, topic.type) for topic in output_topics()}
    stream = FusionStream(
        job.plan, Product.ALL, lambda key: not job.only_outputs and key not in ours
    )
    try:
        for name, _ in sorted(ours & stream.recordings.described.keys()):
            console.print(f"[yellow]{name} is in the recording already: replaced[/yellow]")
        own = fingerprint(job.plan, stream) | {"only_outputs": json.dumps(job.only_outputs)}
        state = None if begun is None else load_state(job.out, own)
        summary = _write(job, stream, state, console)
        if stream.complete:
            forget_state(job.out)
        else:
            save_state(job.out, own, stream.state())
    finally:
        stream.close()
    for text in stream.warnings():
        console.print(f"[yellow]{escape(text)}[/yellow]", soft_wrap=True)
    return summary


def _begun(job: BagJob, console: Console) -> dict[str, Any] | None:
    """What an earlier run has said of its recording, empty if nothing; None if there was none."""
    if job.out.suffix in STORAGE_SUFFIXES:
        raise SettingsError(f"{job.out} is named like a file; a recording is a folder")
    if not job.out.exists() or (job.out.is_dir() and not any(job.out.iterdir())):
        return None
    if not job.resume or not job.out.is_dir():
        raise SettingsError(f"{job.out} is not empty; give a new folder, or --resume")
    said = json.loads(read_custom_data(job.out).get(CUSTOM, "{}"))
    if said or has_state(job.out):
        return said
    if unfinished_only(job.out):
        console.print("the earlier run was killed before it could keep anything: beginning anew")
        return None
    raise SettingsError(
        f"{job.out} holds something else than an interrupted run; give a new folder"
    )


def _write(
    job: BagJob, stream: FusionStream, state: dict[str, Any] | None, console: Console
) -> dict[str, Any]:
    kept = stream.recordings.described.values()
    ours = {(topic.name, topic.type): topic for topic in output_topics()}
    topics = [*ours.values(), *(topic for topic in kept if (topic.name, topic.type) not in ours)]
    bag = SplitBag(job.out, topics, {})
    try:
        with interrupts_call(stream.stop):
            _write_items(bag, stream, state, console)
            summary = stream.summary() | {"version": __version__, "complete": stream.complete}
            bag.close({CUSTOM: json.dumps(summary, sort_keys=True)})
    except BaseException:
        bag.abandon()
        raise
    return summary


def _write_items(
    bag: SplitBag, stream: FusionStream, state: dict[str, Any] | None, console: Console
) -> None:
    pipeline = stream.fusion.pipeline
    latched = state is None
    for item in watched(stream.run(state), stream, console):
        if latched and (isinstance(item, RawMessage) or not item.drop):
            # First of all, so that whoever plays the recording knows the classes of every mask.
            topic, data = classes_message(classes_json(pipeline.classes, pipeline.palette))
            bag.write(topic, item.received, data)
            latched = False
        if isinstance(item, RawMessage):
            bag.write((item.topic, item.type), item.received, item.data)
        elif isinstance(item, FusedPair) and not item.drop:
            for topic, data in output_messages(item, pipeline.palette):
                bag.write(topic, item.received, data)
