"""The trainer: interrupted, divided, given bad input."""

import csv
import io
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console

from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.inference.models import find_model
from uaafusion_ros.network.checkpoint import (
    CheckpointError,
    CheckpointInfo,
    load_checkpoint,
    read_info,
    save_checkpoint,
)
from uaafusion_ros.network.config import FMB_CLASSES
from uaafusion_ros.network.unfolding import Output
from uaafusion_ros.training.datasets import open_dataset
from uaafusion_ros.training.distributed import Processes
from uaafusion_ros.training.errors import DatasetError, StateError, TrainingError
from uaafusion_ros.training.layers import prepare_layers, set_sample_seeds
from uaafusion_ros.training.optimisation import one_cycle
from uaafusion_ros.training.run import train
from uaafusion_ros.training.session import starting_model
from uaafusion_ros.training.settings import DatasetSettings
from uaafusion_ros.training.settings_file import read_settings
from uaafusion_ros.training.state import load_state, save_state

CONFIG = Path(__file__).parents[1] / "config"
TINY = CONFIG / "train_tiny.yaml"
MODEL = "uaafusion_tiny.safetensors"
PATCH = ("batch=2", "patch_height=32", "patch_width=48")
SMALL = [
    *("data.street=null", "validation.street_val=null"),
    *(f"{phase}.{value}" for phase in ("segmentation", "adaptation", "fusion", "joint")
      for value in PATCH),
    *("segmentation.steps=2", "adaptation.steps=0", "fusion.steps=8", "joint.steps=0"),
    *("average=0.9", "save_every=2", "picture_every=0"),
]  # fmt: skip


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("data"), 4)


def make_folder(root, count):
    rng = np.random.default_rng(0)
    for kind in ("infrared", "visible", "labels"):
        (root / kind).mkdir(parents=True)
        for index in range(count):
            limit = len(FMB_CLASSES) if kind == "labels" else 256
            image = rng.integers(0, limit, (40, 56), dtype=np.uint8)
            cv2.imwrite(str(root / kind / f"{index:03d}.png"), image)
    return root


def of(data):
    """The same pairs twice: with their labels, and to be pseudo-labelled."""
    return [f"data.own={{path: {data}}}", f"data.drive={{path: {data}, labels: false}}"]


@pytest.fixture
def console():
    return Console(record=True, width=400, file=io.StringIO())


def run(out, console, data, *overrides, resume=False):
    settings = read_settings(TINY, [*SMALL, *of(data), f"out={out}", *overrides])
    return train(settings, resume=resume, console=console)


def start(out, data, *overrides, launcher=()):
    # The interface lo: nothing leaves this machine.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = ["uaafusion_ros.cli", "train", "--config", str(TINY), *SMALL, *of(data), f"out={out}"]
    return subprocess.Popen(
        [sys.executable, "-m", *launcher, *(["-m"] if launcher else []), *command, *overrides],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def curve(out, columns=("phase", "step", "total", "learning_rate")):
    with (out / "losses.csv").open(newline="") as file:
        return [[row[name] for name in columns] for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data):
    out = tmp_path_factory.mktemp("finished")
    run(out, Console(file=io.StringIO()), data)
    return out


def test_a_run_killed_and_resumed_equals_an_uninterrupted_one(tmp_path, finished, console, data):
    process = start(tmp_path, data)
    deadline = time.monotonic() + 300
    while not any(row[:2] == ["fusion", "4"] for row in _rows(tmp_path)):
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    state = load_state(tmp_path / "state.pt")
    assert state["phase"] == "fusion" and 0 < state["step"] < 8

    run(tmp_path, console, data, resume=True)

    assert curve(tmp_path) == curve(finished)
    resumed, expected = (
        load_checkpoint(folder / MODEL)[0].state_dict() for folder in (tmp_path, finished)
    )
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)


