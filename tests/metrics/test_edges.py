"""At the edges of what metrics take: shares that are all of it, one class, boxes turned over, unequal sums."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from jnn import metrics as M
from jnn.metrics._combine import combine
from jnn.metrics._sums import ratio


def test_a_count_over_itself_is_1():
    """Of many counts over one, XLA makes products with its inverse: 41 * (1 / 41) is less than 1 in float32."""
    counts = jnp.stack([jnp.arange(1.0, 200.0), jnp.zeros(199)], axis=-1)
    assert (ratio(counts, counts.sum(-1, keepdims=True))[:, 0] == 1).all()


@pytest.mark.parametrize("n", [7, 41, 47, 55])
def test_a_perfect_curve_reaches_its_corners(n):
    roc = M.AucHistogram(*(n * x for x in (jnp.array([0.0, 1.0]), jnp.array([1.0, 0.0]))))
    assert roc.sensitivity_at_specificity(1.0) == roc.specificity_at_sensitivity(1.0) == 1
    assert M.PrecisionRecall(*roc).precision_at_recall(1.0) == 1


def test_one_class_explains_all_and_correlates_with_nothing():
    rng = np.random.default_rng(0)
    weight, many = jnp.asarray(rng.uniform(size=20), jnp.float32), jnp.asarray(rng.integers(0, 3, 20))
    table = functools.partial(M.contingency, weight=weight, num_clusters=3, num_classes=3)
    assert table(many, 0 * many).homogeneity() == table(0 * many, many).completeness() == 1
    one = jnp.ones((20, 3)).at[:, 1].set(2.0)
    for logits, labels in ((one, many), (one, 0 * many), (jnp.eye(3)[many], 0 * many)):
        assert M.confusion_matrix(logits, labels, weight).matthews_correlation() == 0
    assert jnp.isnan(M.fleiss_kappa(jnp.array([[3, 0]] * 20), weight).value())


def test_boxes_turned_over_are_wrong_and_not_left_out():
    box, turned = [0.0, 0.0, 2.0, 2.0], [3.0, 3.0, 2.0, 5.0]
    found = M.mean_average_precision(
        [[turned, box]], [[0.9, 0.5]], np.zeros((1, 2), int), [[box]], np.zeros((1, 1), int), num_classes=1
    )
    assert found.value() == 0.5


@pytest.mark.parametrize("together", [M.merge, combine])
def test_sums_of_other_shapes_do_not_merge(together):
    with pytest.raises(ValueError, match=r"expected sums of one shape, found \(1,\) and \(4,\)"):
        together(*(M.Counts(*np.ones((3, n))) for n in (1, 4)))


@pytest.mark.parametrize(
    "metric",
    [
        lambda i: M.accuracy(jnp.ones((1, 3)), i),
        lambda i: M.contingency(i, i * 0, num_clusters=3, num_classes=3),
        lambda i: M.group_counts(jnp.ones(1), i * 0, i, num_groups=3),
        lambda i: M.instance_precision(np.zeros((1, 1, 1), int), np.broadcast_to(i, (1, 1, 1)), num_instances=3),
        lambda i: M.panoptic_quality(
            np.zeros((1, 1, 1, 2), int), np.broadcast_to(i, (1, 1, 1, 2)), num_classes=3, num_instances=3
        ),
    ],
)
def test_labels_beyond_32_bits_are_not_those_whose_bits_they_share(metric):
    with pytest.raises(ValueError, match="expected"):
        metric(np.array([2**32]))
