"""One model with everything that an evaluation asks of it."""

from __future__ import annotations

import os
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor

from uaafusion_ros.inference.backends import TorchBackend
from uaafusion_ros.inference.frames import FusionResult
from uaafusion_ros.inference.models import find_model
from uaafusion_ros.inference.pipeline import FusionPipeline
from uaafusion_ros.inference.products import Product
from uaafusion_ros.inference.registration import resize, resize_labels, working_size
from uaafusion_ros.inference.render import signed_chroma
from uaafusion_ros.inference.settings import PipelineSettings
from uaafusion_ros.network.checkpoint import CheckpointInfo, load_checkpoint
from uaafusion_ros.network.modes import AUTO, resolve_mode
from uaafusion_ros.network.unfolding import Output, UAAFusion
from uaafusion_ros.training.faithfulness import Curves, deletion_and_insertion

#: Faithfulness takes over a hundred passes of the segmentation an image, so it looks at small ones.
FAITHFULNESS_SIDE = 320
#: Width of the blur that hides an image, as a share of its longer side.
_BLUR = 0.05
#: sigmoid(A) rounds to 0 or 1 at its ends, where A would be infinite.
_GATE_MARGIN = 1e-7

#: A path that begins at the average of the sources attributes what the stages made of it, so the
#: average is the reference that it is meant for; one that begins at the image blurred attributes
#: all that the image shows, and is asked what the blurred image hides.
REFERENCES = {
    "average": "the average of the sources",
    "blurred": "the fused image, blurred",
}
MAPS = ("attention", "gradient", "random")


