"""How well the segmentation network reads the visible images of data kept aside for that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from uaafusion_ros.network.segmentation import SegmentationNetwork
from uaafusion_ros.training.datasets import Dataset
from uaafusion_ros.training.segmentation_metrics import Confusion
from uaafusion_ros.training.segmentation_phase import label_image


def measure_masks(
    network: SegmentationNetwork,
    datasets: Iterable[Dataset],
    classes: Sequence[str],
    say: Callable[[str], None],
) -> dict[str, float]:
    """Return the mean IoU of every data set with labels, by the name of the figure, and say it."""
    metrics = {}
    for dataset in datasets:
        if not dataset.has_labels:
            continue
        confusion = Confusion(len(classes))
        for index in range(len(dataset)):
            sample = dataset.load(index)
            assert sample.labels is not None
            confusion.add(sample.labels, label_image(network, sample.visible))
        scores = confusion.intersection_over_union()
        mean = confusion.mean_intersection_over_union()
        metrics[f"{dataset.name}_visible_miou"] = mean
        named = ", ".join(f"{classes[key]} {value:.3f}" for key, value in scores.items())
        say(f"{dataset.name}: mIoU {mean:.3f} over {len(scores)} classes: {named}")
    return metrics
