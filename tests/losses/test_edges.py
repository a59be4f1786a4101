"""At the edges of what losses take: infinite logits, narrow integers, powers near a special case, nothing to come."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import losses
from jnn.image_similarity import psnr

INF = jnp.inf
of_many = functools.partial(jnp.asarray, dtype=jnp.float32)


def finite(loss, *args):
    """The sum of a loss, once its gradient is known to be finite."""
    value, slope = jax.value_and_grad(lambda x: jnp.sum(loss(x)))(*args)
    assert jnp.all(jnp.isfinite(slope))
    return float(value)


@pytest.mark.parametrize(
    "loss",
    [
        losses.binary_cross_entropy_with_logits,
        losses.binary_focal_loss,
        functools.partial(losses.binary_focal_loss, gamma=0.0),
    ],
)
def test_answers_that_are_certain_and_right_cost_nothing(loss):
    assert finite(lambda x: loss(x, jnp.array([[0, 1]])), jnp.array([[-INF, INF]])) == 0


def test_dino_has_classes_that_neither_network_takes():
    x = jnp.array([[0.0, -INF, 1.0]])
    alone = losses.dino_loss(x[:, ::2], x[:, ::2], jnp.zeros(2))
    np.testing.assert_allclose(finite(lambda s: losses.dino_loss(s, x, jnp.zeros(3)), x), alone[0], rtol=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        lambda i: losses.chunked_cross_entropy(jnp.ones((2, 1)), jnp.linspace(0, 1, 300)[:, None], i),
        lambda i: losses.ctc_loss(jnp.zeros((4, 300)), i, i[:1].sum() - 96, i[1:].sum() - 1),
        lambda i: losses.transducer_loss(jnp.zeros((4, 3, 300)), i, i[:1].sum() - 96, i[1:].sum() - 1),
        lambda i: losses.update_centers(jnp.zeros((300, 1)), jnp.ones((2, 1)), i),
        lambda i: losses.hierarchical_softmax(
            jnp.ones((2, 1)), jnp.ones((299, 1)), i, nodes=np.zeros((300, 2), int), codes=np.eye(300, 2, dtype=int)
        ),
    ],
)
def test_labels_of_8_bits_are_of_any_number_of_classes(loss):
    labels = jnp.array([100, 3], jnp.uint8)
    np.testing.assert_array_equal(loss(labels), loss(labels.astype(jnp.int32)))


@pytest.mark.parametrize("loss", [losses.ctc_loss, losses.transducer_loss])
def test_lengths_of_8_bits_add_up(loss):
    labels = jnp.arange(1, 71)
    logits = jnp.zeros((70, 71) if loss is losses.ctc_loss else (70, 71, 71))
    found, wide = (loss(logits, labels, *jnp.array([70, 70], dtype)) for dtype in (jnp.int8, jnp.int32))
    assert found == wide < INF


@pytest.mark.parametrize("power", [1 + 1e-7, 1.001, 2 - 1e-6, 2 + 1e-6])
def test_tweedie_deviance_has_no_gap_at_its_special_cases(power):
    mean, y = of_many([[0.7, 2.0, 9.0]]), of_many([[0.5, 3.0, 7.0]])
    near = {1: losses.poisson_deviance, 2: losses.gamma_deviance}[round(power)](mean, y)
    np.testing.assert_allclose(losses.tweedie_deviance(mean, y, power=power), near, rtol=2e-3)
    if power in (1 + 1e-7, 2 + 1e-6):
        np.testing.assert_allclose(losses.tweedie_deviance(mean, y, power=power), near, rtol=2e-5)


@pytest.mark.parametrize(
    ("log_mean", "log_count", "count", "expected"),
    [
        (0.0, -90.0, 2, 90 + np.log(2)),  # count / 2 is the chance of it
        (0.0, -90.0, 0, 0.0),
        (0.0, 100.0, 2, 1 + np.log(2)),  # Poisson's
        (5.0, 40.0, 3, np.exp(5) - 15 + np.log(6)),
        (100.0, 0.0, 3, 100.0),
    ],
)
def test_negative_binomials_have_any_parameters(log_mean, log_count, count, expected):
    loss = lambda p: losses.negative_binomial_nll(p[:1], p[1:], jnp.array([count]))
    np.testing.assert_allclose(finite(loss, of_many([log_mean, log_count])), expected, rtol=1e-6, atol=1e-6)


def test_students_t_of_many_degrees_has_a_gradient():
    loss = lambda nu: losses.student_t_nll(jnp.zeros((1, 1)), jnp.zeros((1, 1)), jnp.ones((1, 1)), degrees=nu)
    assert finite(loss, jnp.full((1, 1), 1e12)) == pytest.approx(0.5 + 0.5 * np.log(2 * np.pi), rel=1e-6)


def test_thresholds_that_meet_cost_the_label_between_them_alone():
    loss = lambda t: losses.ordinal_cross_entropy(jnp.array([0.0, 5.0]), t, jnp.array([0, 2]))
    assert finite(jax.jit(loss), jnp.ones(2)) == pytest.approx(0.3314116, rel=1e-5)
    between = jax.jit(losses.ordinal_cross_entropy)(jnp.zeros(1), jnp.ones(2), jnp.array([1]))
    assert between.tolist() == [INF]


def test_projections_are_onto_values_that_grow():
    with pytest.raises(
        ValueError, match=r"categorical_projection: expected values .* that increase, found \[1\. 0\.\]"
    ):
        losses.categorical_projection(jnp.ones(1), jnp.ones(1), jnp.array([1.0, 0.0]))


def test_images_that_are_equal_have_no_gradient():
    x = jnp.full((2, 2, 1), 0.3)
    assert finite(lambda y: psnr(x, y), x) == INF


def test_masked_rows_far_off_change_no_hardest_triplet():
    x = np.random.default_rng(1).normal(size=(6, 4)) + 1e4
    labels, rows = jnp.array([0, 1, 2] * 4), of_many(np.tile(x, (2, 1)))
    found = losses.batch_hard_triplet_loss(rows, labels, mask=jnp.arange(12) < 6)[:6]
    np.testing.assert_array_equal(found, losses.batch_hard_triplet_loss(rows[:6], labels[:6]))


def test_nothing_is_taken_from_beyond_an_end():
    one, end, q = jnp.ones(1), jnp.zeros(1), jnp.full((1, 2), -INF)
    assert losses.q_learning_loss(jnp.zeros((1, 2)), jnp.array([0]), one, end, q).tolist() == [0.5]
    assert losses.td_loss(end, one, end, one * INF).tolist() == [0.5]
    beyond = jnp.array([0.0, 0.0, jnp.nan])
    discounts = jnp.array([0.5, 0.0])
    assert losses.lambda_returns(jnp.ones(2), discounts, beyond, decay=1.0).tolist() == [1.5, 1.0]
    assert losses.vtrace(jnp.ones(2), discounts, beyond, jnp.zeros(2))[0].tolist() == [1.5, 1.0]


@pytest.mark.parametrize("loss", [losses.giou_loss, losses.ciou_loss])
def test_small_boxes_have_gradients(loss):
    targets = jnp.array([[0.0, 0.0, 0.0, 3.0], [0.0, 0.0, 2.0, 2.0]])
    finite(lambda boxes: loss(boxes, targets), of_many([[0.0, 0.0, 1e-30, 1e-30]] * 2))
