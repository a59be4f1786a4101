"""Segmentation losses: how little predicted and true regions overlap, one number per image.

    dice_loss, jaccard_loss, tversky_loss, focal_tversky_loss       of each class's region, then the mean over classes
    generalized_dice_loss                                           of all classes, rare ones weighed up

Images are (..., *spatial, classes), with `spatial` axes: 2, or 1 or 3; their leading axes are free. Overlaps take
probabilities, as of `sigmoid` or `softmax`, and are sums over pixels in float32 at least; `mask` (..., *spatial) is 0
where the truth is unknown. What is out of range is an error where known, and NaN under `jit`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import pixels, unit_interval


def dice_loss(
    probabilities: jax.Array,
    targets: jax.Array,
    *,
    mask: jax.Array | None = None,
    spatial: int = 2,
    smooth: float = 1.0,
) -> jax.Array:
    """Dice loss: 1 minus the F1 score of each region, with soft counts.

    See "V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image Segmentation", Milletari et al., 2016;
    here without its squares.

    Args:
      probabilities: (..., *spatial, classes), floating point, in [0, 1].
      targets: the same shape; 0, 1 or in between, such as one-hot labels.
      mask: (..., *spatial), or None.
      spatial: how many spatial axes there are.
      smooth: pixels that are added above and below the line, >= 0: with some, an absent class may be predicted absent.

    Returns:
      (...): `1 - (2 both + smooth) / (predicted + true + smooth)`, mean over classes.

    Raises:
      TypeError: probabilities are not floating point.
      ValueError: shapes do not fit, or values known to lie outside [0, 1].

    >>> dice_loss(jnp.array([[1.0], [1.0]]), jnp.array([[1], [0]]), spatial=1)
    Array(0.25, dtype=float32)
    """
    return jnp.mean(_tversky("dice_loss", probabilities, targets, mask, spatial, 0.5, 0.5, smooth / 2), axis=-1)


def jaccard_loss(
    probabilities: jax.Array,
    targets: jax.Array,
    *,
    mask: jax.Array | None = None,
    spatial: int = 2,
    smooth: float = 1.0,
) -> jax.Array:
    """Jaccard loss: 1 minus the intersection over union (IoU) of each region, with soft counts.

    See "Optimizing Intersection-Over-Union in Deep Neural Networks for Image Segmentation", Rahman and Wang, 2016.

    Args:
      probabilities, targets, mask, spatial, smooth: as for `dice_loss`.

    Returns:
      (...): `1 - (both + smooth) / (predicted + true - both + smooth)`, mean over classes.

    Raises:
      TypeError, ValueError: as `dice_loss` does.

    >>> jaccard_loss(jnp.array([[1.0], [1.0]]), jnp.array([[1], [0]]), spatial=1, smooth=0.0)
    Array(0.5, dtype=float32)
    """
    return jnp.mean(_tversky("jaccard_loss", probabilities, targets, mask, spatial, 1.0, 1.0, smooth), axis=-1)


def tversky_loss(
    probabilities: jax.Array,
    targets: jax.Array,
    *,
    false_positives: float = 0.3,
    false_negatives: float = 0.7,
    mask: jax.Array | None = None,
    spatial: int = 2,
    smooth: float = 1.0,
) -> jax.Array:
    """Tversky loss: an overlap that says what a false pixel and a missed one cost. 1/2 each is Dice, 1 each Jaccard.

    See "Tversky loss function for image segmentation using 3D fully convolutional deep networks", Salehi et al., 2017.

    Args:
      probabilities, targets, mask, spatial, smooth: as for `dice_loss`.
      false_positives: what a pixel counts that is predicted and not true, >= 0.
      false_negatives: what a pixel counts that is true and not predicted, >= 0.

    Returns:
      (...): `1 - (both + smooth) / (both + the weighted others + smooth)`, mean over classes.

    Raises:
      TypeError, ValueError: as `dice_loss` does.

    >>> tversky_loss(jnp.array([[1.0], [1.0]]), jnp.array([[1], [0]]), spatial=1, false_positives=3.0, smooth=0.0)
    Array(0.75, dtype=float32)
    """
    return jnp.mean(
        _tversky("tversky_loss", probabilities, targets, mask, spatial, false_positives, false_negatives, smooth),
        axis=-1,
    )


def focal_tversky_loss(
    probabilities: jax.Array,
    targets: jax.Array,
    *,
    gamma: jax.Array | float = 0.75,
    false_positives: float = 0.3,
    false_negatives: float = 0.7,
    mask: jax.Array | None = None,
    spatial: int = 2,
    smooth: float = 1.0,
) -> jax.Array:
    """Focal Tversky loss: the mean over classes of powers of their Tversky losses.

    See "A Novel Focal Tversky loss function with improved Attention U-Net for lesion segmentation", Abraham and Khan,
    2019, whose gamma is the inverse of this one.

    Args:
      probabilities, targets, mask, spatial, smooth, false_positives, false_negatives: as for `tversky_loss`.
      gamma: the power, > 0. Below 1 the gradient of a class that overlaps to 1e-6 is 0, where the power's grows.

    Returns:
      (...): `mean(tversky**gamma)` over classes.

    Raises:
      TypeError, ValueError: as `dice_loss` does.

    >>> images = jnp.array([[1.0], [1.0]]), jnp.array([[1], [0]])
    >>> focal_tversky_loss(*images, spatial=1, gamma=2.0, false_positives=1.0, smooth=0.0)
    Array(0.25, dtype=float32)
    """
    weights = (false_positives, false_negatives)
    gamma = checks.number("focal_tversky_loss", "gamma", gamma, lambda g: g > 0, "> 0", like=probabilities)
    name = "focal_tversky_loss"
    lack = _tversky(name, probabilities, targets, mask, spatial, *weights, smooth)
    none = lack < 1e-6  # about what float32 sums miss 0 by
    return jnp.mean(jnp.where(none, 0.0, jnp.where(none, 1.0, lack) ** gamma), axis=-1)


def generalized_dice_loss(
    probabilities: jax.Array, targets: jax.Array, *, mask: jax.Array | None = None, spatial: int = 2
) -> jax.Array:
    """Generalized Dice loss: one overlap of all classes, each weighed by 1 / (its pixels)^2.

    See "Generalised Dice overlap as a deep learning loss function for highly unbalanced segmentations", Sudre et al.,
    2017.

    Args:
      probabilities, targets, mask, spatial: as for `dice_loss`. A class of less than one pixel weighs as one of one.

    Returns:
      (...): one number per image, in [0, 1]; 0 where there is nothing, and nothing is predicted.

    Raises:
      TypeError, ValueError: as `dice_loss` does.

    >>> generalized_dice_loss(jnp.array([[1.0], [1.0]]), jnp.array([[1], [0]]), spatial=1).round(4)
    Array(0.3333, dtype=float32)
    """
    both, predicted, true = _overlaps("generalized_dice_loss", probabilities, targets, mask, spatial)
    weights = 1 / jnp.maximum(true, 1) ** 2
    apart, total = (jnp.sum(weights * x, axis=-1) for x in (predicted + true - 2 * both, predicted + true))
    return jnp.where(total == 0, 0.0, apart / jnp.where(total == 0, 1.0, total))


def _tversky(
    name: str,
    p: jax.Array,
    targets: jax.Array,
    mask: jax.Array | None,
    spatial: int,
    false_positives: float,
    false_negatives: float,
    smooth: float,
) -> jax.Array:
    """(..., classes): 1 minus each class's index, as a share of false pixels, which is exact where there are few."""
    both, predicted, true = _overlaps(name, p, targets, mask, spatial)
    numbers = {"false_positives": false_positives, "false_negatives": false_negatives, "smooth": smooth}
    positives, negatives, smooth = (
        checks.number(name, what, value, lambda v: v >= 0, ">= 0", like=both) for what, value in numbers.items()
    )
    false = positives * (predicted - both) + negatives * (true - both)
    total = both + false + smooth
    return jnp.where(total == 0, 0.0, false / jnp.where(total == 0, 1.0, total))


def _overlaps(
    name: str, p: jax.Array, targets: jax.Array, mask: jax.Array | None, spatial: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(..., classes): sums over the pixels of p t, of p and of t."""
    checks.pair(name, p, targets)
    there = pixels(name, mask, p[..., 0], spatial)[..., None]
    p, t = (
        unit_interval(name, what, jnp.where(there, x, 0)) for what, x in (("probabilities", p), ("targets", targets))
    )
    axes = tuple(range(p.ndim - 1 - spatial, p.ndim - 1))
    both, predicted, true = (jnp.sum(x, axis=axes) for x in (p * t, p, t))
    return both, predicted, true