class EvaluatedModel:
    """Fuses single images, segments any image, and measures its own attribution.

    name: of the checkpoint. file: its file's name. classes, palette: its own.
    """

    def __init__(
        self,
        model: UAAFusion,
        info: CheckpointInfo,
        *,
        file: str,
        device: str,
        max_side: int,
        mode: str = AUTO,
    ) -> None:
        settings = PipelineSettings(
            max_side=max_side, mode=mode, gain_smoothing=0.0, stretch_smoothing=0.0
        )
        self._backend = TorchBackend(model, device)
        self._pipeline = FusionPipeline(self._backend, info, settings)
        self._model = model
        self._max_side = max_side
        self._warm: set[tuple[int, ...]] = set()
        self.mode = resolve_mode(mode, info.config)
        # Only `fast` costs more for some frames than for others: one round has all of them.
        self._round = settings.fast.every if self.mode == "fast" else 1
        self._attribution = model.mode(self.mode, settings.fast)
        self.name, self.file = info.name or file, file
        self.classes, self.palette = info.config.classes, info.config.palette
        self.device = self._backend.device

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str] = "",
        *,
        device: str = "auto",
        max_side: int = 0,
        mode: str = AUTO,
        mask_sizes: tuple[float, ...] = (),
    ) -> EvaluatedModel:
        """Load a model by path or shipped name ("" is the default).

        Args:
            mask_sizes: at which masks are read; () is as the model says.

        Raises:
            CheckpointError: the file is missing, damaged or of another kind.
            SettingsError: a device that this machine does not have, a mode that the model does not
                have, or an impossible `max_side`.
        """
        found = find_model(os.fspath(path))
        model, info = load_checkpoint(found)
        if mask_sizes:
            model.read_masks_at(mask_sizes)
        return cls(model, info, file=found.name, device=device, max_side=max_side, mode=mode)

    def fuse(
        self,
        infrared: np.ndarray,
        visible: np.ndarray,
        products: Product = Product.ALL,
        *,
        colour: bool = False,
    ) -> FusionResult:
        """Fuse one pair as the command line does, but that `fused` is grey unless asked for.

        The first pair of a size runs twice: what a frame costs is not what the first one costs.
        Timings are means over the frames that differ in their price.
        """
        if visible.shape[:2] not in self._warm:
            self._pipeline(infrared, visible, products, colour=colour)
            self._warm.add(visible.shape[:2])
        self._pipeline.reset()
        result = self._pipeline(infrared, visible, products, colour=colour)
        others = [
            self._pipeline(infrared, visible, products, colour=colour).timings
            for _ in range(self._round - 1)
        ]
        for name in result.timings:
            result.timings[name] = float(
                np.mean([timings[name] for timings in (result.timings, *others)])
            )
        return result

    def segment(self, luminance: np.ndarray, chroma: np.ndarray | None = None) -> np.ndarray:
        """Return class ids uint8 [H,W] of a single image, read at the working size.

        Args:
            luminance: uint8 [H,W]. chroma: Cr and Cb, uint8 [H,W,2]; None is grey.
        """
        height, width = luminance.shape
        size = working_size(width, height, self._max_side)
        small, colours = resize(luminance, *size), None
        if chroma is not None:
            colours = torch.from_numpy(signed_chroma(resize(chroma, *size)))[None].to(self.device)
        with torch.no_grad():
            labels = self._model.segmentation.mask(self._tensor(small), colours)
        return resize_labels(labels[0].to(torch.uint8).cpu().numpy(), width, height)

    def mask_without_attention(self, infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """Class ids uint8 [H,W] of the pair fused by the same weights with the attention off."""
        config = self._model.config
        self._model.config = replace(config, attention="off")
        try:
            self._pipeline.reset()
            mask = self._pipeline(infrared, visible, Product.MASK).mask
        finally:
            self._model.config = config
            self._pipeline.reset()
        assert mask is not None
        return mask

    @property
    def reads_colour(self) -> bool:
        """Whether its masks are read with the visible image's colours."""
        return self._backend.reads_colour

    @property
    def has_attention(self) -> bool:
        """Whether the model has attention that could be switched off."""
        return self._model.config.attention != "off"

    def faithfulness(
        self, infrared: np.ndarray, visible: np.ndarray, *, seed: int
    ) -> dict[str, dict[str, Curves]]:
        """Measure the pathway attention against a plain gradient and a random map.

        The score is the mean, over all pixels, of the score of the class predicted on the whole
        fused image: the agreement that the attention attributes. Maps: the attention A; the
        magnitude of the score's gradient at the fused image; random numbers.

        Args:
            infrared, visible: luminance uint8 [H,W] of equal size.
            seed: of the random map.

        Returns:
            {reference of `REFERENCES`: {map of `MAPS`: curves}}; empty for a model whose attention
            is switched off.
        """
        if not self.has_attention:
            return {}
        height, width = infrared.shape
        side = min(FAITHFULNESS_SIDE, self._max_side or FAITHFULNESS_SIDE)
        size = working_size(width, height, side)
        sources = self._tensor(resize(infrared, *size)), self._tensor(resize(visible, *size))
        with torch.no_grad():
            self._attribution.reset()
            output = self._model(*sources, Output.FUSED | Output.ATTENTION, mode=self._attribution)
            assert output.fused_B1HW is not None and output.attention_B1HW is not None
            predicted = self._model.segmentation(output.fused_B1HW).argmax(dim=1, keepdim=True)
        image = _array(output.fused_B1HW)
        references = {
            "average": _array((sources[0] + sources[1]) / 2),
            "blurred": cv2.GaussianBlur(image, (0, 0), _BLUR * max(image.shape)),
        }
        maps = {
            "attention": _array(output.attention_B1HW.double().logit(eps=_GATE_MARGIN)),
            "gradient": np.abs(self._gradient(output.fused_B1HW, predicted)),
            "random": np.random.default_rng(seed).random(image.shape),
        }

        def score(images: np.ndarray) -> np.ndarray:
            batch = torch.from_numpy(images)[:, None].to(predicted.device)
            with torch.no_grad():
                return self._agreement(batch, predicted).cpu().numpy()

        return {
            reference: {
                name: deletion_and_insertion(score, image, replacement, maps[name]) for name in MAPS
            }
            for reference, replacement in references.items()
        }

    def close(self) -> None:
        """Release the model and its memory."""
        self._pipeline.close()

    def _gradient(self, fused_B1HW: Tensor, predicted_B1HW: Tensor) -> np.ndarray:
        with torch.enable_grad():
            point = fused_B1HW.clone().requires_grad_(True)
            (gradient,) = torch.autograd.grad(self._agreement(point, predicted_B1HW).sum(), point)
        return _array(gradient)

    def _agreement(self, images_B1HW: Tensor, predicted_B1HW: Tensor) -> Tensor:
        scores = self._model.segmentation(images_B1HW)
        own = scores.gather(1, predicted_B1HW.expand(len(images_B1HW), -1, -1, -1))
        return own.mean(dim=(1, 2, 3))

    def _tensor(self, image: np.ndarray) -> Tensor:
        scaled = torch.from_numpy(np.ascontiguousarray(image)).float() / 255
        return scaled[None, None].to(self.device)


def _array(image_B1HW: Tensor) -> np.ndarray:
    return image_B1HW[0, 0].cpu().numpy()