def test_the_segmentation_learns_on_what_a_named_model_fuses(tmp_path, finished, console, data):
    """`fused_by`: with another model other steps follow, with none the views are absent."""
    steps = ("segmentation.steps=0", "fusion.steps=0", "joint.steps=0", "adaptation.steps=6")
    curves = []
    for name, models in (("without", "[]"), ("with", f"[{finished / MODEL}]")):
        run(tmp_path / name, console, data, *steps, f"data.drive.fused_by={models}")
        curves.append(curve(tmp_path / name))
    assert curves[0] != curves[1]
    views = sorted((tmp_path / "with/fused_views/adaptation/drive").iterdir())
    pairs = open_dataset("drive", DatasetSettings(path=str(data)), FMB_CLASSES)
    assert [view.name for view in views] == [f"{index}.png" for index in range(len(pairs))]
    model, _ = load_checkpoint(finished / MODEL)
    sample = pairs.load(1)
    pair = (torch.from_numpy(one)[None, None] / 255 for one in (sample.infrared, sample.visible))
    with torch.no_grad():
        wanted = model.prepare_for_inference()(*pair, Output.FUSED).fused_B1HW[0, 0].numpy() * 255
    view = cv2.imread(str(tmp_path / "with/fused_views/adaptation/drive/1.png"), 0)
    np.testing.assert_allclose(view, wanted, atol=0.6)


def _rows(out):
    return curve(out) if (out / "losses.csv").is_file() else []


