"""Focal, generalized and poly losses against torch's autodiff of their definitions, Optax, and with bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from jnn.losses import binary_focal_loss, cross_entropy, focal_loss, generalized_cross_entropy, poly_loss
from tests.losses.exact import assert_exact, leading
from tests.oracle import configurations


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_match_their_definitions(rng):
    shape, classes, gamma, q = leading(rng), int(rng.integers(2, 6)), float(rng.uniform(0, 3)), rng.uniform(0.1, 1)
    logits, labels = rng.normal(scale=3, size=(*shape, classes)), rng.integers(0, classes, shape)

    def theirs(x, y):
        p = x.softmax(-1).gather(-1, y[..., None])[..., 0]
        return torch.stack([-((1 - p) ** gamma) * p.log(), (1 - p**q) / q, -p.log() + 2 * (1 - p)])

    def ours(x, y):
        losses = focal_loss(x, y, gamma=gamma), generalized_cross_entropy(x, y, q=q), poly_loss(x, y, epsilon=2.0)
        return jnp.stack(losses)

    assert_exact(ours, theirs, logits, labels)
    hot = jax.nn.one_hot(labels, classes)
    optaxs = optax.losses.poly_loss_cross_entropy(jnp.asarray(logits, jnp.float32), hot, epsilon=2.0)
    np.testing.assert_allclose(poly_loss(jnp.asarray(logits), jnp.asarray(labels), epsilon=2.0), optaxs, rtol=1e-4)


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_binary_focal_loss_matches_its_definition_and_optax(rng):
    shape, gamma, alpha = (*leading(rng), 3), float(rng.uniform(0, 3)), float(rng.uniform())
    logits, targets = rng.normal(scale=3, size=shape), rng.integers(0, 2, shape).astype(np.float64)

    def theirs(x, y):
        p = x.sigmoid() * y + (1 - x.sigmoid()) * (1 - y)
        return (-(alpha * y + (1 - alpha) * (1 - y)) * (1 - p) ** gamma * p.log()).mean(-1)

    options = {"gamma": gamma, "alpha": alpha}
    # targets are constants: between 0 and 1 the definitions are two different ones
    assert_exact(lambda x: binary_focal_loss(x, targets, **options), lambda x: theirs(x, torch.tensor(targets)), logits)
    x, y = jnp.asarray(logits, jnp.float32), jnp.asarray(targets, jnp.float32)
    np.testing.assert_allclose(
        binary_focal_loss(x, y, **options), optax.losses.sigmoid_focal_loss(x, y, **options).mean(-1), rtol=2e-4
    )


def test_gradients_of_sure_answers_are_finite_for_small_powers():
    """Where (1 - p)^gamma has an infinite slope, times a logarithm of zero."""
    x, y = jnp.array([[200.0, 0.0], [0.0, 200.0], [1e30, 0.0]]), jnp.array([0, 0, 1])

    @jax.jit
    def values_and_gradients(x):
        each = lambda x: jnp.stack(
            [
                focal_loss(x, y, gamma=0.3),
                generalized_cross_entropy(x, y, q=0.1),
                binary_focal_loss(x, jax.nn.one_hot(y, 2), gamma=0.3),
                focal_loss(x[:, :1], 0 * y, gamma=0.3),  # one class is sure
            ]
        )
        return each(x), jax.jacrev(each)(x)

    values, gradients = values_and_gradients(x)
    assert np.isfinite(values).all()
    assert np.isfinite(gradients).all()
    np.testing.assert_array_equal(values[-1], 0)


@pytest.mark.parametrize("loss", [focal_loss, generalized_cross_entropy, poly_loss], ids=lambda f: f.__name__)
def test_a_label_out_of_range_raises_or_gives_nan_for_that_example(loss):
    x, y = jnp.zeros((2, 3)), jnp.array([0, 3])
    with pytest.raises(ValueError, match=rf"{loss.__name__}: expected labels in 0\.\.2 \(3 classes\), found 0\.\.3"):
        loss(x, y)
    assert jnp.isnan(jax.jit(loss)(x, y)).tolist() == [False, True]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x, y: focal_loss(x, x), TypeError, "expected integers, found float32"),
        (lambda x, y: focal_loss(x, y[:1]), ValueError, r"expected labels \(2,\) for float32\[2,3\], found int32\[1\]"),
        (lambda x, y: focal_loss(x, y, gamma=-1.0), ValueError, "expected gamma >= 0, found -1.0"),
        (lambda x, y: generalized_cross_entropy(x, y, q=0.0), ValueError, r"expected q in \(0, 1\], found 0.0"),
        (lambda x, y: binary_focal_loss(x, x, alpha=2.0), ValueError, r"expected alpha in \[0, 1\], found 2.0"),
        (lambda x, y: binary_focal_loss(x, x + 2), ValueError, r"binary_focal_loss: expected targets in \[0, 1\]"),
        (binary_focal_loss, ValueError, "binary_focal_loss: expected equal shapes"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call(jnp.zeros((2, 3)), jnp.zeros(2, jnp.int32))


def test_without_focus_they_are_cross_entropy():
    x, y = jnp.array([[1.0, -2.0, 0.5]]), jnp.array([2])
    np.testing.assert_allclose(focal_loss(x, y, gamma=0.0), cross_entropy(x, y), rtol=1e-6)
    np.testing.assert_allclose(generalized_cross_entropy(x, y, q=1e-4), cross_entropy(x, y), rtol=1e-3)
