"""Assignment against loops over every pair, written from the papers; grids of points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.boxes import BACKGROUND, IGNORED, assign_by_iou, assign_points, grid_points
from tests.boxes.test_suppression import drawn, iou
from tests.oracle import configurations

STRIDES = (1, 2, 4)
POINTS = np.concatenate([grid_points((20 // s, 20 // s), s) for s in STRIDES])
STRIDE = np.concatenate([np.full((20 // s) ** 2, s, np.float32) for s in STRIDES])
RANGES = np.select(
    [STRIDE[:, None] == s for s in STRIDES], [np.float32([[0, 3]]), np.float32([[3, 5]]), np.float32([[5, np.inf]])]
)


def of_point(point, limits, radius, boxes, mask):
    """The smallest box that a point lies in, of those that its level is for."""
    found = []
    for i in np.flatnonzero(mask):
        x0, y0, x1, y1 = boxes[i].tolist()
        distances = [point[0] - x0, point[1] - y0, x1 - point[0], y1 - point[1]]
        near = max(abs(point[0] - (x0 + x1) / 2), abs(point[1] - (y0 + y1) / 2)) <= radius
        if min(distances) > 0 and limits[0] <= max(distances) <= limits[1] and near:
            found.append(((x1 - x0) * (y1 - y0), i))
    return min(found)[1] if found else BACKGROUND


@pytest.mark.parametrize("rng", configurations(fast=(0, 1)), ids=range(20))
def test_a_point_has_the_smallest_box_of_its_level(rng):
    boxes, _, _, mask = drawn(rng, 12)
    for radius in (np.inf, 1.5):
        ours = assign_points(POINTS, boxes, RANGES, radius=None if radius == np.inf else radius * STRIDE, mask=mask)
        theirs = [
            of_point(point, limits, radius * stride, boxes, mask)
            for point, limits, stride in zip(POINTS, RANGES, STRIDE, strict=True)
        ]
        assert ours.tolist() == theirs
        assert max(theirs) > BACKGROUND


def of_anchors(anchors, boxes, mask, positive, negative, low_quality):
    """The box of each anchor, in loops."""
    table = np.array([[iou(a, b) if there else 0.0 for b, there in zip(boxes, mask, strict=True)] for a in anchors])
    found = []
    for row in table:
        best = int(np.argmax(row))
        forced = low_quality and any(row[j] > 0 and row[j] == table[:, j].max() for j in range(len(boxes)))
        taken = forced or (row[best] >= positive and row[best] > 0)
        found.append(best if taken else BACKGROUND if row[best] < negative else IGNORED)
    return found


def test_a_box_of_infinite_area_is_found():
    boxes = jnp.array([[0.0, 0.0, 1.0, 1.0], [-1e20, -1e20, 1e20, 1e20]])
    assert assign_points(jnp.array([[5.0, 5.0]]), boxes, jnp.array([[0.0, jnp.inf]])).tolist() == [1]


@pytest.mark.parametrize("rng", configurations(fast=(0, 1)), ids=range(20))
def test_an_anchor_has_the_box_that_it_overlaps_with_most(rng):
    boxes, _, _, mask = drawn(rng, 9)
    low = rng.integers(0, 12, (40, 2))
    anchors = np.concatenate([low, low + rng.integers(1, 9, (40, 2))], -1).astype(np.float32)
    for positive, negative, low_quality in [(0.5, 0.4, True), (0.5, 0.25, False), (0.25, 0.25, True)]:
        how = {"positive": positive, "negative": negative, "allow_low_quality": low_quality, "mask": mask}
        expected = of_anchors(anchors, boxes, mask, positive, negative, low_quality)
        assert assign_by_iou(anchors, boxes, **how).tolist() == expected


def test_a_batch_is_its_images_and_without_a_box_all_is_background():
    boxes, _, _, mask = (np.stack(x) for x in zip(*(drawn(np.random.default_rng(i), 6) for i in range(3)), strict=True))
    mask[1] = False
    anchors = jnp.asarray(np.concatenate([POINTS - 2, POINTS + 2], -1))
    for assign in (
        lambda b, m: assign_points(POINTS, b, RANGES, radius=2 * STRIDE, mask=m),
        lambda b, m: assign_by_iou(anchors, b, mask=m),
    ):
        together = jax.jit(assign)(boxes, mask)
        np.testing.assert_array_equal(together, jax.vmap(assign)(boxes, mask))
        np.testing.assert_array_equal(together[0], assign(boxes[0], mask[0]))
        assert (np.asarray(together[1]) == BACKGROUND).all()


@pytest.mark.slow
@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_by_iou_is_torchvisions_matcher(rng):
    torch, found = pytest.importorskip("torch"), pytest.importorskip("torchvision.models.detection._utils")
    ops = pytest.importorskip("torchvision.ops")
    low = rng.uniform(0, 30, (80, 2))
    anchors = np.concatenate([low, low + rng.uniform(4, 20, (80, 2))], -1).astype(np.float32)
    boxes = anchors[:7] + rng.uniform(-3, 3, (7, 4)).astype(np.float32)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    table = ops.box_iou(torch.tensor(boxes), torch.tensor(anchors))
    for low_quality in (True, False):
        theirs = found.Matcher(0.5, 0.4, allow_low_quality_matches=low_quality)(table)
        assert assign_by_iou(anchors, boxes, allow_low_quality=low_quality).tolist() == theirs.tolist()


def test_points_are_the_middles_of_their_cells():
    assert grid_points((2, 3), 4).tolist() == [[2 + 4 * x, 2 + 4 * y] for y in range(2) for x in range(3)]


X = jnp.zeros((3, 4))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: assign_points(X, X, X[:, :2]), ValueError, r"assign_points: expected points \[...,2\]"),
        (lambda: assign_points(X[:, :2], X, X[:2, :2]), ValueError, r"assign_points: expected points \(n, 2\), ranges"),
        (lambda: assign_points(X[:, :2], X, X[:, :2], mask=X[:2, 0]), ValueError, "expected one mask for each box"),
        (lambda: assign_by_iou(X, X, positive=0.3), ValueError, "assign_by_iou: .* 0.4 and 0.3"),
        (lambda: assign_by_iou(X, X[:, :2]), ValueError, r"assign_by_iou: expected boxes \[...,4\]"),
        (lambda: grid_points((0, 2), 4), ValueError, "grid_points: expected rows of 1 or more, found 0"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