def curves_of_two_processes_and_of_one(tmp_path, console, data, *steps):
    launcher = ["torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    process = start(tmp_path / "two", data, *steps, launcher=launcher)
    run(tmp_path / "one", console, data, *steps)
    assert process.wait(timeout=300) == 0, process.stderr.read()
    columns = ("total", "segmentation")
    return [np.array(_floats(curve(tmp_path / name, columns))) for name in ("two", "one")]


def test_two_processes_give_the_curve_of_one_with_the_doubled_batch(tmp_path, console, data):
    steps = [
        *("segmentation.steps=3", "fusion.steps=2", "joint.steps=2"),
        *("segmentation.batch=4", "fusion.batch=4", "joint.batch=4"),
    ]
    two, one = curves_of_two_processes_and_of_one(tmp_path, console, data, *steps)
    assert one.shape == (7, 2)
    np.testing.assert_allclose(two, one, rtol=1e-3)
    # Early losses hardly depend on the batch norms, so these are compared on their own.
    models = [load_checkpoint(tmp_path / name / MODEL)[0] for name in ("one", "two")]
    one, two = (model.segmentation.encoder.stem.norm.running_var for model in models)
    torch.testing.assert_close(two, one, rtol=1e-4, atol=0)


def test_the_head_learns_in_two_processes_as_in_one(tmp_path, console, data):
    """By itself: its target enlarges what the last digits of trained stages differ."""
    steps = [
        *("distill=true", "distillation.steps=3", "distillation.batch=4"),
        *("distillation.patch_height=32", "distillation.patch_width=48"),
    ]
    steps += [f"{phase}.steps=0" for phase in ("segmentation", "adaptation", "fusion", "joint")]
    two, one = curves_of_two_processes_and_of_one(tmp_path, console, data, *steps)
    assert one.shape == (3, 2)
    np.testing.assert_allclose(two, one, rtol=1e-3)


def test_dropout_depends_on_the_sample_and_not_on_its_place_in_a_batch():
    features, keys = torch.ones(4, 8, 5, 5), [(0, 3, index) for index in range(4)]
    layer = torch.nn.Sequential(torch.nn.Dropout(0.5))
    prepare_layers(layer, Processes(0, 1, torch.device("cpu")))
    set_sample_seeds(layer, keys)
    whole = layer(features)
    set_sample_seeds(layer, keys[2:])
    assert torch.equal(layer(features[2:]), whole[2:])
    assert not torch.equal(whole[2], whole[3])
    assert 0.3 < (whole == 0).float().mean() < 0.7


def test_a_batch_in_parts_gives_the_same_steps_as_a_whole_one(tmp_path, console, data):
    # Without batch norm's statistics, which see a part only.
    steps = ["segmentation.steps=0", "fusion.steps=3", "fusion.batch=4"]
    for parts in (1, 2):
        run(tmp_path / str(parts), console, data, *steps, f"accumulation={parts}")
    whole, parts = (np.array(_floats(curve(tmp_path / name, ("total",)))) for name in "12")
    np.testing.assert_allclose(parts, whole, rtol=1e-5)


def _floats(rows):
    return [[float(value or 0) for value in row] for row in rows]


def test_a_loss_that_is_not_finite_names_its_images_and_keeps_the_state(
    tmp_path, finished, console, data
):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    before = (tmp_path / "state.pt").read_bytes()
    with pytest.raises(
        TrainingError, match=r"not finite at step 2 of adaptation.*visible/00\d\.png"
    ):
        changes = ["adaptation.steps=3", "adaptation.learning_rate=1e30", "save_every=50"]
        run(tmp_path, console, data, *changes, resume=True)
    assert (tmp_path / "state.pt").read_bytes() == before


def test_a_full_disk_leaves_the_old_state_whole(tmp_path):
    path = tmp_path / "state.pt"
    save_state(path, {"step": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            save_state(path, {"step": 2, "weights": torch.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert load_state(path) == {"step": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.pt"]


def test_resuming_with_another_architecture_is_refused_with_what_differs(finished, console, data):
    with pytest.raises(StateError, match=r"stages is 2 there, 3 in the settings"):
        run(finished, console, data, "model.stages=3", resume=True)


def test_an_earlier_run_is_not_overwritten_by_accident(finished, console, data):
    with pytest.raises(SettingsError, match="--resume"):
        run(finished, console, data)


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-100])


def test_a_damaged_image_is_named_skipped_and_counted_until_there_are_too_many(tmp_path, console):
    data = tmp_path / "data"
    make_folder(data, 100)
    cut_off(data / "infrared" / "007.png")
    changes = ["segmentation.steps=0", "fusion.steps=1", "data.drive=null"]
    run(tmp_path / "one", console, data, *changes)
    assert f"{data}/infrared/007.png is cut off" in console.export_text(clear=False)
    assert "1 unreadable samples were skipped" in console.export_text()

    cv2.imwrite(str(data / "infrared" / "008.png"), np.zeros((41, 56), np.uint8))
    with pytest.raises(TrainingError, match=r"2 of 100 .*008\.png is 56x41 but .* 56x40"):
        run(tmp_path / "two", console, data, *changes)


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "visible").mkdir()
    with pytest.raises(DatasetError, match="holds no images"):
        open_dataset("own", DatasetSettings(path=str(tmp_path)), tuple(FMB_CLASSES))


def test_classes_are_mapped_by_name_and_what_is_ignored_is_said(tmp_path):
    for folder, image in (
        ("vi", np.zeros((32, 32), np.uint8)),
        ("ir", np.zeros((32, 32), np.uint8)),
        ("Segmentation_labels", np.arange(32, dtype=np.uint8)[:, None].repeat(32, axis=1)),
    ):
        (tmp_path / "train" / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "train" / folder / "a.png"), image)
    settings = DatasetSettings(kind="msrs", path=str(tmp_path))
    dataset = open_dataset("msrs", settings, tuple(FMB_CLASSES))
    labels = dataset.load(0).labels[:, 0]
    names = [list(FMB_CLASSES)[index] for index in labels[:5]]
    assert names == ["unlabelled", "car", "person", "bicycle", "unlabelled"]
    assert not labels[4:].any()
    said = " ".join(dataset.notes)
    assert "colour cone" in said and "ids [9, 10," in said

    with pytest.raises(SettingsError, match="the model has"):
        open_dataset("msrs", replace(settings, rename={"curve": "kerb"}), tuple(FMB_CLASSES))


def test_settings_of_a_data_set_that_nothing_asks_for_are_said(tmp_path) -> None:
    settings = DatasetSettings(kind="street", frames=1, regions="marks.json", held_out="held.json")
    (note,) = open_dataset("street", settings, tuple(FMB_CLASSES)).notes
    assert "regions (it has labels of its own)" in note and "held_out (it is rendered)" in note
    unlabelled = replace(settings, labels=False, held_out="")
    assert not open_dataset("street", unlabelled, tuple(FMB_CLASSES)).notes
    # Visible frames alone are not fused, but people are pasted into their imitated pairs.
    for kind in ("visible", "labels"):
        (tmp_path / kind).mkdir()
        cv2.imwrite(str(tmp_path / kind / "a.png"), np.zeros((32, 32), np.uint8))
    frames = DatasetSettings(path=str(tmp_path), paste_people=True, fused_by=("uaafusion_edge",))
    (note,) = open_dataset("frames", frames, tuple(FMB_CLASSES)).notes
    assert "fused_by (it has no infrared images)" in note and "paste_people" not in note


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("fusion.stepps=3", r"unknown setting fusion\.stepps; did you mean steps"),
        ("data.own.kindd=fmb", r"data\.own\.kindd; did you mean kind"),
        ("model.stage=3", r"model\.stage; did you mean stages"),
        ("fusion.steps=many", r"fusion\.steps is 'many', expected int"),
        (
            "segmentation.mix={strete: 1}",
            r"segmentation\.mix\.strete: no such data set; have drive, own",
        ),
        ("segmentation.mix={drive: 1}", r"segmentation\.mix\.drive: has no labels"),
        ("segmentation.batch=3", r"batch is 3.*expected a multiple of 2"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_is_meant(tmp_path, console, data, override, message):
    with pytest.raises(SettingsError, match=message):
        run(tmp_path, console, data, "segmentation.steps=1", "accumulation=2", override)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["fusion.mix={drve: 1}"], r"fusion\.mix\.drve: no such data set; did you mean drive\?"),
        (["fusion.teacher=nobody", "fusion.losses.imitation=1"], "'nobody' is neither a file"),
        (["adaptation.steps=1", "data.drive.fused_by=[nobody]"], "'nobody' is neither a file"),
        (["fusion.batch=3", "accumulation=2"], "batch is 3.*expected a multiple of 2"),
        (["name=a/b"], "name is 'a/b', expected that of a file"),
    ],
)
def test_what_a_later_phase_would_stop_at_is_told_before_the_first_one(
    tmp_path, console, data, overrides, message
):
    with pytest.raises((SettingsError, CheckpointError), match=message):
        run(tmp_path, console, data, *overrides)
    assert not (tmp_path / "losses.csv").exists()


