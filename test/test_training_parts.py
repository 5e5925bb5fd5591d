"""Pieces of the training that a whole run would not show to be wrong."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console
from torch.nn.functional import max_pool2d

from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.network.checkpoint import CheckpointInfo, save_checkpoint
from uaafusion_ros.network.config import ModelConfig
from uaafusion_ros.network.unfolding import Output, UAAFusion
from uaafusion_ros.training.augmentation import PeoplePaster
from uaafusion_ros.training.boxes import draw_objects, read_boxes, scores_without
from uaafusion_ros.training.datasets import Sample
from uaafusion_ros.training.distributed import Processes
from uaafusion_ros.training.errors import DatasetError
from uaafusion_ros.training.image_files import read_labels
from uaafusion_ros.training.kept_images import kept_image
from uaafusion_ros.training.losses import (
    checkerboard_loss,
    complement_loss,
    gradient_loss,
    overlap_loss,
    shadow_loss,
    similarity_loss,
    structural_similarity,
)
from uaafusion_ros.training.phase_settings import SegmentationSettings
from uaafusion_ros.training.pseudo_labels import (
    absent_above,
    knowledge_of,
    mean_scores,
    scores_below,
    write_pseudo_labels,
)
from uaafusion_ros.training.regions import read_regions
from uaafusion_ros.training.segmentation_phase import SegmentationPhase
from uaafusion_ros.training.session import open_datasets, starting_model
from uaafusion_ros.training.settings import DatasetSettings, TrainingSettings
from uaafusion_ros.training.starting import pass_images_through
from uaafusion_ros.training.watching import Watch

CLASSES = ("unlabelled", "road", "person")
PALETTE = ((0, 0, 0), (1, 1, 1), (2, 2, 2))
SMALL = {
    "decoder": "pyramid",
    "decoder_channels": 8,
    "output_stride": 32,
    "channels": 4,
    "classes": CLASSES,
    "palette": PALETTE,
}


def coco(folder: Path, annotations: list[dict], name: str = "person") -> Path:
    path = folder / "boxes.json"
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
        "categories": [{"id": 7, "name": name}],
        "annotations": [{"category_id": 7, "image_id": 1, **one} for one in annotations],
    }
    path.write_text(json.dumps(content))
    return path


def test_a_marked_person_is_cut_out_by_warmth_and_nothing_else_stays_one(tmp_path) -> None:
    infrared = np.full((60, 80), 60, np.uint8)
    infrared[20:50, 30:40] = 220  # warm, narrower than its box
    path = coco(tmp_path, [{"bbox": [25, 18, 20, 34]}, {"bbox": [60, 20, 10, 20], "iscrowd": 1}])
    objects = read_boxes(path, CLASSES)
    scores = np.zeros((3, 60, 80), np.float32)
    scores[1], scores[2] = 0.4, 0.6  # the network takes everything for a person

    left = scores_without(scores, objects, "a")
    assert left[2, 5, 5] == 0 and left[1, 5, 5] == 1
    assert left[2, 30, 35] == scores[2, 30, 35]  # inside its box it may be one
    labels = left.argmax(axis=0).astype(np.uint8)
    draw_objects(labels, infrared, objects.shapes["a"])

    assert (labels[20:50, 30:40] == 2).all()
    assert (labels[18:52, 25:29] != 2).all()
    assert (labels[20:40, 60:70] == 2).all()  # a crowd's stay as the network saw them
    assert (labels == 2).sum() == 30 * 10 + 20 * 10


def test_what_somebody_marked_wins_over_a_guess_and_doubted_guesses_are_left_out(tmp_path) -> None:
    marks = [
        {"bbox": [2, 3, 4, 5]},
        {"segmentation": [[20, 10, 30, 10, 30, 20, 20, 20]]},
    ]
    for kind in ("infrared", "visible"):
        (tmp_path / kind).mkdir()
        cv2.imwrite(str(tmp_path / kind / "a.png"), np.zeros((32, 48), np.uint8))
    settings = DatasetSettings(
        path=str(tmp_path), regions=str(coco(tmp_path, marks)), doubted=("road",)
    )
    (pairs,) = open_datasets({"pairs": settings}, CLASSES, cache=0)
    network = UAAFusion(ModelConfig(**SMALL)).segmentation.requires_grad_(False)
    network.classifier.weight.zero_()
    network.classifier.bias.copy_(torch.tensor([0.0, 9.0, 0.0]))  # everything is road to it

    write_pseudo_labels(
        network,
        pairs,
        tmp_path / "guessed",
        confidence=0.5,
        part=range(1),
        unreadable=lambda *reason: pytest.fail(str(reason)),
        knowledge=knowledge_of(settings, CLASSES),
    )

    labels = read_labels(kept_image(tmp_path / "guessed", 0))
    assert (labels[3:8, 2:6] == 2).all() and (labels[10:21, 20:31] == 2).all()
    assert (labels == 2).sum() == 4 * 5 + 11 * 11 and (labels == 1).sum() == 0


def test_pairs_to_measure_on_are_held_out_of_training(tmp_path) -> None:
    (tmp_path / "visible").mkdir()
    for stem in "abc":
        cv2.imwrite(str(tmp_path / "visible" / f"{stem}.png"), np.zeros((32, 48), np.uint8))
    held_out = DatasetSettings(path=str(tmp_path), held_out=str(coco(tmp_path, [])))
    (rest,) = open_datasets({"some": held_out}, CLASSES, cache=0)
    assert [Path(rest.load(index).name).stem for index in range(len(rest))] == ["c"]
    (tmp_path / "visible" / "c.png").unlink()
    with pytest.raises(DatasetError, match="holds out all images"):
        open_datasets({"some": held_out}, CLASSES, cache=0)


@pytest.mark.parametrize("polygon", [[1, 2, 3, 4], [1, 2, 3, 4, 5, 6, 7]])
def test_a_polygon_that_is_none_is_refused(tmp_path, polygon) -> None:
    with pytest.raises(DatasetError, match=r"boxes.json.*3 corners"):
        read_regions(coco(tmp_path, [{"segmentation": [polygon]}]), CLASSES)


def test_images_that_nobody_looked_at_keep_the_networks_labels(tmp_path) -> None:
    objects = read_boxes(coco(tmp_path, []), CLASSES)
    scores = np.full((3, 4, 4), 1 / 3, np.float32)
    assert scores_without(scores, objects, "c") is scores
    assert (scores_without(scores, objects, "b")[2] == 0).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not COCO"), ('{"images": []}', "categories"), (None, "boxes.json")],
)
def test_boxes_that_cannot_be_read_say_what_was_expected(tmp_path, content, message) -> None:
    path = tmp_path / "boxes.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DatasetError, match=message):
        read_boxes(path, CLASSES)


def test_boxes_of_unknown_classes_are_refused_with_those_there_are(tmp_path) -> None:
    with pytest.raises(DatasetError, match=r"giraffe.*unlabelled, road, person"):
        read_boxes(coco(tmp_path, [], name="giraffe"), CLASSES)


def test_an_edge_of_the_wrong_sign_costs_only_where_signs_count() -> None:
    edge = torch.zeros(1, 1, 32, 32)
    edge[..., 16:] = 1
    flat, inverted = torch.zeros_like(edge), 1 - edge
    assert gradient_loss(inverted, edge, flat) == 0
    assert gradient_loss(inverted, edge, flat, signed=True) > 0.1
    assert gradient_loss(edge, edge, flat, signed=True) == 0


def test_similarity_and_complement_reward_what_they_are_named_for() -> None:
    generator = torch.Generator().manual_seed(0)
    infrared, visible = (torch.rand(1, 1, 48, 48, generator=generator) for _ in range(2))
    assert structural_similarity(infrared, infrared).min() > 0.999
    average = (infrared + visible) / 2
    noise = torch.rand(1, 1, 48, 48, generator=generator)
    assert similarity_loss(average, infrared, visible) < similarity_loss(noise, infrared, visible)
    total = infrared + visible  # adds to each source exactly the other one
    assert complement_loss(total, infrared, visible) < 1e-3
    assert complement_loss(infrared, infrared, visible) > 0.4


def test_shadows_cost_only_where_a_camera_saw_something() -> None:
    infrared, visible = torch.full((1, 1, 4, 4), 0.2), torch.zeros(1, 1, 4, 4)
    visible[..., 2:] = 0.9
    average, black = (infrared + visible) / 2, torch.zeros(1, 1, 4, 4)
    assert shadow_loss(average, infrared, visible) == 0
    assert shadow_loss(black, infrared, visible) > 0.1
    assert shadow_loss(black, black, black) == 0


@pytest.mark.parametrize("along", ["x", "y", "both"])
def test_an_alternation_of_pixels_costs_only_where_neither_camera_shows_it(along: str) -> None:
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    step = {"x": x, "y": y, "both": x + y}[along]
    slope = (x + y)[None, None] / 100  # smooth, but not flat
    comb = slope + 0.05 * (1 - 2 * (step % 2))
    assert checkerboard_loss(slope, slope, slope) < 1e-4
    assert checkerboard_loss(comb, slope, slope).item() == pytest.approx(0.05, abs=0.002)
    assert checkerboard_loss(comb, comb, slope) < 1e-4  # a fence
    assert checkerboard_loss(slope, comb, slope) == 0


def test_overlap_weighs_every_class_of_an_image_alike_and_nothing_that_is_not_labelled() -> None:
    labels = torch.ones(1, 8, 8, dtype=torch.long)
    labels[0, 0, :4] = 2  # a sign of four pixels
    labels[0, 4:] = 0
    found = torch.full((1, 3, 8, 8), -20.0)
    found[:, 1] = 20.0  # everything is road, the unlabelled half as well
    assert overlap_loss(found, labels).item() == pytest.approx((1 / 8 + 1) / 2, abs=1e-4)
    found[0, 1, 0, :4], found[0, 2, 0, :4] = -20.0, 20.0
    assert overlap_loss(found, labels).item() == pytest.approx(0, abs=1e-4)
    both = torch.cat((found, -found)), torch.cat((labels, labels))
    parts = overlap_loss(found, labels) + overlap_loss(-found, labels)
    torch.testing.assert_close(overlap_loss(*both), parts / 2)
    assert overlap_loss(found, torch.zeros_like(labels)) == 0


def test_fresh_stages_begin_with_the_average_of_the_sources() -> None:
    torch.manual_seed(0)
    model = UAAFusion(ModelConfig.from_dict({**SMALL, "stages": 5, "channels": 16}))
    pass_images_through(model)
    generator = torch.Generator().manual_seed(1)
    infrared, visible = (torch.rand(1, 1, 48, 64, generator=generator) for _ in range(2))
    with torch.no_grad():
        fused = model.eval()(infrared, visible, Output.FUSED).fused_B1HW
    average = (infrared + visible) / 2
    in_order = fused.flatten()[average.flatten().argsort()]
    assert (in_order.diff() > -0.01).all()  # the sigmoids bend the scale, but mix nothing in
    assert (fused - average).abs().max() < 0.25


def test_a_model_starts_from_another_ones_segmentation_alone(tmp_path) -> None:
    torch.manual_seed(5)
    source = UAAFusion(ModelConfig.from_dict({**SMALL, "stages": 1}))
    path = tmp_path / "source.safetensors"
    save_checkpoint(path, source, CheckpointInfo(config=source.config))

    def settings(**model) -> TrainingSettings:
        street = DatasetSettings(kind="street", frames=1)
        return TrainingSettings(
            model={**SMALL, **model}, start_segmentation=str(path), data={"street": street}
        )

    model = starting_model(settings(stages=3))
    for name, value in source.segmentation.state_dict().items():
        assert torch.equal(model.segmentation.state_dict()[name], value), name
    with pytest.raises(SettingsError, match="start_segmentation"):
        starting_model(settings(stages=3, decoder_channels=16))


def segmentation_phase(settings: SegmentationSettings) -> SegmentationPhase:
    model = UAAFusion(ModelConfig.from_dict({**SMALL, "stages": 1}))
    return SegmentationPhase(
        "adaptation",
        model.segmentation,
        settings,
        classes=CLASSES,
        counts=np.ones(3),
        paster=PeoplePaster(CLASSES),
        pasted=frozenset(),
    )


@pytest.mark.parametrize(
    ("infrared_share", "visible_share", "expected"),
    [(1.0, 0.0, "infrared"), (0.0, 1.0, "visible"), (0.0, 0.0, "fused")],
)
def test_a_pair_is_seen_as_often_by_each_camera_as_asked(
    infrared_share, visible_share, expected
) -> None:
    settings = SegmentationSettings(
        patch_height=32, patch_width=32, infrared_share=infrared_share, visible_share=visible_share
    )
    phase = segmentation_phase(settings)
    ramp = np.broadcast_to(np.linspace(60, 200, 64).astype(np.uint8), (64, 64))
    # The infrared image varies downwards alone, the visible one to the right alone.
    sample = Sample(visible=ramp, infrared=ramp.T, labels=np.ones((64, 64), np.uint8))

    pairs = SimpleNamespace(name="pairs")
    rng = np.random.default_rng(0)
    seen = [phase.augment(pairs, sample, rng)["image"] for _ in range(20)]
    downwards, across = (
        np.mean([image.mean(axis=axis).std() for image in seen]) for axis in (1, 0)
    )
    ratio = downwards / across
    assert {"infrared": ratio > 3, "visible": ratio < 1 / 3, "fused": 0.5 < ratio < 2}[expected]
    with pytest.raises(SettingsError, match="more than 1"):
        SegmentationSettings(infrared_share=0.7, visible_share=0.4)


def test_what_a_model_has_fused_is_seen_as_often_as_asked_and_without_a_cameras_noise() -> None:
    stripes = np.tile(np.repeat(np.uint8([60, 200]), 8), (64, 4))
    dark = np.zeros_like(stripes)
    sample = Sample(visible=dark, infrared=dark, fused=stripes, labels=np.ones((64, 64), np.uint8))

    pairs = SimpleNamespace(name="pairs")
    for share in (0.0, 1.0):
        settings = SegmentationSettings(
            patch_height=32, patch_width=32, infrared_share=0, visible_share=0, fused_share=share
        )
        phase, rng = segmentation_phase(settings), np.random.default_rng(0)
        images = [phase.augment(pairs, sample, rng)["image"] for _ in range(10)]
        assert all((image.mean(axis=0).std() > 0.1) == share for image in images)
        assert not share or all(image.std(axis=0).max() < 5e-3 for image in images)


@pytest.mark.parametrize("models", [1, 2, 3])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_no_process_is_left_with_the_slow_one_of_several_models(models: int, world: int) -> None:
    processes = [Processes(rank, world, torch.device("cpu")) for rank in range(world)]
    parts = [one.part_of(24, together=models) for one in processes]
    assert sorted(index for part in parts for index in part) == list(range(24))
    for part in parts:
        turns = np.bincount([index % models for index in part], minlength=models)
        assert turns.max() - turns.min() <= 1, turns


@pytest.mark.parametrize("follows", [True, False])
def test_batch_norms_follow_the_data_only_if_asked(follows) -> None:
    phase = segmentation_phase(SegmentationSettings(batch_statistics=follows))
    norm = next(one for one in phase.module.modules() if isinstance(one, torch.nn.BatchNorm2d))
    before = norm.running_var.clone()
    phase.train()
    labels = torch.ones(2, 64, 64, dtype=torch.long)
    phase.module(torch.rand(2, 1, 64, 64), labels, torch.ones(()), 1.0)
    assert torch.equal(norm.running_var, before) != follows
    assert all(one.training for one in phase.module.modules() if type(one) is torch.nn.Dropout)


def test_where_a_class_has_no_place_pseudo_labels_choose_among_the_others() -> None:
    classes = ("unlabelled", "road", "building", "sidewalk")
    scores = np.tile(np.float32([0.1, 0.6, 0.2, 0.1])[:, None, None], (1, 10, 3))
    found = scores_below(scores, absent_above({"road": 0.4, "sidewalk": 0.6}, classes))
    assert (found[:, :4].argmax(axis=0) == 2).all() and (found[1, 4:] > 0.5).all()
    np.testing.assert_allclose(found.sum(axis=0), 1, rtol=1e-6)
    np.testing.assert_allclose(found[2, 0, 0], 2 / 3, rtol=1e-6, err_msg="confidence is of these")
    np.testing.assert_array_equal(found[:, 6:], scores[:, 6:])
    with pytest.raises(SettingsError, match="no class 'lane'; expected unlabelled, road"):
        absent_above({"lane": 0.4}, classes)


class SeesNothingNarrow(torch.nn.Module):
    """Class 1 is what is bright over at least nine pixels both ways."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, image_B1HW: torch.Tensor) -> torch.Tensor:
        inner = -max_pool2d(-image_B1HW, 9, stride=1, padding=4)
        bright = max_pool2d((inner > 0.5).float(), 9, stride=1, padding=4)
        return torch.cat((1 - bright, bright), dim=1)


