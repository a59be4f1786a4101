"""Margin losses against torch's autodiff of their definitions, scikit-learn, Optax, and with bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import sklearn.metrics
import torch
import torch.nn.functional as F

from jnn import losses
from tests.losses.exact import assert_exact, in_float64, leading
from tests.oracle import configurations

BINARY = (
    losses.hinge_loss,
    losses.squared_hinge_loss,
    losses.modified_huber_loss,
    losses.perceptron_loss,
    losses.sigmoid_loss,
)
NEITHER = (*BINARY, losses.multi_label_margin_loss)


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_binary_losses_match_their_definitions(rng):
    shape = (*leading(rng), 4)
    scores, targets = rng.normal(scale=2, size=shape), rng.integers(0, 2, shape)

    def theirs(s, t):
        m = s * (2 * t - 1)
        each = [
            (1 - m).clamp(min=0),
            (1 - m).clamp(min=0) ** 2,
            torch.where(m >= -1, (1 - m).clamp(min=0) ** 2, -4 * m),
            (-m).clamp(min=0),
            1 / (1 + m.exp()),
        ]
        return torch.stack(each).mean(-1)

    assert_exact(lambda s, t: jnp.stack([loss(s, t) for loss in BINARY]), theirs, scores, targets)
    for loss, optaxs in (
        (losses.hinge_loss, optax.losses.hinge_loss),
        (losses.perceptron_loss, optax.losses.perceptron_loss),
    ):
        x, y = jnp.asarray(scores, jnp.float32), jnp.asarray(targets)
        np.testing.assert_allclose(loss(x, y), optaxs(x, 2 * y - 1).mean(-1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_multi_class_hinge_matches_scikit_learn_and_optax(rng):
    n, classes = int(rng.integers(2, 6)), int(rng.integers(3, 6))
    scores, labels = rng.normal(size=(n, classes)), rng.integers(0, classes, n)
    with_margin, without = in_float64(
        lambda s, t: jnp.stack([losses.multiclass_hinge_loss(s, t), losses.multiclass_hinge_loss(s, t, margin=0.0)]),
        scores,
        labels,
    )
    hinge = [sklearn.metrics.hinge_loss([y], [s], labels=range(classes)) for s, y in zip(scores, labels, strict=True)]
    np.testing.assert_allclose(with_margin, hinge, rtol=1e-12, atol=1e-12)
    x, y = jnp.asarray(scores, jnp.float32), jnp.asarray(labels)
    np.testing.assert_allclose(without, optax.losses.multiclass_perceptron_loss(x, y), rtol=1e-5, atol=1e-6)
    assert_exact(
        losses.multiclass_hinge_loss,
        lambda s, t: F.relu(1 + s - s.gather(1, t[:, None])).scatter(1, t[:, None], 0.0).max(1).values,
        scores,
        labels,
    )


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_margins_over_all_wrong_classes_are_torchs(rng):
    lead, classes, margin = leading(rng), int(rng.integers(2, 6)), float(rng.uniform(0, 2))
    scores, targets = rng.normal(size=(*lead, classes)), rng.integers(0, 2, (*lead, classes))

    def ours(s, t, y):
        each = [losses.multi_margin_loss(s, y, margin=margin, power=power) for power in (1, 2)]
        return jnp.stack([*each, losses.multi_label_margin_loss(s, t)])

    def theirs(s, t, y):
        s, t, y = s.reshape(-1, classes), t.reshape(-1, classes), y.reshape(-1)
        each = [F.multi_margin_loss(s, y, p=p, margin=margin, reduction="none") for p in (1, 2)]
        right = torch.where(t == 1, torch.arange(t.shape[1]), t.shape[1]).sort(1).values  # its labels: some, then -1
        labels = torch.where(right < t.shape[1], right, -1)
        each.append(F.multilabel_margin_loss(s, labels, reduction="none"))
        return torch.stack(each).reshape(3, *lead)

    assert_exact(ours, theirs, scores, targets, rng.integers(0, classes, lead))


@pytest.mark.parametrize("loss", NEITHER, ids=lambda f: f.__name__)
def test_a_target_that_is_neither_raises_or_gives_nan_for_that_example(loss):
    x, y = jnp.zeros((2, 1)), jnp.array([[1], [-1]])
    with pytest.raises(ValueError, match=rf"{loss.__name__}: expected targets of 0 and 1, found values from -1 to 1"):
        loss(x, y)
    assert jnp.isnan(jax.jit(loss)(x, y)).tolist() == [False, True]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: losses.hinge_loss(x, x[0]), ValueError, "hinge_loss: expected equal shapes"),
        (lambda x: losses.hinge_loss(x > 0, x), TypeError, "expected floating-point input, found bool"),
        (lambda x: losses.multiclass_hinge_loss(x, x), TypeError, "expected integers"),
        (
            lambda x: losses.multiclass_hinge_loss(x, jnp.zeros(2, int), margin=-1.0),
            ValueError,
            "expected margin >= 0, found -1.0",
        ),
        (lambda x: losses.multiclass_hinge_loss(x, jnp.array([0, 3])), ValueError, r"expected labels in 0\.\.2"),
        (lambda x: losses.multi_margin_loss(x, jnp.array([0, 3])), ValueError, r"expected labels in 0\.\.2"),
        (lambda x: losses.multi_margin_loss(x, jnp.zeros(2, int), margin=-1.0), ValueError, "margin >= 0, found -1.0"),
        (lambda x: losses.multi_margin_loss(x, jnp.zeros(2, int), power=3), ValueError, "a power of 1 or 2, found 3"),
        (lambda x: losses.multi_label_margin_loss(x, x[0]), ValueError, "expected equal shapes"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call(jnp.zeros((2, 3)))
