"""The method's own promises: attribution steers, nothing idle is computed, any size works."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from uaafusion_ros.inference.models import shipped_models
from uaafusion_ros.network.attribution import (
    normalise_attention,
    per_class_contributions,
    region_areas,
    region_scores,
    smooth,
)
from uaafusion_ros.network.checkpoint import load_checkpoint
from uaafusion_ros.network.config import ConfigError, ModelConfig
from uaafusion_ros.network.exact import Frame
from uaafusion_ros.network.unfolding import Output, UAAFusion
from uaafusion_ros.scenes.street import StreetScene

SMALL = ModelConfig(
    encoder="efficientnet_lite0",
    decoder="pyramid",
    decoder_channels=16,
    output_stride=32,
    scores="softmax",
    stages=3,
    channels=8,
    unshuffle=2,
    attention="normalised",
    contributions="completeness",
    weight_temperature=0.15,
)


def build(config: ModelConfig) -> UAAFusion:
    torch.manual_seed(0)
    model = UAAFusion(config)
    # Through fresh batch norms hardly anything of the image arrives; with its statistics it does.
    for module in model.segmentation.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.segmentation.train()(torch.rand(4, 1, 64, 64))
    return model.prepare_for_inference()


def images(height: int, width: int, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.rand(batch, 1, height, width), torch.rand(batch, 1, height, width)


def street_pair() -> tuple[torch.Tensor, torch.Tensor]:
    frame = StreetScene(160, 224, "night", seed=5).frame(1.0)
    infrared = torch.from_numpy(frame.infrared).float()[None, None] / 255
    visible = torch.from_numpy(frame.visible).float().mean(-1)[None, None] / 255
    return infrared, visible


def fused_with(model: UAAFusion, attention: str, pair) -> torch.Tensor:
    model.config = replace(model.config, attention=attention)
    return model(*pair, Output.FUSED).fused_B1HW


@pytest.mark.parametrize("name", sorted(shipped_models()) or ["none"])
def test_attention_steers_our_weights_and_raw_attention_does_not(name: str) -> None:
    assert shipped_models(), "no model ships"
    model, _ = load_checkpoint(shipped_models()[name])
    model.prepare_for_inference()
    assert model.config.attention == "normalised"
    pair = street_pair()
    off = fused_with(model, "off", pair)
    steered = (fused_with(model, "normalised", pair) - off).abs()
    raw = (fused_with(model, "raw", pair) - off).abs()
    # One grey level is 1/255; float32 noise of this network is about 1e-6.
    assert steered.max() > 2 / 255
    assert steered.mean() > 1e-4
    assert raw.max() < 1e-4
    assert steered.mean() > 100 * raw.mean()


def smooth_segmentation() -> torch.nn.Module:
    """A network without kinks: integrated gradients converge on it as fast as theory says."""
    torch.manual_seed(2)
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 5, padding=2),
        torch.nn.Tanh(),
        torch.nn.Conv2d(8, 3, 3, padding=1),
        torch.nn.Softmax(dim=1),
    )
    torch.nn.init.normal_(layers[2].weight, std=0.5)
    return layers.requires_grad_(False).double()


def test_a_path_from_the_blurred_image_looks_from_the_first_stage_on() -> None:
    looking = {"attention_gain": "magnitude", "attention_start": "blurred"}
    model = build(replace(SMALL, unshuffle=1, **looking))
    infrared, visible = street_pair()
    gates = []
    original = model.stages[0].forward
    model.stages[0].forward = lambda fused, gate, memories: (
        gates.append(gate),
        original(fused, gate, memories),
    )[1]
    model(infrared, visible, Output.FUSED)
    average = ((infrared + visible) / 2).requires_grad_(True)
    scores = model.segmentation(average)
    (gradient,) = torch.autograd.grad((scores.detach() * scores).sum(), average)
    squares = torch.nn.functional.avg_pool2d(average.detach(), 8)
    blurred = torch.nn.functional.interpolate(squares, scale_factor=8, mode="bilinear")
    wanted = (gradient * (average.detach() - blurred)).abs()
    wanted = normalise_attention(wanted).sigmoid()
    found = gates[0]
    # The blur here is a narrower one: the maps agree in what matters, not to the digit.
    assert torch.corrcoef(torch.stack((found.flatten(), wanted.flatten())))[0, 1] > 0.7
    black = torch.zeros_like(infrared)
    model(black, black, Output.FUSED)
    assert (gates[1] == 0.5).all(), "where nothing is to be seen"


def test_completeness_equals_per_class_summed_over_the_whole_image() -> None:
    three = {"classes": ("none", "warm", "cold"), "palette": ((0, 0, 0),) * 3}
    model = build(replace(SMALL, weight_temperature=0.0, **three))
    model.segmentation = smooth_segmentation()
    infrared, visible = (image.double() for image in images(40, 48))
    labels = (torch.arange(40 * 48).reshape(1, 40, 48) // 500) % 3
    found = model.exact(Frame(model.segmentation, infrared, visible, labels)).contributions()
    areas = region_areas(labels, 3)
    for source, wanted in ((infrared, found.infrared_BC), (visible, found.visible_BC)):
        errors = []
        for steps in (8, 64):
            summed = per_class_contributions(
                model.segmentation, source, labels, steps=steps, classes=3, whole_image=True
            )
            errors.append(float((summed * areas - wanted).abs().max()))
        assert wanted.max() > 0.02
        assert errors[1] < 0.02 * float(wanted.max())
        assert errors[1] < errors[0] / 6, "the error of a right sum falls as 1/N"


def test_region_scores_are_means_over_each_class_region() -> None:
    scores = torch.rand(2, 3, 5, 7)
    labels = torch.randint(0, 2, (2, 5, 7))
    found = region_scores(scores, labels)
    for image in range(2):
        for label in range(2):
            wanted = scores[image, label][labels[image] == label].mean()
            torch.testing.assert_close(found[image, label], wanted)
    assert (found[:, 2] == 0).all()


def count_passes(model: UAAFusion, outputs: Output) -> tuple[int, int]:
    """Images through S forwards, and gradients taken of it."""
    forwards, backwards = 0, 0

    def on_forward(_module, inputs, result) -> None:
        nonlocal forwards, backwards
        forwards += len(inputs[0])
        if result.requires_grad:
            backwards += 1

    hook = model.segmentation.decoder.register_forward_hook(
        lambda module, inputs, result: on_forward(module, (inputs[0][0],), result)
    )
    model(*images(64, 64), outputs)
    hook.remove()
    return forwards, backwards


def test_nothing_is_computed_that_reaches_no_output() -> None:
    stages = 3
    model = build(replace(SMALL, stages=stages))
    model(*images(64, 64), Output.CONTRIBUTIONS)  # fills the cache of the black image
    # S(f_0), S(i) and S(v); then one gradient for each stage but the first, whose A_0 is 0.
    assert count_passes(model, Output.FUSED) == (3 + stages - 1, stages - 1)
    assert count_passes(model, Output.LABELS) == (1, 0)
    assert count_passes(model, Output.CONTRIBUTIONS) == (3, 0)
    with torch.no_grad():
        model.step_sizes.zero_()
    model.prepare_for_inference()
    assert count_passes(model, Output.FUSED) == (1 + stages - 1, stages - 1)
    model.config = replace(model.config, attention="off")
    assert count_passes(model, Output.FUSED) == (0, 0)
    assert model.stages[-1].memory is None
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in model.segmentation.modules())


@pytest.mark.parametrize("config", [SMALL, ModelConfig(stages=2, channels=4, decoder_channels=8)])
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 41)])
def test_any_size_from_32_up_works_in_batches(config: ModelConfig, size: tuple[int, int]) -> None:
    model = build(config)
    infrared, visible = images(*size, batch=2)
    both = model(infrared, visible)
    assert both.fused_B1HW.shape == infrared.shape
    assert both.scores_BCHW.shape == (2, 15, *size)
    for index in range(2):
        alone = model(infrared[index : index + 1], visible[index : index + 1])
        torch.testing.assert_close(
            both.fused_B1HW[index], alone.fused_B1HW[0], atol=1e-4, rtol=1e-3
        )
        torch.testing.assert_close(both.labels_BHW[index], alone.labels_BHW[0])


def test_training_reaches_every_weight_of_the_stages_but_not_through_the_attention() -> None:
    torch.manual_seed(0)
    model = UAAFusion(SMALL)
    model.segmentation.eval().requires_grad_(False)
    result = model(*images(32, 48), Output.FUSED)
    result.fused_B1HW.sum().backward()
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []


def test_mixed_precision_stays_near_float32() -> None:
    model = build(SMALL)
    pair = images(64, 64)
    exact = model(*pair, Output.FUSED).fused_B1HW
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(*pair, Output.FUSED).fused_B1HW.float()
    assert torch.isfinite(mixed).all()
    assert (mixed - exact).abs().mean() < 0.02


def test_unequal_and_small_images_are_refused_with_both_shapes() -> None:
    model = build(SMALL)
    with pytest.raises(ValueError, match=r"\[1, 1, 64, 64\].*\[1, 1, 64, 62\]"):
        model(torch.rand(1, 1, 64, 64), torch.rand(1, 1, 64, 62))
    with pytest.raises(ValueError, match="at least 32"):
        model(torch.rand(1, 1, 31, 64), torch.rand(1, 1, 31, 64))


def test_unknown_settings_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="encoder is 'resnet'"):
        ModelConfig(encoder="resnet")
    with pytest.raises(ConfigError, match="colour_space"):
        ModelConfig.from_dict({"colour_space": "lab"})


@pytest.mark.parametrize("width", [3, 21, 99])
def test_smoothing_averages_over_what_lies_inside_the_box(width: int) -> None:
    image = torch.rand(2, 1, 40, 53) * 1e-7  # A_k is that small
    expected = image
    for _ in range(2):
        expected = F.avg_pool2d(expected, width, 1, width // 2, count_include_pad=False)
    torch.testing.assert_close(smooth(image, width), expected, rtol=1e-4, atol=0)