def test_pairs_are_labelled_at_more_than_one_size() -> None:
    image = np.zeros((40, 60), np.uint8)
    image[10:18, 20:28] = image[10:30, 36:56] = 255
    network = SeesNothingNarrow()
    assert network(torch.from_numpy(image / 255.0)[None, None])[0, 1, 14, 24] == 0
    scores = mean_scores(network, image, image)  # type: ignore[arg-type]
    assert scores.shape == (2, 40, 60)
    np.testing.assert_allclose(scores.sum(axis=0), 1, rtol=1e-6)
    assert scores[1, 14, 24] > 0.3 and scores[1, 20, 46] > 0.99 and scores[1, 35, 5] < 0.01


def test_memory_that_a_step_has_freed_costs_the_next_one_nothing() -> None:
    script = """
import resource
import numpy as np
from uaafusion_ros.training.kept_memory import keep_freed_memory

assert keep_freed_memory()
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [np.ones(2**20) for _ in range(20)]
    del blocks
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    command = [sys.executable, "-c", script]
    faults = list(map(int, subprocess.run(command, capture_output=True, check=True).stdout.split()))
    assert faults[0] > 1000 and max(faults[1:]) < 100


def test_a_resumed_curve_outlives_a_new_loss_and_ends_where_the_state_does(tmp_path: Path) -> None:
    # An earlier version's file: it knew fewer losses, and was killed behind step 2 of fusion.
    rows = ["phase,step,total,data,learning_rate,seconds", "adaptation,9,2,,0.1,5"]
    rows += [f"fusion,{step},1,0.5,0.1,5" for step in (1, 2, 3)] + ["fusion,1,1,0.5"]
    (tmp_path / "losses.csv").write_text("\n".join(rows))
    Watch(tmp_path, Console(quiet=True), ["adaptation"], ("fusion", 2)).close()
    with (tmp_path / "losses.csv").open(newline="") as file:
        kept = [(row["phase"], row["step"], row["data"]) for row in csv.DictReader(file)]
    assert kept == [("adaptation", "9", ""), ("fusion", "1", "0.5"), ("fusion", "2", "0.5")]
