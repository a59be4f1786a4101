"""Images with boxes: what lies in a box before lies in it after, in flips, crops and mosaics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.data import augment as a

KEY, B, SIZE = jax.random.key(0), 12, (20, 24)


def scenes(rng, n=3):
    """Images in which the pixels of box j of row i, and they alone, are 10 * i + j + 1; one box of each is none."""
    x, boxes = np.zeros((B, *SIZE, 1), np.float32), np.zeros((B, n, 4), np.float32)
    labels = np.tile(np.arange(n, dtype=np.int32), (B, 1))
    labels[:, -1] = -1
    for i, j in np.ndindex(B, n):
        left, top = 8 * j + rng.integers(0, 3), rng.integers(0, 12)
        boxes[i, j] = left, top, left + rng.integers(2, 6), top + rng.integers(2, 8)
        paint(x[i], boxes[i, j], 10 * i + j + 1 if j < n - 1 else 0)
    return x, boxes, labels


def paint(image, box, value):
    x0, y0, x1, y1 = box.astype(int)
    image[y0:y1, x0:x1] = value


def painted(shape, boxes, labels, values):
    """An image made of its boxes alone."""
    image = np.zeros(shape, np.float32)
    for box, label, value in zip(np.asarray(boxes), np.asarray(labels), values, strict=True):
        if label >= 0:
            paint(image, box, value)
    return image


@pytest.mark.parametrize("axis", [1, 2])
def test_a_flip_moves_boxes_with_their_pixels(axis):
    x, boxes, labels = scenes(np.random.default_rng(0))
    flipped, moved = a.random_flip_with_boxes(x, boxes, key=KEY, axis=axis)
    np.testing.assert_array_equal(flipped, a.random_flip(x, key=KEY, axis=axis))
    for i in range(B):
        np.testing.assert_array_equal(flipped[i], painted(x[i].shape, moved[i], labels[i], 10 * i + np.arange(3) + 1))
    assert 0 < (np.asarray(moved) != boxes).any((1, 2)).sum() < B


def test_a_crop_moves_scales_and_cuts_boxes_with_their_pixels():
    x, boxes, labels = scenes(np.random.default_rng(1))
    how = {"key": KEY, "area": (0.3, 0.9)}

    @jax.jit
    def cut(x, boxes, labels):
        of_share = lambda share: a.random_resized_crop_with_boxes(x, boxes, labels, (40, 48), visible=share, **how)
        return a.random_resized_crop(x, (40, 48), **how), of_share(0.5), of_share(0.0)

    alone, (_, _, left), (cropped, moved, all_left) = jax.tree.map(np.asarray, cut(x, boxes, labels))
    np.testing.assert_array_equal(cropped, alone)
    assert (left[:, -1] == -1).all()
    assert 0 < (left[:, :2] >= 0).mean() < (all_left[:, :2] >= 0).mean() <= 1
    for i, j in np.argwhere(all_left >= 0):
        x0, y0, x1, y1 = moved[i, j]
        assert 0 <= x0 < x1 <= 48
        assert 0 <= y0 < y1 <= 40
        wholly = np.zeros((40, 48), bool)  # interpolation blurs a pixel or two of the old image at each side
        wholly[int(np.ceil(y0)) + 3 : int(y1) - 3, int(np.ceil(x0)) + 3 : int(x1) - 3] = True
        np.testing.assert_allclose(cropped[i, ..., 0][wholly], 10 * i + j + 1, rtol=1e-3)


def test_the_share_that_is_visible_decides():
    x, labels = jnp.zeros((1, 8, 8, 1)), jnp.zeros((1, 3), jnp.int32)
    boxes = jnp.array([[[-4.0, 0.0, 4.0, 8.0], [-6.0, 0.0, 2.0, 8.0], [9.0, 0.0, 12.0, 8.0]]])
    _, cut, left = a.random_resized_crop_with_boxes(x, boxes, labels, (16, 16), key=None, visible=0.4)
    assert left.tolist() == [[0, -1, -1]]
    assert cut[0, 0].tolist() == [0, 0, 8, 16]


def test_a_mosaic_is_made_of_its_boxes():
    x, boxes, labels = scenes(np.random.default_rng(2))
    mix = jax.jit(lambda *scene: a.mosaic(*scene, weight=None, key=KEY, visible=0.0))
    mixed, moved, left = map(np.asarray, mix(x, boxes, labels))
    assert moved.shape == (B, 12, 4)
    others = set()
    for i in range(B):
        seen = [np.unique(mixed[i][painted(x[i].shape, [box], [0], [1]) > 0]) for box in np.asarray(moved[i])]
        values = [int(found[0]) if label >= 0 else 0 for found, label in zip(seen, left[i], strict=True)]
        np.testing.assert_array_equal(mixed[i], painted(x[i].shape, moved[i], left[i], values))
        for q, label in np.ndindex(4, 3):
            at = 3 * q + label
            if left[i, at] >= 0:
                assert (values[at] - 1) % 10 == label == left[i, at]
                assert ((values[at] - 1) // 10 == i) == (q == 0)
                others.add((q, (values[at] - 1) // 10))
    assert len(others) > B  # of each part several rows


def test_padding_is_in_no_mosaic_but_its_own():
    x, boxes, labels = scenes(np.random.default_rng(3))
    weight = np.ones(B, np.float32)
    weight[[1, 5, 11]] = 0
    spoilt = np.where(weight[:, None, None, None] > 0, x, np.nan)
    mixed, _, _ = a.mosaic(spoilt, boxes, labels, weight=jnp.asarray(weight), key=KEY)
    assert (np.isfinite(mixed).all((1, 2, 3)) == (weight > 0)).all()


def test_without_a_key_nothing_changes():
    x, boxes, labels = scenes(np.random.default_rng(4))
    for found in (
        (*a.random_flip_with_boxes(x, boxes, key=None), labels),
        a.random_resized_crop_with_boxes(x, boxes, labels, SIZE, key=None),
        a.mosaic(x, boxes, labels, weight=None, key=None),
    ):
        jax.tree.map(np.testing.assert_array_equal, found, (x, boxes, labels))


X, BOXES, LABELS = jnp.zeros((2, 4, 4, 3)), jnp.zeros((2, 3, 4)), jnp.zeros((2, 3), jnp.int32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: a.mosaic(X, BOXES[:1], LABELS, weight=None, key=KEY),
            ValueError,
            r"mosaic: expected boxes \(2, n, 4\)",
        ),
        (lambda: a.mosaic(X, BOXES, LABELS[:, :2], weight=None, key=KEY), ValueError, r"and labels \(2, n\), found"),
        (lambda: a.mosaic(X, BOXES, LABELS, weight=jnp.ones(3), key=KEY), ValueError, "mosaic: expected one weight"),
        (
            lambda: a.mosaic(X, BOXES, LABELS.astype(jnp.uint8), weight=None, key=KEY),
            TypeError,
            "mosaic: expected labels that can be -1, found uint8",
        ),
        (lambda: a.mosaic(X, BOXES, LABELS * 1.0, weight=None, key=KEY), TypeError, "mosaic: expected integers"),
        (
            lambda: a.random_resized_crop_with_boxes(X, BOXES, LABELS, (4, 4), key=KEY, visible=2.0),
            ValueError,
            r"random_resized_crop_with_boxes: visible lies in \[0, 1\], found 2",
        ),
        (
            lambda: a.random_flip_with_boxes(X, BOXES, key=KEY, axis=3),
            ValueError,
            "random_flip_with_boxes: axis is 2",
        ),
        (
            lambda: a.random_flip_with_boxes(X, BOXES.astype(int), key=KEY),
            TypeError,
            "random_flip_with_boxes: expected floating-point",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
