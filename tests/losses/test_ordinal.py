"""Ordinal losses against torch's autodiff of their definitions, at the edges, and with bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from jnn.losses import coral_loss, ordinal_cross_entropy
from tests.losses.exact import assert_exact, leading
from tests.oracle import configurations


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_match_their_definitions(rng):
    shape, classes = leading(rng), int(rng.integers(2, 6))
    scores, thresholds = rng.normal(size=shape), np.cumsum(rng.uniform(0.1, 1, classes - 1))
    logits, labels = rng.normal(size=(*shape, classes - 1)), rng.integers(0, classes, shape)

    def theirs(s, t, x, y):
        up_to = torch.cat([torch.zeros(*shape, 1), (t - s[..., None]).sigmoid(), torch.ones(*shape, 1)], -1)
        link = -torch.log(up_to.diff(dim=-1).gather(-1, y[..., None])[..., 0])
        above = (torch.arange(classes - 1) < y[..., None]).double()
        return torch.stack([link, F.binary_cross_entropy_with_logits(x, above, reduction="none").sum(-1)])

    ours = lambda s, t, x, y: jnp.stack([ordinal_cross_entropy(s, t, y), coral_loss(x, y)])
    assert_exact(ours, theirs, scores, thresholds, logits, labels)


def test_scores_of_any_size_are_exact():
    scores, thresholds = jnp.array([1e4, -1e4, 1e4]), jnp.array([-1.0, 1.0])
    loss = jax.jit(jax.value_and_grad(lambda s: ordinal_cross_entropy(s, thresholds, jnp.array([0, 2, 2])).sum()))
    value, gradient = loss(scores)
    np.testing.assert_allclose(value, 2e4 + 2, rtol=1e-6)
    np.testing.assert_allclose(gradient, [1.0, -1.0, 0.0])


@pytest.mark.parametrize(
    "loss", [lambda x, y: ordinal_cross_entropy(x[..., 0], jnp.array([0.0, 1.0]), y), coral_loss], ids=["link", "coral"]
)
def test_a_label_out_of_range_raises_or_gives_nan_for_that_example(loss):
    x, y = jnp.zeros((2, 2)), jnp.array([2, 3])
    with pytest.raises(ValueError, match=r"expected labels in 0\.\.2 \(3 classes\), found 2\.\.3"):
        loss(x, y)
    assert jnp.isnan(jax.jit(loss)(x, y)).tolist() == [False, True]


X, Y = jnp.zeros(2), jnp.zeros(2, jnp.int32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ordinal_cross_entropy(X, jnp.array([1.0, 0.0]), Y), ValueError, "expected thresholds that increase"),
        (lambda: ordinal_cross_entropy(X, X[None], Y), ValueError, r"\(classes - 1,\), one array for all examples"),
        (lambda: ordinal_cross_entropy(X, X[:1], Y[:1]), ValueError, r"expected labels \(2,\)"),
        (lambda: coral_loss(X[None], Y), ValueError, r"expected labels \(1,\)"),
        (lambda: coral_loss(Y, Y[0]), TypeError, "expected floating-point input, found int32"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
