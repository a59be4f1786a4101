"""Suppression against greedy loops written from the papers, over random boxes with ties, padding and NaN."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.boxes import non_maximum_suppression, soft_non_maximum_suppression
from tests.oracle import configurations


def drawn(rng, n=30):
    """Boxes of whole corners, scores with ties, some NaN, three labels, and a mask whose boxes hold anything."""
    low = rng.integers(0, 12, (n, 2))
    boxes = np.concatenate([low, low + rng.integers(0, 9, (n, 2))], -1).astype(np.float32)
    scores = (rng.integers(0, 12, n) / 12).astype(np.float32)
    scores[rng.uniform(size=n) < 0.1] = np.nan
    mask = rng.uniform(size=n) < 0.8
    boxes[~mask & (rng.uniform(size=n) < 0.5)] = np.nan
    return boxes, scores, rng.integers(0, 3, n).astype(np.int32), mask


def iou(a, b):
    sides = [max(0.0, min(a[2 + i], b[2 + i]) - max(a[i], b[i])) for i in range(2)]
    area = lambda box: (box[2] - box[0]) * (box[3] - box[1])
    union = area(a) + area(b) - math.prod(sides)
    return math.prod(sides) / union if union > 0 else 0.0


def greedy(boxes, scores, labels, mask, least, lower):
    """(place, score) of each box that is kept: the best, whose overlaps lower the others', again and again."""
    left = {i: float(score) for i, score in enumerate(scores) if mask[i] and not np.isnan(score)}
    found = []
    while left := {i: score for i, score in left.items() if score >= least}:
        best = max(left, key=lambda i: (left[i], -i))
        found.append((best, left.pop(best)))
        meets = lambda i, best=best: iou(boxes[i], boxes[best]) if labels[i] == labels[best] else 0.0
        left = {i: lower(meets(i), score) for i, score in left.items()}
    return found


def check(kept, expected, size):
    places = [(int(i), float(s)) for i, s in zip(kept.indices[kept.mask], kept.scores[kept.mask], strict=True)]
    assert kept.indices.shape == (size,)
    assert [place for place, _ in places] == [place for place, _ in expected[:size]]
    np.testing.assert_allclose([s for _, s in places], [s for _, s in expected[:size]], rtol=1e-5)
    np.testing.assert_array_equal(kept.scores[~kept.mask], 0)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
def test_is_the_greedy_loop_of_its_definition(rng):
    boxes, scores, labels, mask = drawn(rng)
    for size, threshold, least in [(40, 0.5, -np.inf), (7, 1 / 3, 0.25), (40, 0.0, 0.5), (3, 1.0, -np.inf)]:
        kept = non_maximum_suppression(
            boxes, scores, size, labels=labels, mask=mask, iou_threshold=threshold, score_threshold=least
        )
        drop = lambda overlap, score, threshold=threshold: -np.inf if overlap > threshold else score
        reference = greedy(boxes, scores, labels, mask, max(least, -1e9), drop)
        check(kept, reference, size)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
def test_soft_is_the_loop_of_its_paper(rng):
    boxes, scores, labels, mask = drawn(rng)
    for sigma, least in [(0.5, 0.001), (0.2, 0.1)]:
        kept = soft_non_maximum_suppression(
            boxes, scores, 40, labels=labels, mask=mask, sigma=sigma, score_threshold=least
        )
        decay = lambda overlap, score, sigma=sigma: score * math.exp(-(overlap**2) / sigma)
        check(kept, greedy(boxes, scores, labels, mask, least, decay), 40)


def test_a_batch_is_its_images_under_jit_and_vmap():
    rngs = [np.random.default_rng(i) for i in range(4)]
    boxes, scores, labels, mask = (np.stack(x) for x in zip(*map(drawn, rngs), strict=True))
    for suppress in (non_maximum_suppression, soft_non_maximum_suppression):
        one = lambda b, s, y, m, f=suppress: f(b, s, 9, labels=y, mask=m)
        together = jax.jit(one)(boxes, scores, labels, mask)
        for each in (jax.vmap(one)(boxes, scores, labels, mask), one(boxes, scores, labels, mask)):
            jax.tree.map(np.testing.assert_array_equal, together, each)
        for i in range(4):
            alone = one(boxes[i], scores[i], labels[i], mask[i])
            jax.tree.map(lambda x, y, i=i: np.testing.assert_array_equal(x[i], y), together, alone)


