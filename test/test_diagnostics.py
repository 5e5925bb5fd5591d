"""Diagnostics name the cause and tell the operator what to do."""

from collections import Counter
from dataclasses import replace

import pytest

from uaafusion_ros.node.accounting import Accounting, Figures, FrameDrop, Latency
from uaafusion_ros.node.diagnostics import Connection, Level, Misses, Snapshot, diagnose

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


def changed(*, recent=None, silent=None, error=None, inputs=None, **fields):
    figures = HEALTHY.figures
    figures = replace(
        figures,
        recent=Counter({**figures.recent, **(recent or {})}),
        silent_for={**figures.silent_for, **(silent or {})},
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
            "only one publisher",
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
                misses=Misses(nearest=0.08, suggested_offset=-0.08),
            ),
            "pairing",
            Level.ERROR,
            "stamps are 80 ms apart but max_skew is 50 ms; "
            "raise max_skew, or set infrared_offset to -0.080",
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
