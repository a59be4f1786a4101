"""Codes of boxes: formulas of the papers in torch, values and gradients; each way back undoes the other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import boxes as B
from tests.losses.exact import assert_exact
from tests.losses.test_boxes import random_boxes
from tests.oracle import configurations

SCALE = (10.0, 10.0, 5.0, 5.0)


def deltas(anchors, boxes):
    """Of Faster R-CNN, section 3.1.2, times the scale of Fast R-CNN."""
    side = lambda x, i: x[..., 2 + i] - x[..., i]
    middle = lambda x, i: (x[..., 2 + i] + x[..., i]) / 2
    move = [(middle(boxes, i) - middle(anchors, i)) / side(anchors, i) for i in range(2)]
    growth = [torch.log(side(boxes, i) / side(anchors, i)) for i in range(2)]
    return torch.stack([*move, *growth], -1) * torch.tensor(SCALE, dtype=boxes.dtype)


def centerness(d):
    """Of FCOS, equation 3; 0 outside."""
    ratio = lambda a, b: torch.minimum(a, b) / torch.maximum(a, b)
    both = ratio(d[..., 0], d[..., 2]) * ratio(d[..., 1], d[..., 3])
    inside = (d > 0).all(-1)
    return torch.where(inside, torch.sqrt(torch.where(inside, both, 1.0)), 0.0)


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_match_their_formulas_and_undo_each_other(rng):
    n = int(rng.integers(2, 8))
    a, b = random_boxes(rng, n), random_boxes(rng, n)
    assert_exact(lambda a, b: B.deltas_of_corners(a, b, scale=SCALE), deltas, a, b)
    assert_exact(B.centerness, centerness, rng.normal(1, 1, (n, 4)))
    a, b, points = (jnp.asarray(x, jnp.float32) for x in (a, b, rng.uniform(0, 9, (n, 2))))
    back = B.corners_of_deltas(a, B.deltas_of_corners(a, b, scale=SCALE), scale=SCALE)
    np.testing.assert_allclose(back, b, rtol=1e-4, atol=1e-5)
    found = B.distances_of_corners(points, b)
    for i in range(n):
        (x, y), (x0, y0, x1, y1) = points[i], b[i]
        np.testing.assert_allclose(found[i], [x - x0, y - y0, x1 - x, y1 - y], rtol=1e-6)
    np.testing.assert_allclose(B.corners_of_distances(points, found), b, rtol=1e-4, atol=1e-5)


def test_a_point_is_most_central_in_the_middle_and_not_at_all_outside():
    box = jnp.array([[0.0, 0.0, 8.0, 4.0]])
    at = lambda x, y: float(B.centerness(B.distances_of_corners(jnp.array([[x, y]]), box))[0])
    assert at(4.0, 2.0) == 1
    assert at(0.0, 2.0) == at(-1.0, 2.0) == at(9.0, 2.0) == 0
    assert at(4.0, 2.0) > at(3.0, 2.0) > at(1.0, 2.0) > 0


def test_codes_and_their_gradients_are_finite_without_an_area_and_sides_do_not_explode():
    anchors, flat = jnp.array([[0.0, 0.0, 4.0, 4.0]] * 2), jnp.array([[1.0, 1.0, 1.0, 3.0], [0.0, 0.0, 0.0, 0.0]])
    for f in (lambda b: B.deltas_of_corners(anchors, b), B.centerness):
        values, back = jax.vjp(f, flat)
        assert np.isfinite(values).all()
        assert np.isfinite(back(jnp.ones_like(values))[0]).all()
    grown = B.corners_of_deltas(anchors[:1], jnp.array([[0.0, 0.0, 1e4, -1e4]]))
    np.testing.assert_allclose(grown, [[2 - 125.0, 2, 2 + 125, 2]], rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: B.distances_of_corners(x[:, :3], x), ValueError, r"distances_of_corners: expected points \[...,2\]"),
        (lambda x: B.corners_of_distances(x[:, :2], x[:, :2]), ValueError, r"corners_of_distances: expected boxes"),
        (lambda x: B.deltas_of_corners(x, x.astype(int)), TypeError, "deltas_of_corners: expected floating-point"),
        (lambda x: B.corners_of_deltas(x, x[:, :2]), ValueError, "corners_of_deltas: expected boxes"),
        (lambda x: B.centerness(x[:, :2]), ValueError, "centerness: expected boxes"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call(jnp.zeros((3, 4)))
