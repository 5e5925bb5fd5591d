"""Draws the schematics of docs/method.md: python docs/drawing/schematics.py docs/pictures"""

from __future__ import annotations

import sys
from pathlib import Path

from svg import INFRARED, NETWORK, PLAIN, RESULT, VISIBLE, WARNING, Drawing, stack

from uaafusion_ros.network.modes import FastSettings


def method() -> Drawing:
    """A pair on its way through the model."""
    drawing = Drawing(1000, 430, "From a pair of images to the fused one")
    drawing.box((20, 60, 130, 62), "infrared i", ["luminance 0..1"], INFRARED)
    drawing.box((20, 240, 130, 62), "visible v", ["luminance 0..1"], VISIBLE)
    drawing.box((210, 150, 140, 62), "f₀ = (i + v) / 2", [], PLAIN)
    drawing.arrow((150, 105), (180, 105), (180, 170), (210, 170))
    drawing.arrow((150, 257), (180, 257), (180, 192), (210, 192))
    drawing.frame((390, 20, 230, 300), "segmentation S judges")
    drawing.box((405, 45, 200, 66), "S(i)", ["what infrared shows"], NETWORK)
    drawing.box((405, 148, 200, 66), "S(f₀)", ["regions, and what to keep: M"], NETWORK)
    drawing.box((405, 238, 200, 66), "S(v)", ["what visible shows"], NETWORK)
    drawing.arrow((150, 78), (405, 78))
    drawing.arrow((350, 181), (405, 181))
    drawing.arrow((150, 280), (405, 280))
    drawing.box((660, 60, 150, 100), "weights", ["wᵢ + wᵥ = 1,", "one number a region"], WARNING)
    drawing.arrow((605, 78), (660, 92))
    drawing.arrow((605, 170), (632, 170), (632, 118), (660, 118))
    drawing.arrow((605, 262), (645, 262), (645, 142), (660, 142))
    drawing.box(
        (660, 195, 150, 125),
        "K stages",
        ["data step: wᵢ, wᵥ, αₖ", "proximal step:", "attention Aₖ, memory"],
        RESULT,
    )
    drawing.arrow((735, 160), (735, 195))
    drawing.arrow((605, 200), (632, 200), (632, 225), (660, 225))
    drawing.text(
        628, 340, "f₀, i, v and M enter the stages", size=12.5, colour="#57606a", anchor="end"
    )
    drawing.box((855, 225, 125, 66), "fused f_K", ["luminance"], RESULT)
    drawing.arrow((810, 258), (855, 258))
    drawing.box((855, 60, 125, 100), "attribution", ["weights tint,", "A_K brightens"], WARNING)
    drawing.arrow((810, 110), (855, 110))
    drawing.box((545, 355, 200, 58), "S(f_K)", ["the mask"], NETWORK)
    drawing.box((780, 355, 200, 58), "stretch, colour of v", ["fused image"], RESULT)
    drawing.arrow((917, 291), (917, 355))
    drawing.arrow((890, 291), (890, 332), (645, 332), (645, 355))
    return drawing


def stage() -> Drawing:
    """What happens in stage k."""
    drawing = Drawing(1000, 400, "One stage: data step, proximal step, memory")
    drawing.box((20, 60, 90, 60), "f", ["enters"], RESULT)
    drawing.box(
        (160, 45, 210, 90), "data step", ["f ← f − αₖ (f − (wᵢ·i + wᵥ·v))", "αₖ learned"], WARNING
    )
    drawing.arrow((110, 90), (160, 90))
    drawing.box(
        (160, 250, 210, 90),
        "attention Aₖ",
        ["what S minds along f₀ → … → f", "σ(Aₖ) in 0..1"],
        NETWORK,
    )
    drawing.arrow((65, 120), (65, 295), (160, 295))
    drawing.frame((410, 20, 570, 365), "proximal step: a small network with memory")
    drawing.box((430, 50, 110, 80), "features e", ["of f"], PLAIN)
    drawing.arrow((370, 90), (430, 90))
    drawing.box((590, 50, 130, 80), "long", ["from e, long, short"], PLAIN)
    drawing.arrow((540, 90), (590, 90))
    drawing.box((590, 180, 130, 90), "short", ["long +", "gated · σ(Aₖ)"], PLAIN)
    drawing.arrow((655, 130), (655, 180))
    drawing.arrow((370, 295), (560, 295), (560, 225), (590, 225))
    drawing.box(
        (785, 180, 175, 90), "f", ["σ(exit(short)), or", "a correction of its input"], RESULT
    )
    drawing.arrow((720, 225), (785, 225))
    drawing.box(
        (785, 50, 175, 80), "ConvLSTM", ["from e, long, short:", "long of the next stage"], PLAIN
    )
    drawing.arrow((720, 75), (785, 75))
    drawing.arrow((720, 195), (752, 195), (752, 108), (785, 108))
    drawing.arrow((872, 270), (872, 345), (960, 345))
    drawing.text(860, 350, "to stage k + 1", size=13, anchor="end")
    drawing.text(
        430, 350, "long and short begin as features of i and v", colour="#57606a", anchor="start"
    )
    return drawing


