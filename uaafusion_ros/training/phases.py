"""The phases of a run, in their order."""

from __future__ import annotations

from uaafusion_ros.network.unfolding import UAAFusion
from uaafusion_ros.training.distillation_phase import DistillationPhase
from uaafusion_ros.training.fusion_phase import FusionPhase
from uaafusion_ros.training.phase import Phase
from uaafusion_ros.training.segmentation_phase import SegmentationPhase
from uaafusion_ros.training.session import LabelStatistics
from uaafusion_ros.training.settings import TrainingSettings

PHASES = ("segmentation", "adaptation", "fusion", "joint", "distillation")
#: Segmentation has no network yet that could label, distillation has no use for labels.
LABELLING_PHASES = ("adaptation", "fusion", "joint")


def build_phase(
    name: str, model: UAAFusion, settings: TrainingSettings, statistics: LabelStatistics
) -> Phase:
    """Prepare the phase of that name to train `model` in place."""
    pasted = frozenset(key for key, value in settings.data.items() if value.paste_people)
    if name == "distillation":
        return DistillationPhase(
            name, model, settings.distillation, paster=statistics.paster, pasted=pasted
        )
    if name in ("fusion", "joint"):
        return FusionPhase(
            name,
            model,
            getattr(settings, name),
            counts=statistics.counts,
            paster=statistics.paster,
            pasted=pasted,
        )
    return SegmentationPhase(
        name,
        model.segmentation,
        getattr(settings, name),
        classes=model.config.classes,
        counts=statistics.counts,
        paster=statistics.paster,
        pasted=pasted,
    )


def mode_taught_by(name: str) -> str:
    """Return the mode that shows what the phase of that name has learned."""
    return "realtime" if name == "distillation" else "exact"
