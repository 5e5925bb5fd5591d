"""The customary figures of image fusion, as the field's evaluation scripts compute them.

Images are luminance uint8 [H,W]; all figures are better when larger. Those that compare the fused
image with a source are summed over both sources.
"""

from __future__ import annotations

import cv2
import numpy as np

#: The nine that published tables rank by.
RANKED = ("EN", "SD", "SF", "AG", "MI", "SCD", "VIF", "Qabf", "SSIM")
#: SSIM255 is SSIM with the dynamic range that 8-bit images really have.
NAMES = (*RANKED, "SSIM255")
#: Range of a floating-point image in scikit-image 0.19 and before; published SSIM values of 0..255
#: images come from there.
PUBLISHED_SSIM_RANGE = 2.0

_SSIM_WINDOW = 7
_VIF_SCALES = 4
_VIF_NOISE = 2.0
_VIF_EPSILON = 1e-10


def fusion_metrics(
    fused: np.ndarray, infrared: np.ndarray, visible: np.ndarray
) -> dict[str, float]:
    """Return every figure of `NAMES`.

    Args:
        fused, infrared, visible: luminance uint8 [H,W] of equal size, sides of at least 17.

    Raises:
        ValueError: other types, shapes or sizes.
    """
    _check(fused, infrared, visible)
    sources = infrared, visible
    image = fused.astype(np.float64)
    floats = [source.astype(np.float64) for source in sources]
    return {
        "EN": entropy(fused),
        "SD": float(image.std()),
        "SF": spatial_frequency(image),
        "AG": average_gradient(image),
        "MI": sum(mutual_information(fused, source) for source in sources),
        "SCD": sum_of_correlations_of_differences(image, *floats),
        "VIF": sum(visual_information_fidelity(source, image) for source in floats),
        "Qabf": edge_preservation(image, *floats),
        **_similarities(image, floats),
    }


def entropy(image: np.ndarray) -> float:
    """Return EN, the Shannon entropy of the grey levels in bits."""
    shares = np.bincount(image.ravel(), minlength=256) / image.size
    return abs(_plogp(shares)) / float(np.log(2))


def spatial_frequency(image: np.ndarray) -> float:
    """Return SF (Eskicioglu and Fisher 1995) of float64 [H,W]."""
    rows, columns = np.diff(image, axis=0), np.diff(image, axis=1)
    return float(np.sqrt(np.mean(rows**2) + np.mean(columns**2)))


def average_gradient(image: np.ndarray) -> float:
    """Return AG of float64 [H,W]: central differences, one-sided at the border."""
    down, right = np.gradient(image)
    return float(np.sqrt((down**2 + right**2) / 2).mean())