def test_where_nothing_is_left_nothing_is_kept():
    boxes, scores, labels, mask = drawn(np.random.default_rng(0))
    for what in ({"mask": np.zeros_like(mask)}, {"score_threshold": 2.0}):
        kept = non_maximum_suppression(boxes, scores, 5, labels=labels, **what)
        assert not kept.mask.any()
        assert kept.indices.tolist() == [0] * 5
    assert not non_maximum_suppression(boxes, scores * np.nan, 5).mask.any()


def test_scores_of_sixteen_bits_and_integers_of_eight_are_taken():
    boxes, scores, labels, mask = drawn(np.random.default_rng(1))
    scores = np.where(np.isnan(scores), 0, np.round(scores * 8) / 8)
    kept = non_maximum_suppression(
        boxes, jnp.asarray(scores, jnp.bfloat16), 9, labels=labels.astype(np.int8), mask=mask
    )
    expected = non_maximum_suppression(boxes, scores.astype(np.float32), 9, labels=labels, mask=mask)
    jax.tree.map(np.testing.assert_array_equal, kept, expected)


@pytest.mark.slow
@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_is_torchvisions(rng):
    """Of real corners; an overlap that one rounds to the other side of the threshold would be found here."""
    torch, ops = pytest.importorskip("torch"), pytest.importorskip("torchvision.ops")
    low = rng.uniform(0, 60, (200, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 30, (200, 2))], -1).astype(np.float32)
    scores, labels = rng.integers(0, 60, 200).astype(np.float32) / 60, rng.integers(0, 3, 200)
    for threshold in (0.3, 0.5, 0.7):
        ours = non_maximum_suppression(boxes, scores, 200, iou_threshold=threshold)
        theirs = ops.nms(torch.tensor(boxes), torch.tensor(scores), threshold)
        assert ours.indices[ours.mask].tolist() == theirs.tolist()
        ours = non_maximum_suppression(boxes, scores, 200, labels=labels, iou_threshold=threshold)
        theirs = ops.batched_nms(*map(torch.tensor, (boxes, scores, labels)), threshold)
        order = sorted(theirs.tolist(), key=lambda i: (-scores[i], i))  # of equal scores it may take any order
        assert ours.indices[ours.mask].tolist() == order


X, S = jnp.zeros((3, 4)), jnp.zeros(3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: f(X, S[:2], 2), ValueError, r"expected one score for each box, found boxes float32\[3,4\]"),
        (lambda f: f(X[:, :3], S, 2), ValueError, r"expected boxes \[...,4\]"),
        (lambda f: f(X, S.astype(int), 2), TypeError, "expected floating-point input"),
        (lambda f: f(X, S, 0), ValueError, "expected size of 1 or more, found 0"),
        (lambda f: f(X, S, 2, labels=S), TypeError, "expected integers"),
        (lambda f: f(X, S, 2, mask=S[:2]), ValueError, "expected equal shapes"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    for suppress in (non_maximum_suppression, soft_non_maximum_suppression):
        with pytest.raises(error, match=f"^{suppress.__name__}: {message}"):
            call(suppress)


def test_thresholds_that_make_no_sense_are_errors():
    with pytest.raises(ValueError, match=r"iou_threshold in \[0, 1\], found 1.5"):
        non_maximum_suppression(X, S, 2, iou_threshold=1.5)
    with pytest.raises(ValueError, match="sigma above 0, found 0"):
        soft_non_maximum_suppression(X, S, 2, sigma=0.0)


def test_scores_keep_their_dtype_beside_boxes_of_another():
    with jax.enable_x64(True):
        boxes = jnp.array([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.0]], jnp.float64)
        kept = soft_non_maximum_suppression(boxes, jnp.array([0.9, 0.6], jnp.float32), 2)
        assert kept.scores.dtype == jnp.float32
        np.testing.assert_allclose(kept.scores, [0.9, 0.6 * math.exp(-(0.5**2) / 0.5)], rtol=1e-6)
