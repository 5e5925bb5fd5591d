"""Diagnostics name the cause and tell the operator what to do."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from uaafusion_ros.node.accounting import Accounting, Figures, FrameDrop, Latency
from uaafusion_ros.node.diagnostics import Level, diagnose
from uaafusion_ros.node.snapshot import Connection, Misses, Snapshot
from uaafusion_ros.node.stillness import Stillness

HEALTHY = Snapshot(
    state="active",
    figures=Figures(
        total=Counter(
            {"received/infrared": 500, "received/visible": 500, "paired": 500, "published": 498}
            | {f"drop/{stream}/superseded": 2 for stream in ("infrared", "visible")}
        ),
        recent=Counter(
            {"received/infrared": 150, "received/visible": 150, "paired": 150, "published": 150}
        ),
        span=5.0,
        silent_for={"infrared": 0.03, "visible": 0.02},
        still_for={"infrared": 0.0, "visible": 0.0},
        last_error={},
        since_receipt=Latency(0.040, 0.090),
        since_stamp=Latency(0.060, 0.120),
        median_skew=0.003,
    ),
    model="tiny",
    device="cpu",
    active_for=60.0,
    inputs={
        "infrared": Connection("/flir/image", publishers=1),
        "visible": Connection("/camera/image", publishers=1),
    },
    max_skew=0.05,
    subscribers={"/uaafusion/fused/image": 1},
)


def changed(*, recent=None, silent=None, still=None, error=None, inputs=None, **fields):
    figures = HEALTHY.figures
    figures = replace(
        figures,
        recent=Counter({**figures.recent, **(recent or {})}),
        silent_for={**figures.silent_for, **(silent or {})},
        still_for={**figures.still_for, **(still or {})},
        last_error=error or {},
    )
    return replace(HEALTHY, figures=figures, inputs={**HEALTHY.inputs, **(inputs or {})}, **fields)


def status(snapshot, name):
    return next(status for status in diagnose(snapshot) if status.name == name)


def test_a_healthy_node_is_ok_and_shows_its_figures():
    statuses = diagnose(HEALTHY)
    assert {s.level for s in statuses} == {Level.OK}
    infrared = status(HEALTHY, "infrared input")
    assert infrared.message == "30.0 Hz on /flir/image"
    assert infrared.values["dropped: superseded"] == "2"
    assert infrared.values["pending"] == "0"
    output = status(HEALTHY, "output").values
    assert output["latency since receipt, median (ms)"] == "40.0"
    assert output["latency since stamp, worst (ms)"] == "120.0"
    assert status(HEALTHY, "pairing").values["skew median (ms)"] == "3.0"


@pytest.mark.parametrize(
    ("snapshot", "name", "level", "said"),
    [
        (changed(state="unconfigured"), "node", Level.OK, "configure and activate"),
        (
            changed(state="unconfigured", failure="configure failed: no such model"),
            "node",
            Level.ERROR,
            "configure failed: no such model",
        ),
        (
            changed(recent={"lost/infrared": 7}),
            "infrared input",
            Level.WARN,
            "7 images were lost before the node in the last 5 s; set the transport profile",
        ),
        (
            changed(unserved={"/uaafusion/fused/image": "DURABILITY"}),
            "output",
            Level.WARN,
            "set qos_overrides./uaafusion/fused/image.publisher.durability",
        ),
        (
            changed(shrinkage="fused at 320 pixels (CUDA out of memory)"),
            "output",
            Level.WARN,
            "cpu ran out of memory: fused at 320 pixels",
        ),
        (
            changed(recent={"drop/visible/out_of_memory": 3, "published": 0}),
            "output",
            Level.ERROR,
            "3 pairs could not be fused",
        ),
        (
            changed(silent={"infrared": 3.2}),
            "infrared input",
            Level.ERROR,
            "infrared topic /flir/image silent for 3 s",
        ),
        (
            changed(silent={"visible": None}, inputs={"visible": Connection("/camera/image")}),
            "visible input",
            Level.ERROR,
            "nobody publishes /camera/image; start the visible camera, or remap visible/image_raw",
        ),
        (
            changed(
                silent={"infrared": None},
                inputs={"infrared": Connection("/flir/image", 1, "RELIABILITY")},
            ),
            "infrared input",
            Level.ERROR,
            "set qos_overrides./flir/image.subscription.reliability",
        ),
        (
            changed(silent={"infrared": None}, active_for=1.0),
            "infrared input",
            Level.OK,
            "waiting for the first image",
        ),
        (
            changed(recent={"drop/visible/invalid_image": 4}, error={"visible": "step of 0 bytes"}),
            "visible input",
            Level.WARN,
            "4 of 150 images unusable in the last 5 s: step of 0 bytes",
        ),
        (
            changed(recent={"drop/visible/unset_stamp": 150}),
            "visible input",
            Level.ERROR,
            "fill header.stamp",
        ),
        (
            changed(recent={"drop/visible/duplicate_stamp": 3}),
            "visible input",
            Level.WARN,
            "3 images with the stamp of the one before in the last 5 s; the camera's driver sends "
            "the same image again, or more than one publisher serves /camera/image",
        ),
        (
            changed(recent={"drop/visible/out_of_order": 3}),
            "visible input",
            Level.WARN,
            "3 images with late stamps in the last 5 s; check that only one publisher",
        ),
        (
            changed(recent={"repeated/infrared": 120}, still={"infrared": 4.0}),
            "infrared input",
            Level.WARN,
            "the infrared image has been the same for 4 s although its stamps go on; the camera",
        ),
        (
            changed(recent={"repeated/infrared": 15}, still={"infrared": 0.5}),
            "infrared input",
            Level.OK,
            "of which 15 images in the last 5 s repeat the one before: a shutter",
        ),
        (
            changed(recent={"flat/infrared": 9}),
            "infrared input",
            Level.WARN,
            "check lens cap",
        ),
        (
            changed(
                recent={
                    "paired": 0,
                    "drop/infrared/unpaired": 150,
                    "drop/visible/unpaired": 150,
                },
                misses=Misses(nearest=0.08, ahead=0.08),
            ),
            "pairing",
            Level.ERROR,
            "stamps are 80 ms apart but max_skew is 50 ms; infrared stamps run 80 ms ahead, "
            "set infrared_offset: -0.080, or raise max_skew",
        ),
        (
            changed(
                recent={
                    "paired": 0,
                    "drop/infrared/unpaired": 150,
                    "drop/visible/unpaired": 150,
                },
                infrared_offset=1.0,
                misses=Misses(nearest=1.1, ahead=-3.2),
            ),
            "pairing",
            Level.ERROR,
            "infrared stamps run 3.2 s behind, set infrared_offset: 4.200",
        ),
        (
            changed(
                recent={"paired": 0, "drop/infrared/unpaired": 9, "drop/visible/unpaired": 9},
                misses=Misses(nearest=1.7e9, ahead=-1.7e9),
            ),
            "pairing",
            Level.ERROR,
            "infrared stamps run 472222 h behind, one of the cameras' clocks is not set",
        ),
        (
            changed(
                recent={"paired": 0, "drop/infrared/unpaired": 9, "drop/visible/unpaired": 9},
                misses=Misses(nearest=0.08),
            ),
            "pairing",
            Level.ERROR,
            "stamps are 80 ms apart but max_skew is 50 ms; raise max_skew, and check that both",
        ),
        (
            changed(misses=Misses(ahead=0.02)),
            "pairing",
            Level.OK,
            "30.0 pairs a second, median skew 3.0 ms; infrared stamps run 20 ms ahead, "
            "set infrared_offset: -0.020, if both cameras are triggered together",
        ),
        (
            # A thermal camera at 9 Hz beside a visible one at 30 Hz is as it should be.
            changed(recent={"paired": 45, "drop/visible/unpaired": 105}),
            "pairing",
            Level.OK,
            "9.0 pairs a second",
        ),
        (changed(recent={"resets": 1}), "pairing", Level.WARN, "stamps ran backwards"),
        (
            changed(recent={"published": 40, "drop/visible/superseded": 110}),
            "output",
            Level.WARN,
            "slower than the cameras: 110 of 150 pairs gave way to newer ones; lower max_side",
        ),
        (
            changed(
                recent={"published": 0, "drop/visible/refused": 150}, error={"output": "has NaN"}
            ),
            "output",
            Level.ERROR,
            "150 pairs could not be fused in the last 5 s: has NaN",
        ),
        (
            changed(subscribers={"/uaafusion/fused/image": 0}),
            "output",
            Level.OK,
            "nobody subscribes",
        ),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(snapshot, name, level, said):
    found = status(snapshot, name)
    assert said in found.message
    assert found.level == level


def test_a_node_that_is_not_active_reports_no_silent_topics():
    assert [s.name for s in diagnose(changed(state="inactive", silent={"visible": 99.0}))] == [
        "node"
    ]


def test_repeated_images_are_told_from_new_ones_and_from_a_loop():
    noise = np.random.default_rng(0).integers(7000, 7100, (3, 40, 50)).astype(np.uint16)
    still, second = Stillness(), 10**9
    assert still(noise[0], 1 * second) is None
    assert still(noise[1], 2 * second) is None
    assert still(noise[1].copy(), 3 * second) == 1.0
    assert still(noise[1].copy(), 4 * second) == 2.0
    one_pixel = noise[1].copy()
    one_pixel[39, 49] += 1
    assert still(one_pixel, 5 * second) is None
    assert still(one_pixel, 6 * second) == 1.0
    assert still(one_pixel, 2 * second) is None  # a bag of one image has looped
    assert still(noise[2], 7 * second) is None
    assert still(noise[2].astype(np.float32), 8 * second) is None


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_every_image_is_published_dropped_or_pending():
    accounting = Accounting(Clock())
    for _ in range(5):
        accounting.received("infrared")
        accounting.received("visible")
    accounting.drop("infrared", FrameDrop.INVALID_IMAGE.value, "bad step")
    accounting.drop_pair(FrameDrop.SUPERSEDED.value)
    accounting.published(since_receipt=0.1, since_stamp=0.2, skew=0.0)
    figures = accounting.figures()
    assert figures.pending("infrared") == 2
    assert figures.pending("visible") == 3
    assert figures.last_error["infrared"] == "bad step"
    assert "5 received = 1 published, 1 invalid_image, 1 superseded, 2 pending" in figures.summary()


def test_rates_cover_the_last_seconds_only():
    clock = Clock()
    accounting = Accounting(clock)
    for _ in range(100):
        accounting.received("visible")
    for _ in range(20):  # two a second, asked for its figures every half second
        clock.now += 0.5
        accounting.received("visible")
        figures = accounting.figures()
    assert figures.rate("received/visible") == pytest.approx(2.0, abs=0.25)
    assert figures.total["received/visible"] == 120
    clock.now += 4.0
    assert accounting.figures().silent_for == {"infrared": None, "visible": 4.0}


def test_latency_from_stamps_is_withheld_when_clocks_are_not_comparable():
    accounting = Accounting(Clock())
    accounting.published(since_receipt=0.1, since_stamp=1.7e9, skew=0.0)
    figures = accounting.figures()
    assert figures.since_stamp is None
    assert figures.since_receipt == Latency(0.1, 0.1)


def test_drops_of_successive_pairings_add_up():
    accounting = Accounting(Clock())
    accounting.absorb({("visible", FrameDrop.STOPPED): 3})
    accounting.absorb({("visible", FrameDrop.STOPPED): 5})
    accounting.forget_absorbed()
    accounting.absorb({("visible", FrameDrop.STOPPED): 2})
    assert accounting.figures().drops("visible") == {"stopped": 7}
