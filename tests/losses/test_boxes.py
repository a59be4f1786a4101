"""Box losses against the formulas of their papers, box by box in torch, and areas against counted pixels."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import losses
from jnn.boxes import box_area, box_iou, box_overlap, centers_of_corners, corners_of_centers
from tests.losses.exact import assert_exact, in_float64
from tests.oracle import configurations

LOSSES = (losses.iou_loss, losses.giou_loss, losses.diou_loss, losses.ciou_loss)


def random_boxes(rng, *leading):
    low = rng.uniform(0, 5, (*leading, 2))
    return np.concatenate([low, low + rng.uniform(0.5, 5, (*leading, 2))], -1)


def four_losses(a, b):
    """Of one box and its target."""
    side = lambda box, i: box[2 + i] - box[i]
    both = math.prod((torch.minimum(a[2 + i], b[2 + i]) - torch.maximum(a[i], b[i])).clamp(min=0) for i in range(2))
    union = side(a, 0) * side(a, 1) + side(b, 0) * side(b, 1) - both
    hull = [torch.maximum(a[2 + i], b[2 + i]) - torch.minimum(a[i], b[i]) for i in range(2)]
    apart = sum(((a[i] + a[2 + i]) / 2 - (b[i] + b[2 + i]) / 2) ** 2 for i in range(2))
    iou, distance = both / union, apart / (hull[0] ** 2 + hull[1] ** 2)
    v = 4 / math.pi**2 * (torch.atan(side(b, 0) / side(b, 1)) - torch.atan(side(a, 0) / side(a, 1))) ** 2
    alpha = (v / (1 - iou + v)).detach()
    giou = iou - (hull[0] * hull[1] - union) / (hull[0] * hull[1])
    return torch.stack([1 - iou, 1 - giou, 1 - iou + distance, 1 - iou + distance + alpha * v])


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_match_their_formulas(rng):
    n = int(rng.integers(2, 8))
    assert_exact(
        lambda a, b: jnp.stack([loss(a, b) for loss in LOSSES]),
        lambda a, b: torch.stack([four_losses(*pair) for pair in zip(a, b, strict=True)], -1),
        random_boxes(rng, n),
        random_boxes(rng, n),
    )


def test_overlaps_are_counts_of_pixels():
    rng = np.random.default_rng(0)
    a, b = (
        np.concatenate([low, low + rng.integers(0, 4, (n, 2))], -1)
        for n in (5, 4)
        for low in [rng.integers(0, 5, (n, 2))]
    )
    drawn = lambda box: {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}
    found = in_float64(box_iou, a.astype(float), b.astype(float))
    for i, one in enumerate(map(drawn, a)):
        for j, other in enumerate(map(drawn, b)):
            np.testing.assert_allclose(found[i, j], len(one & other) / max(len(one | other), 1), rtol=1e-12)
    both, union = box_overlap(jnp.asarray(a[:4], jnp.float32), jnp.asarray(b, jnp.float32))
    assert both.tolist() == [len(drawn(p) & drawn(q)) for p, q in zip(a[:4], b, strict=True)]
    assert union.tolist() == [len(drawn(p) | drawn(q)) for p, q in zip(a[:4], b, strict=True)]
    assert box_area(jnp.asarray(a, jnp.float32)).tolist() == [len(drawn(p)) for p in a]


def test_centers_and_corners_are_each_others_inverse():
    boxes = jnp.asarray(random_boxes(np.random.default_rng(0), 3, 2), jnp.float32)
    np.testing.assert_allclose(corners_of_centers(centers_of_corners(boxes)), boxes, rtol=1e-5)
    np.testing.assert_allclose(
        centers_of_corners(boxes)[..., 2] * centers_of_corners(boxes)[..., 3], box_area(boxes), rtol=1e-5
    )


def test_boxes_without_area_equal_boxes_and_far_ones_are_finite():
    a = jnp.array(
        [[1, 1, 1, 1], [1, 1, 1, 3], [0, 0, 2, 2], [3, 3, 1, 1], [0, 0, 1e18, 1e18], [1, 1, 1, 1]], jnp.float32
    )
    b = jnp.array(
        [[1, 1, 1, 1], [1, 1, 1, 3], [0, 0, 2, 2], [0, 0, 2, 2], [1e18, 0, 2e18, 1], [0, 0, 2, 2]], jnp.float32
    )

    @jax.jit
    def values_and_gradients(a, b):
        each = lambda a, b: jnp.stack([loss(a, b) for loss in LOSSES])
        return each(a, b), jax.grad(lambda *x: each(*x).sum(), argnums=(0, 1))(a, b)

    values, gradients = values_and_gradients(a, b)
    assert np.isfinite(values).all()
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    np.testing.assert_allclose(values[:, 2], 0, atol=1e-6)


X = jnp.zeros((2, 4))


@pytest.mark.parametrize("loss", LOSSES, ids=lambda f: f.__name__)
def test_bad_input_is_one_clear_error(loss):
    with pytest.raises(
        ValueError, match=rf"{loss.__name__}: expected boxes \[\.\.\.,4\] of x0, .* found float32\[2,3\]"
    ):
        loss(X[:, :3], X[:, :3])
    with pytest.raises(ValueError, match=f"{loss.__name__}: expected equal shapes"):
        loss(X, X[:1])
    with pytest.raises(TypeError, match=f"{loss.__name__}: expected floating-point input, found int32"):
        loss(X.astype(int), X)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda f: f.__name__)
def test_a_target_of_x_y_width_height_is_an_error_and_nan_and_such_a_prediction_is_empty(loss):
    box, sized = jnp.array([[5.0, 5.0, 7.0, 7.0]]), jnp.array([[5.0, 5.0, 2.0, 2.0]])
    with pytest.raises(
        ValueError, match=rf"{loss.__name__}: expected targets of corners .*found \[5.0, 5.0, 2.0, 2.0\]"
    ):
        loss(box, sized)
    assert float(loss(sized, box)[0]) >= 1
    both = jnp.concatenate([sized, box])
    values, back = jax.jit(lambda *args: jax.vjp(loss, *args))(jnp.concatenate([box, box + 1]), both)
    assert np.isnan(values).tolist() == [True, False]
    assert all(np.isfinite(gradient).all() for gradient in back(jnp.ones(2)))  # it may be padding, of weight 0


def test_all_pairs_want_lists_of_boxes():
    with pytest.raises(ValueError, match="box_iou: expected an array of rank 2 or more"):
        box_iou(X[0], X)
