"""Images with boxes: flips, crops and mosaics that move both.

    random_flip_with_boxes(x, boxes)                        what `random_flip` does, and its boxes
    random_resized_crop_with_boxes(x, boxes, labels, size)  what `random_resized_crop` does, and what it leaves of boxes
    mosaic(x, boxes, labels)                                four images in one

Boxes are (b, n, 4): corners x0, y0, x1, y1 in pixels (`jnn.boxes`), labels (b, n) integers, -1 where there is no box,
as `jnn.metrics.mean_average_precision` reads them. What too little is left of has the label -1.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.boxes import box_area, checked_boxes
from jnn.data.augment._crop import check_resized_crop, draw_windows, scale_windows
from jnn.data.augment._flip import check_flip, draw_flips, flip_some
from jnn.data.augment._mix import partners
from jnn.data.augment._pixels import check_bound, check_images
from jnn.param import check_key

Scene = tuple[jax.Array, jax.Array, jax.Array]  # images, boxes, labels
NOTHING = -1  # the label of no box


def random_flip_with_boxes(
    x: jax.Array, boxes: jax.Array, *, key: jax.Array | None, axis: int = 2
) -> tuple[jax.Array, jax.Array]:
    """Random flip of images with boxes: mirrors each with probability one half, left to right.

    See "ImageNet Classification with Deep Convolutional Neural Networks", Krizhevsky et al., 2012.

    Args:
      x, key, axis: as for `random_flip`, which gives the same images.
      boxes: (b, n, 4), floating point: corners in pixels.

    Returns:
      Both, of their shapes and dtypes.

    Raises:
      TypeError: boxes that are not floating point.
      ValueError: x is not a batch of images, boxes are not of them, or another axis.

    >>> x, boxes = jnp.zeros((1, 4, 6, 3)), jnp.array([[[0.0, 1.0, 2.0, 3.0]]])
    >>> random_flip_with_boxes(x, boxes, key=jax.random.key(1))[1].tolist()
    [[[4.0, 1.0, 6.0, 3.0]]]
    """
    check_flip("random_flip_with_boxes", x, axis, key)
    _check("random_flip_with_boxes", x, boxes)
    if key is None:
        return x, boxes
    mirrored = draw_flips(key, x)
    order = np.array([2, 1, 0, 3] if axis == 2 else [0, 3, 2, 1])
    moves = mirrored[:, None, None] & (order != np.arange(4))[None, None]
    return flip_some(x, mirrored, axis), jnp.where(moves, x.shape[axis] - boxes[..., order], boxes)


def random_resized_crop_with_boxes(
    x: jax.Array,
    boxes: jax.Array,
    labels: jax.Array,
    size: tuple[int, int],
    *,
    key: jax.Array | None,
    area: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    visible: float = 0.25,
) -> Scene:
    """Random resized crop of images with boxes: a window of random area, shape and place, scaled to `size`.

    See "Going Deeper with Convolutions", Szegedy et al., 2015.

    Args:
      x, size, key, area, ratio: as for `random_resized_crop`, which gives the same images.
      boxes: (b, n, 4), floating point: corners in pixels.
      labels: (b, n), integers, -1 where there is no box.
      visible: the least share of a box's area that must be inside, for it to stay.

    Returns:
      Images (b, *size, c); boxes, cut off at their sides, and labels, of their shapes and dtypes.

    Raises:
      TypeError: images, boxes or labels of another dtype.
      ValueError: as `random_resized_crop` does; boxes or labels are not of the images; a share outside [0, 1].

    >>> x, boxes, labels = jnp.zeros((1, 8, 8, 3)), jnp.array([[[0.0, 2.0, 4.0, 8.0]]]), jnp.zeros((1, 1), int)
    >>> random_resized_crop_with_boxes(x, boxes, labels, (4, 4), key=None)[1].tolist()
    [[[0.0, 1.0, 2.0, 4.0]]]
    """
    name = "random_resized_crop_with_boxes"
    check_resized_crop(name, x, size, area, ratio, key)
    _check(name, x, boxes, labels, visible)
    top, left, height, width = windows = draw_windows(x, key, area, ratio)
    corner = jnp.stack([left, top, left, top], -1)[:, None]
    scale = jnp.stack([size[1] / width, size[0] / height] * 2, -1)[:, None]
    moved = (checked_boxes(name, boxes) - corner) * scale
    inside, labels = _cut(moved, labels, jnp.asarray([[[0, 0, size[1], size[0]]]], moved.dtype), visible)
    return scale_windows(x, windows, size), inside.astype(boxes.dtype), labels


def mosaic(
    x: jax.Array,
    boxes: jax.Array,
    labels: jax.Array,
    *,
    weight: jax.Array | None,
    key: jax.Array | None,
    visible: float = 0.25,
) -> Scene:
    """Mosaic: four images meet at a random point, each showing the part around its own corner there.

    See "YOLOv4: Optimal Speed and Accuracy of Object Detection", Bochkovskiy et al., 2020. Parts keep their scale; the
    point lies in the middle half along each axis.

    Args:
      x: (b, y, x, c), any dtype.
      boxes: (b, n, 4), floating point: corners in pixels.
      labels: (b, n), integers, -1 where there is no box.
      weight: (b,), a batch's: 0 marks padding rows, which no other row gets. None where all rows are real.
      key: a PRNG key, or None for no augmentation.
      visible: the least share of a box's area that must be inside its part, for it to stay.

    Returns:
      Images, of x's shape; boxes (b, 4n, 4), cut off at the sides of their parts, and labels (b, 4n). Without a key
      all as they are.

    Raises:
      TypeError: boxes or labels of another dtype.
      ValueError: x is not a batch of images, boxes, labels or weights are not of it, or a share outside [0, 1].

    >>> x, boxes, labels = jnp.zeros((4, 8, 8, 3)), jnp.zeros((4, 5, 4)), jnp.zeros((4, 5), int)
    >>> mosaic(x, boxes, labels, weight=None, key=jax.random.key(0))[1].shape
    (4, 20, 4)
    """
    check_images("mosaic", x)
    _check("mosaic", x, boxes, labels, visible)
    if weight is not None and weight.shape != x.shape[:1]:
        raise ValueError(f"mosaic: expected one weight for each of {len(x)} rows, found {checks.describe(weight)}.")
    check_key("mosaic", key, optional=True)
    if key is None:
        return x, boxes, labels
    x, boxes, labels = map(jnp.asarray, (x, boxes, labels))
    pair, where = jax.random.split(key)
    following = partners(pair, len(x), weight)
    rows = [jnp.arange(len(x))]
    for _ in range(3):
        rows.append(following[rows[-1]])
    size = (x.shape[1], x.shape[2])
    point = (0.25 + 0.5 * jax.random.uniform(where, (len(x), 2))) * jnp.asarray([size])
    point = jnp.floor(point).astype(jnp.int32)
    parts = [_part(q, point, boxes[row], labels[row], size, visible) for q, row in enumerate(rows)]
    joined, own = (jnp.concatenate(each, 1) for each in zip(*parts, strict=True))
    return _meet([x[row] for row in rows], point), joined.astype(boxes.dtype), own


def _meet(images: list[jax.Array], point: jax.Array) -> jax.Array:
    """Four images, upper left to lower right, whose corners meet at a point (y, x) of each row.

    All are moved by the point, and what leaves on one side comes in on the other: so each shows the corner that it has.
    """
    down, right = (jnp.arange(n)[None] for n in images[0].shape[1:3])
    upper = (down >= images[0].shape[1] - point[:, :1])[:, :, None, None]
    left = (right >= images[0].shape[2] - point[:, 1:])[:, None, :, None]
    mixed = jnp.where(upper, jnp.where(left, images[0], images[1]), jnp.where(left, images[2], images[3]))
    return jax.vmap(lambda image, by: jnp.roll(image, by, (0, 1)))(mixed, point)


def _part(
    q: int, point: jax.Array, boxes: jax.Array, labels: jax.Array, size: tuple[int, int], visible: float
) -> tuple[jax.Array, jax.Array]:
    """Boxes and labels of the image that is the q-th part."""
    y, x = (point[:, i].astype(jnp.float32) for i in range(2))
    height, width = size
    upper, left, zero = q < 2, q % 2 == 0, jnp.zeros_like(y)
    by = jnp.stack([x - width if left else x, y - height if upper else y] * 2, -1)
    low = (zero if left else x, zero if upper else y)
    high = (x if left else zero + width, y if upper else zero + height)
    part = jnp.stack([*low, *high], -1)
    return _cut(checked_boxes("mosaic", boxes) + by[:, None], labels, part[:, None], visible)


def _cut(boxes: jax.Array, labels: jax.Array, window: jax.Array, visible: float) -> tuple[jax.Array, jax.Array]:
    """What of boxes lies in a window (b, 1, 4), and their labels, -1 where that is too little."""
    low, high = jnp.tile(window[..., :2], 2), jnp.tile(window[..., 2:], 2)
    inside = jnp.clip(boxes, low, high)
    enough = (box_area(inside) > 0) & (box_area(inside) >= visible * box_area(boxes))
    return inside, jnp.where(enough, labels, jnp.asarray(NOTHING, labels.dtype))


def _check(name: str, x: jax.Array, boxes: jax.Array, labels: jax.Array | None = None, visible: float = 0.0) -> None:
    """Raises unless there are boxes, and labels, of each image."""
    checked_boxes(name, boxes, ndim=3)
    check_bound(name, "visible", visible, 1)
    if labels is not None:
        checks.integers(name, labels, name="labels")
        if not jnp.issubdtype(labels.dtype, jnp.signedinteger):
            raise TypeError(
                f"{name}: expected labels that can be -1, found {checks.describe(labels)}. Cast them: "
                "labels.astype(jnp.int32)."
            )
    if boxes.ndim != 3 or len(boxes) != len(x) or (labels is not None and labels.shape != boxes.shape[:2]):
        found = checks.describe(boxes) + ("" if labels is None else f" and {checks.describe(labels)}")
        raise ValueError(f"{name}: expected boxes ({len(x)}, n, 4) and labels ({len(x)}, n), found {found}.")