def mutual_information(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mutual information of two uint8 images' grey levels, in nats."""
    pairs = first.ravel().astype(np.int64) * 256 + second.ravel()
    joint = np.bincount(pairs, minlength=256**2).reshape(256, 256) / first.size
    return _plogp(joint) - _plogp(joint.sum(0)) - _plogp(joint.sum(1))


def sum_of_correlations_of_differences(
    fused: np.ndarray, infrared: np.ndarray, visible: np.ndarray
) -> float:
    """Return SCD (Aslantas and Bendes 2015) of float64 images; no variance correlates with 0."""
    return _correlation(fused - visible, infrared) + _correlation(fused - infrared, visible)


def visual_information_fidelity(reference: np.ndarray, image: np.ndarray) -> float:
    """Return the pixel-domain VIF (Sheikh and Bovik 2006, vifp_mscale) of float64 images.

    Scales that are smaller than their window are left out; a reference without any detail gives 1.
    """
    kept = total = 0.0
    for scale in range(1, _VIF_SCALES + 1):
        width = 2 ** (_VIF_SCALES - scale + 1) + 1
        window = cv2.getGaussianKernel(width, width / 5, cv2.CV_64F)
        if scale > 1:
            if min(reference.shape) < width:
                break
            reference = _inside(cv2.sepFilter2D(reference, -1, window, window), width)[::2, ::2]
            image = _inside(cv2.sepFilter2D(image, -1, window, window), width)[::2, ::2]
        if min(reference.shape) < width:
            break
        kept_here, total_here = _information(reference, image, window)
        kept += kept_here
        total += total_here
    return kept / total if total > 0 else 1.0


def edge_preservation(fused: np.ndarray, infrared: np.ndarray, visible: np.ndarray) -> float:
    """Return Qabf (Xydeas and Petrovic 2000) of float64 images, 0..1; 0 without any edge."""
    strength, angle = _edges(fused)
    kept = total = 0.0
    for source in (infrared, visible):
        source_strength, source_angle = _edges(source)
        low = np.minimum(source_strength, strength)
        high = np.maximum(source_strength, strength)
        # Equal strengths keep the strength itself, as in the scripts that the tables come from:
        # 0 where neither image has an edge, whose weight is 0 anyway.
        ratio = np.where(low == high, low, low / np.maximum(high, np.finfo(np.float64).tiny))
        turn = 1 - np.abs(source_angle - angle) / (np.pi / 2)
        with np.errstate(over="ignore"):
            quality = 0.9994 / (1 + np.exp(-15 * (ratio - 0.5)))
            quality *= 0.9879 / (1 + np.exp(-22 * (turn - 0.8)))
        kept += float((quality * source_strength).sum())
        total += float(source_strength.sum())
    return kept / total if total > 0 else 0.0


def _similarities(image: np.ndarray, sources: list[np.ndarray]) -> dict[str, float]:
    """SSIM (Wang et al. 2004) with a uniform window and sample covariances, for both ranges."""
    sums = {"SSIM": 0.0, "SSIM255": 0.0}
    unbiased = _SSIM_WINDOW**2 / (_SSIM_WINDOW**2 - 1)
    mean, power = _box(image), _box(image * image)
    for source in sources:
        source_mean = _box(source)
        means = mean * source_mean
        squares = mean**2 + source_mean**2
        covariance = unbiased * (_box(image * source) - means)
        variances = unbiased * (power + _box(source * source) - squares)
        for name, value_range in (("SSIM", PUBLISHED_SSIM_RANGE), ("SSIM255", 255.0)):
            c1, c2 = (0.01 * value_range) ** 2, (0.03 * value_range) ** 2
            luminance = (2 * means + c1) / (squares + c1)
            structure = (2 * covariance + c2) / (variances + c2)
            sums[name] += float((luminance * structure).mean())
    return sums


def _information(
    reference: np.ndarray, image: np.ndarray, window: np.ndarray
) -> tuple[float, float]:
    """Information that the image keeps of the reference, and that of the reference itself."""

    def mean(values: np.ndarray) -> np.ndarray:
        return _inside(cv2.sepFilter2D(values, -1, window, window), len(window))

    reference_mean, image_mean = mean(reference), mean(image)
    variance = np.maximum(mean(reference * reference) - reference_mean**2, 0)
    image_variance = np.maximum(mean(image * image) - image_mean**2, 0)
    covariance = mean(reference * image) - reference_mean * image_mean
    gain = covariance / (variance + _VIF_EPSILON)
    noise = image_variance - gain * covariance
    flat = variance < _VIF_EPSILON
    gain[flat] = 0
    noise[flat] = image_variance[flat]
    variance[flat] = 0
    empty = image_variance < _VIF_EPSILON
    gain[empty] = 0
    noise[empty] = 0
    opposed = gain < 0
    noise[opposed] = image_variance[opposed]
    gain[opposed] = 0
    noise = np.maximum(noise, _VIF_EPSILON)
    kept = np.log1p(gain**2 * variance / (noise + _VIF_NOISE)).sum()
    return float(kept), float(np.log1p(variance / _VIF_NOISE).sum())


def _edges(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sobel strength and orientation in -pi/2..pi/2; outside the image is black."""
    right = cv2.Sobel(image, cv2.CV_64F, 1, 0, ksize=3, borderType=cv2.BORDER_CONSTANT)
    # Upwards, as angles go: differences do not wrap around, so the sign next to pi/2 counts.
    up = -cv2.Sobel(image, cv2.CV_64F, 0, 1, ksize=3, borderType=cv2.BORDER_CONSTANT)
    vertical = right == 0
    angle = np.arctan(up / np.where(vertical, 1, right))
    angle[vertical] = np.pi / 2
    return np.hypot(right, up), angle


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    first, second = first - first.mean(), second - second.mean()
    power = np.sqrt(np.sum(first**2) * np.sum(second**2))
    return float(np.sum(first * second) / power) if power > 0 else 0.0


def _box(image: np.ndarray) -> np.ndarray:
    return _inside(cv2.blur(image, (_SSIM_WINDOW, _SSIM_WINDOW)), _SSIM_WINDOW)


def _inside(filtered: np.ndarray, width: int) -> np.ndarray:
    """The part of a filtered image that the border has no share in."""
    edge = width // 2
    return filtered[edge : filtered.shape[0] - edge, edge : filtered.shape[1] - edge]


def _plogp(shares: np.ndarray) -> float:
    used = shares[shares > 0]
    return float((used * np.log(used)).sum())


def _check(*images: np.ndarray) -> None:
    for image in images:
        if image.dtype != np.uint8 or image.ndim != 2:
            raise ValueError(f"image is {image.dtype} {list(image.shape)}, expected uint8 [H,W]")
        if image.shape != images[0].shape:
            raise ValueError(
                f"images are {list(images[0].shape)} and {list(image.shape)}, expected equal sizes"
            )
    smallest = 2**_VIF_SCALES + 1
    if min(images[0].shape) < smallest:
        raise ValueError(
            f"images are {list(images[0].shape)}, expected sides of at least {smallest}"
        )


def mean_ranks(table: dict[str, dict[str, float]]) -> dict[str, float]:
    """Rank the columns of {column: {figure: value}} by every figure of `RANKED`; return the means.

    The best column has rank 1; equal values share the mean of their ranks.
    """
    values = np.array([[column[name] for name in RANKED] for column in table.values()])
    better = (values[None] > values[:, None]).sum(axis=1)
    equal = (values[None] == values[:, None]).sum(axis=1)
    means = (better + (equal + 1) / 2).mean(axis=1)
    return dict(zip(table, map(float, means), strict=True))
