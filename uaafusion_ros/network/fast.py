"""Mode `fast`: the same network and equations, asked less often and at a lower resolution.

Between two frames of a camera hardly any region changes sides. So the C scalars a source that carry
the weights, and the maps where the stages look, are kept for some frames; they are renewed at once
when the scene changes. Regions are those of every frame itself: a kept scalar is painted where its
class is now.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uaafusion_ros.network.attribution import (
    Contributions,
    PathwayAttention,
    RegionShares,
    ScoresOfBlack,
    gate_of,
    region_areas,
    shares_from_scores,
)
from uaafusion_ros.network.exact import Frame, pathway_of
from uaafusion_ros.network.modes import THUMBNAIL, FastSettings

if TYPE_CHECKING:
    from uaafusion_ros.network.unfolding import UAAFusion

#: Takes S and a [B,1,H,W]; returns S(0) for it, [B,C,H,W].
BlackScorer = Callable[[nn.Module, Tensor], Tensor]


class Fast:
    """Remembers the attribution of one stream of frames."""

    def __init__(
        self, model: UAAFusion, settings: FastSettings, black: BlackScorer | None = None
    ) -> None:
        self._model, self._settings = model, settings
        self._black = black or ScoresOfBlack()
        self.reset()

    def reset(self) -> None:
        """See `Mode`."""
        self._age = 0
        self._size = torch.Size()
        self._thumbnail: Tensor | None = None
        self._kept = _Kept()

    def state(self) -> dict[str, Any]:
        """What it remembers, of plain values and tensors alone."""
        shares = self._kept.shares
        return {
            "age": self._age,
            "size": list(self._size),
            "thumbnail": self._thumbnail,
            "shares": None if shares is None else [shares.infrared, shares.visible, shares.share],
            "known": self._kept.known,
            "weights_are_due": self._kept.weights_are_due,
            "gates": self._kept.gates,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Remember what `state` told."""
        shares = state["shares"]
        self._age, self._size = state["age"], torch.Size(state["size"])
        self._thumbnail = state["thumbnail"]
        self._kept = _Kept(
            RegionShares(*shares) if shares else None,
            state["known"],
            state["weights_are_due"],
            state["gates"],
        )

    def __call__(self, frame: Frame) -> FastAttribution:
        """See `Mode`."""
        thumbnail = _thumbnail(frame.infrared, frame.visible)
        if self._is_new(frame.infrared.shape, thumbnail):
            self.reset()
            self._size = frame.infrared.shape
        # Weights and gates have their turns on different frames, so that none bears both.
        turn = self._age % self._settings.every
        self._age += 1
        if turn == 0:
            self._thumbnail = thumbnail
            self._kept.weights_are_due = True
        if turn == self._settings.every // 2:
            self._kept.gates = None
        return FastAttribution(self._model, self._settings, frame, self._kept, self._black)

    def kept(self, infrared_B1HW: Tensor, visible_B1HW: Tensor) -> RegionShares | None:
        """What the next frame would paint if it `knows` all its classes.

        Returns:
            None where the sources must be judged.
        """
        thumbnail = _thumbnail(infrared_B1HW, visible_B1HW)
        if self._age % self._settings.every == 0 or self._kept.weights_are_due:
            return None
        return None if self._is_new(infrared_B1HW.shape, thumbnail) else self._kept.shares

    def knows(self, labels_BHW: Tensor) -> bool:
        """Whether every class that has a region has been judged."""
        return self._kept.knows(region_areas(labels_BHW, len(self._model.config.classes)) > 0)

    def skip(self) -> None:
        """Count a frame that somebody has fused with what `kept` returned."""
        self._age += 1

    def _is_new(self, size: torch.Size, thumbnail: Tensor) -> bool:
        if self._thumbnail is None or self._size != size:
            return True
        difference = (thumbnail - self._thumbnail).abs().mean(dim=(1, 2, 3)).max()
        return bool(difference > self._settings.change)


@dataclass
class _Kept:
    """What earlier frames told.

    shares: of every class that has had a region. known: which these are, bool [B,C].
    gates: of stage 0, 1, …; the last one is that of all stages after it.
    """

    shares: RegionShares | None = None
    known: Tensor | None = None
    weights_are_due: bool = True
    gates: list[Tensor | None] | None = None

    def knows(self, present: Tensor) -> bool:
        """Whether all classes that are present, bool [B,C], have been judged."""
        return self.known is not None and not bool((present & ~self.known).any())


class FastAttribution:
    """See `Fast`."""

    def __init__(
        self,
        model: UAAFusion,
        settings: FastSettings,
        frame: Frame,
        kept: _Kept,
        black: BlackScorer,
    ) -> None:
        self._model, self._settings, self._frame = model, settings, frame
        self._kept, self._black = kept, black
        self._stage = 0
        self._pathway: PathwayAttention | None = None

    def contributions(self) -> Contributions:
        """See `Attribution`."""
        return self.shares().paint(self._frame.labels)

    def shares(self) -> RegionShares:
        """What `contributions` paints: kept, or judged anew where that is due."""
        labels, kept = self._frame.labels, self._kept
        present = region_areas(labels, len(self._model.config.classes)) > 0
        if (
            kept.weights_are_due
            or kept.shares is None
            # What enters the picture is judged at once.
            or not kept.knows(present)
        ):
            kept.shares = self._judge(labels, present)
            kept.known = present if kept.known is None else present | kept.known
            kept.weights_are_due = False
        return kept.shares

    def gate(self, fused_B1HW: Tensor) -> Tensor | None:
        """See `Attribution`."""
        form, kept = self._model.config.attention, self._kept
        if form == "off":
            return None
        if self._stage == 0 and kept.gates is None:
            kept.gates = []
            self._pathway = pathway_of(self._model, self._frame)
        assert kept.gates is not None
        taken = sum(gate is not None for gate in kept.gates)
        if self._pathway is not None and taken < self._settings.gradients:
            attention = self._pathway.update(fused_B1HW)
            kept.gates.append(None if attention is None else gate_of(attention, form))
        self._stage += 1
        return kept.gates[min(self._stage, len(kept.gates)) - 1]

    def _judge(self, labels: Tensor, present: Tensor) -> RegionShares:
        """Weigh by completeness, whatever form the model's own weights have."""
        scale, segmentation = self._settings.scale, self._model.segmentation
        sources = torch.cat((self._frame.infrared, self._frame.visible))
        with torch.no_grad():
            if scale > 1:
                sources = F.interpolate(sources, scale_factor=1 / scale, mode="area")
                size = sources.shape[-2:]
                labels = F.interpolate(labels[:, None].float(), size, mode="nearest")[:, 0].long()
            scores = segmentation(sources)
            batch = labels.shape[0]  # unlike len and chunk, an exported graph takes it as it comes
            black = self._black(segmentation, sources[:batch])
            temperature = self._model.config.weight_temperature
            shares = shares_from_scores(scores[:batch], scores[batch:], black, labels, temperature)
        earlier = self._kept.shares
        if earlier is None:
            return shares
        return RegionShares(
            torch.where(present, shares.infrared, earlier.infrared),
            torch.where(present, shares.visible, earlier.visible),
            torch.where(present, shares.share, earlier.share),
        )


def _thumbnail(infrared_B1HW: Tensor, visible_B1HW: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(torch.cat((infrared_B1HW, visible_B1HW), dim=1), THUMBNAIL)