def test_weights_that_are_not_finite_are_not_kept(tmp_path, console, data):
    changes = ["save_every=1", "fusion.learning_rate=.inf"]
    with pytest.raises(TrainingError, match="weights are not finite after step 1 of fusion"):
        run(tmp_path, console, data, *changes)
    kept = load_state(tmp_path / "state.pt")
    assert kept["finished"] == ["segmentation"]
    assert all(value.isfinite().all() for value in kept["model"].values())


def test_it_is_said_where_pairs_got_hardly_any_label_and_what_is_measured_on_training_data(
    tmp_path, console, data
):
    changes = ["segmentation.steps=0", "fusion.steps=1", "fusion.confidence=1"]
    run(tmp_path, console, data, *changes, f"validation.again={{path: {data}}}")
    said = console.export_text()
    assert "fusion: labelled 0.0% of the pixels of drive; the network is not sure" in said
    assert "validation.again is what data." in said


def test_the_shipped_recipes_are_valid_settings():
    for path in sorted(CONFIG.glob("train*.yaml")):
        settings = read_settings(path, ["fusion.learning_rate=1e-3"])
        assert settings.fusion.learning_rate == 1e-3
        assert settings.adaptation.seed == 1, "phases keep defaults of their own"


def test_every_part_of_our_recipe_can_begin_where_those_before_it_ended(tmp_path, monkeypatch):
    text = (CONFIG.parent / "docs" / "retraining.md").read_text()
    parts = re.findall(
        r"^uaafusion train --config config/(\w+\.yaml)", text.split("## Our own recipe")[1], re.M
    )
    assert len(parts) > 10
    monkeypatch.chdir(tmp_path)
    for part in parts:
        settings = read_settings(CONFIG / part, [])
        named = [each.teacher for each in (settings.fusion, settings.joint) if each.teacher]
        for name in (*named, *(name for data in settings.data.values() for name in data.fused_by)):
            find_model(name)
        model = starting_model(settings)
        Path(settings.out).mkdir(parents=True)
        info = CheckpointInfo(model.config, name=settings.name)
        save_checkpoint(Path(settings.out) / f"{settings.name}.safetensors", model, info)
    for ours in ("train_sizes/uaafusion_base", "train_edge_sizes/uaafusion_edge"):
        shipped = read_info(find_model(Path(ours).name))
        assert read_info(f"out/{ours}.safetensors").config == shipped.config


def test_the_learning_rate_is_the_one_cycle_policy():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.Adam([parameter], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.0, total_steps=50, pct_start=0.1)
    for step in range(50):
        group = optimiser.param_groups[0]
        assert one_cycle(step, 50, 0.1) == pytest.approx((group["lr"], group["betas"][0]))
        optimiser.step()
        if step < 49:
            schedule.step()
