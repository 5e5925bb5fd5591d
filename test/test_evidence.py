"""Stages that keep detail where attention finds evidence, and smooth where it finds none."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.network.attribution import smooth
from uaafusion_ros.network.checkpoint import CheckpointInfo, save_checkpoint
from uaafusion_ros.network.config import ModelConfig
from uaafusion_ros.network.exact import Frame
from uaafusion_ros.network.unfolding import Output, UAAFusion
from uaafusion_ros.training.augmentation import PeoplePaster
from uaafusion_ros.training.datasets import Sample
from uaafusion_ros.training.evidence import Blinded, without_noise
from uaafusion_ros.training.fusion_phase import FusionPhase
from uaafusion_ros.training.losses import gradient_loss, imitation_loss
from uaafusion_ros.training.phase_settings import FusionSettings, LossSettings

CLASSES = ("unlabelled", "road", "person")
CONFIG = {
    "decoder": "pyramid",
    "decoder_channels": 8,
    "output_stride": 32,
    "stages": 1,
    "channels": 4,
    "residual": True,
    "attention": "normalised",
    "attention_gain": "magnitude",
    "attention_start": "blurred",
    "attention_smoothing": 5,
    "contributions": "completeness",
    "classes": CLASSES,
    "palette": ((0, 0, 0), (1, 1, 1), (2, 2, 2)),
}


def grain(seed: int, side: int = 48) -> np.ndarray:
    return np.random.default_rng(seed).integers(80, 176, (side, side)).astype(np.uint8)


def phase_of(model: UAAFusion, **settings) -> FusionPhase:
    imitation = 1.0 if settings.get("teacher") else 0.0
    losses = LossSettings(segmentation=0, imitation=imitation)
    return FusionPhase(
        "fusion",
        model,
        FusionSettings(patch_height=32, patch_width=32, losses=losses, **settings),
        counts=np.ones(3),
        paster=PeoplePaster(CLASSES),
        pasted=frozenset(),
    )


def test_a_source_is_smoothed_where_nothing_is_evident_and_nowhere_else() -> None:
    source = torch.from_numpy(grain(0))[None, None] / 255
    gate = torch.full_like(source, 0.5)
    gate[..., 24:] = 0.7
    gate[..., :24, :] = torch.where(gate[..., :24, :] < 0.6, 0.55, 0.7)
    calm = without_noise(source, gate, width=5, evidence=0.6)
    assert torch.equal(calm[..., 24:], source[..., 24:])
    half, none = calm[..., 4:20, 4:20].std(), calm[..., 28:44, 4:20].std()
    assert none < 0.25 * source.std() and 0.4 < half / source.std() < 0.7


def test_a_blinded_mode_finds_nothing_in_those_images_alone() -> None:
    torch.manual_seed(0)
    model = UAAFusion(ModelConfig.from_dict(CONFIG)).prepare_for_inference()
    pair = [torch.rand(2, 1, 48, 64) for _ in range(2)]
    gates = [
        mode(Frame(model.segmentation, *pair, None)).gate(pair[0])
        for mode in (model.exact, Blinded(model.exact, torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)))
    ]
    assert (gates[0] > 0.5).all()
    assert torch.equal(gates[1][0], gates[0][0]) and (gates[1][1] == 0.5).all()


def test_what_is_fused_blind_is_to_be_as_smooth_as_smoothed_sources() -> None:
    model = UAAFusion(ModelConfig.from_dict(CONFIG))
    phase = phase_of(model, noise_width=5, evidence=0.51, blind_share=1.0)
    pair = [torch.from_numpy(grain(seed))[None, None] / 255 for seed in (1, 2)]
    nothing = {"labels": torch.zeros(1, 48, 48, dtype=torch.long), "total": torch.ones(())}
    fused = model(*pair, Output.FUSED, mode=Blinded(model.exact, torch.ones(1, 1, 1, 1)))
    for blind in (0.0, 1.0):
        losses = phase.module(*pair, **nothing, share=1.0, blind=torch.full((1, 1, 1, 1), blind))
        sources = [smooth(source, 5) for source in pair] if blind else pair
        # Fresh stages hand the average on, whatever the gate; all of the grain is evident.
        torch.testing.assert_close(
            losses["gradient"],
            gradient_loss(fused.fused_B1HW, *sources, signed=True),
            rtol=1e-3,
            atol=0,
        )


def test_a_teachers_image_is_imitated_without_its_detail_where_nothing_is_evident(tmp_path) -> None:
    torch.manual_seed(1)
    config = ModelConfig.from_dict(CONFIG)
    teacher, file = UAAFusion(config), tmp_path / "teacher.safetensors"
    with torch.no_grad():
        for parameter in teacher.stages[0].parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    save_checkpoint(file, teacher, CheckpointInfo(config))
    model = UAAFusion(config)
    # Contributions are the student's own to say: those of one S are the same for both.
    model.segmentation.load_state_dict(teacher.segmentation.state_dict())
    phase = phase_of(model, noise_width=5, evidence=0.51, teacher=str(file))
    pair = [torch.from_numpy(grain(seed))[None, None] / 255 for seed in (1, 2)]
    nothing = {"labels": torch.zeros(1, 48, 48, dtype=torch.long), "total": torch.ones(())}
    blind = torch.ones(1, 1, 1, 1)
    losses = phase.module(*pair, **nothing, share=1.0, blind=blind)
    fused = model(*pair, Output.FUSED, mode=Blinded(model.exact, blind)).fused_B1HW
    taught = teacher.prepare_for_inference()(*pair, Output.FUSED).fused_B1HW
    assert not torch.allclose(fused, taught, atol=0.01)
    expected = imitation_loss(fused, smooth(taught, 5))
    torch.testing.assert_close(losses["imitation"], expected, rtol=1e-3, atol=0)


def test_what_is_fused_blind_teaches_no_segmentation() -> None:
    model = UAAFusion(ModelConfig.from_dict(CONFIG))
    sample = Sample(visible=grain(0), infrared=grain(1), labels=np.ones((48, 48), np.uint8))

    pairs = SimpleNamespace(name="pairs")
    for share, blind, label in ((1.0, 1, 0), (0.0, 0, 1)):
        phase = phase_of(model, noise_width=5, blind_share=share)
        arrays = phase.augment(pairs, sample, np.random.default_rng(0))
        assert arrays["blind"] == blind and (arrays["labels"] == label).all()
    assert "blind" not in phase_of(model).augment(pairs, sample, np.random.default_rng(0))


@pytest.mark.parametrize(
    "settings",
    [{"noise_width": 4}, {"evidence": 0.5}, {"blind_share": 1.5}, {"teacher": "uaafusion_edge"}],
    ids=str,
)
def test_settings_that_cannot_be_used_say_what_was_expected(settings) -> None:
    with pytest.raises(SettingsError, match="expected"):
        FusionSettings(**settings)