def modes() -> Drawing:
    """What the three modes compute of a frame."""
    fast = FastSettings()
    every = f"every {fast.every}th frame"
    assert fast.gradients == 1, "the drawing says that A₀ alone is computed"
    drawing = Drawing(1000, 410, "The three modes and what each leaves out")
    columns = {
        "exact": (
            "the model's own equations",
            (
                "S(f₀)",
                "S(i), S(v), whole size",
                "Aₖ: S forward and backward",
                "in every stage",
            ),
            ("every frame anew", "remembers nothing"),
            ("leaves out: nothing",),
        ),
        "fast": (
            "the same, asked less often",
            (
                "S(f₀)",
                f"{every}: S(i), S(v)",
                f"{every}: A₀ alone,",
                "which later stages use too",
            ),
            ("anew at once when the scene", "changes or a class comes in"),
            ("leaves out: renewal of weights", "and attention between frames"),
        ),
        "realtime": (
            "a learned head answers",
            (
                "S(f₀)",
                f"{every}: S(i), S(v)",
                "head: every Aₖ, at 1/8 size,",
                "from S(f₀), fₖ and fₖ − fₖ₋₁",
            ),
            ("no gradient at run time;", "runs as ONNX (TensorRT)"),
            ("leaves out: gradients, detail", "below 8 pixels; needs training"),
        ),
    }
    for index, (name, (claim, computed, manner, left_out)) in enumerate(columns.items()):
        x = 20 + index * 327
        colours = (RESULT, WARNING, NETWORK)[index]
        drawing.box((x, 20, 306, 62), name, [claim], colours, size=18)
        drawing.frame((x, 100, 306, 128), "attribution of a frame")
        stack(computed, drawing, x + 16, 143)
        drawing.frame((x, 240, 306, 72), "manner")
        stack(manner, drawing, x + 16, 280)
        drawing.frame((x, 324, 306, 70), "price")
        stack(left_out, drawing, x + 16, 362)
    return drawing


def frame() -> Drawing:
    """A frame on its way through the node."""
    drawing = Drawing(1000, 400, "From two subscriptions to the outputs")
    drawing.frame((15, 20, 520, 250), "executor thread: never infers")
    drawing.box((30, 60, 150, 64), "infrared", ["subscription, stamps"], INFRARED)
    drawing.box((30, 180, 150, 64), "visible", ["subscription, stamps"], VISIBLE)
    drawing.box((230, 105, 140, 96), "pairing", ["closest stamps,", "bounded wait"], PLAIN)
    drawing.arrow((180, 92), (205, 92), (205, 135), (230, 135))
    drawing.arrow((180, 212), (205, 212), (205, 170), (230, 170))
    drawing.box((410, 105, 110, 96), "mailbox", ["one slot,", "newest wins"], WARNING)
    drawing.arrow((370, 153), (410, 153))
    drawing.frame((555, 20, 430, 250), "worker thread")
    drawing.box((570, 50, 120, 90), "decode", ["gain control,", "registration"], PLAIN)
    drawing.box((710, 50, 120, 90), "network", ["mode of", "attribution"], NETWORK)
    drawing.box((850, 50, 120, 90), "render", ["what somebody", "subscribes to"], RESULT)
    drawing.arrow((520, 140), (545, 140), (545, 95), (570, 95))
    drawing.arrow((690, 95), (710, 95))
    drawing.arrow((830, 95), (850, 95))
    drawing.box((710, 180, 260, 64), "publish", ["with the visible stamp and frame_id"], RESULT)
    drawing.arrow((910, 140), (910, 180))
    drawing.frame(
        (15, 285, 970, 100), "/diagnostics: every image is published or counted with a reason"
    )
    for x, texts in (
        (30, ("invalid_image",)),
        (190, ("unset_stamp, duplicate_stamp,", "out_of_order, unpaired,", "reset, overflow")),
        (420, ("superseded,", "stopped")),
        (570, ("undecodable,", "refused")),
        (710, ("failed,", "out_of_memory")),
        (850, ("not_listened",)),
    ):
        stack(texts, drawing, x, 330, 19)
    return drawing


SCHEMATICS = (method, stage, modes, frame)

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for make in SCHEMATICS:
        make().write(folder / f"{make.__name__}.svg")
