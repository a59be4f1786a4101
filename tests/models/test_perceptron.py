"""The perceptron against scikit-learn and torch, Novikoff's bound, AND, OR and XOR, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from sklearn.linear_model import Perceptron

from jnn import init
from jnn.models import perceptron, perceptron_fit, perceptron_spec
from tests.oracle import configurations

CORNERS = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def fit(x, y, epochs):
    return perceptron_fit(init(perceptron_spec(x.shape[1]), jax.random.key(0)), jnp.asarray(x), jnp.asarray(y), epochs)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2, 3)), ids=range(20))
def test_the_rule_matches_scikit_learn(rng):
    n, d, epochs = int(rng.integers(5, 30)), int(rng.integers(1, 6)), int(rng.integers(1, 6))
    x, y = rng.normal(size=(n, d)).astype(np.float32), rng.integers(0, 2, n)
    y[:2] = 0, 1  # scikit-learn wants both classes
    w, b = rng.normal(size=d).astype(np.float32), np.float32(rng.normal())  # from elsewhere than 0, where it sees ties
    theirs = Perceptron(shuffle=False, tol=None, max_iter=epochs)
    # it writes into the array it starts from
    theirs.fit(x, y, coef_init=w[None].copy(), intercept_init=np.array([b]))
    ours, mistakes = perceptron_fit({"w": jnp.asarray(w), "b": jnp.asarray(b)}, jnp.asarray(x), jnp.asarray(y), epochs)
    np.testing.assert_allclose(ours["w"], theirs.coef_[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours["b"], theirs.intercept_[0], rtol=1e-4, atol=1e-4)
    assert mistakes.shape == (epochs,)


@pytest.mark.parametrize("rng", configurations(20, seed=1), ids=range(20))
def test_the_output_matches_torch(rng):
    x, w, b = (rng.normal(size=s).astype(np.float32) for s in [(3, 4, 5), (5,), ()])
    expected = torch.heaviside(torch.tensor(x) @ torch.tensor(w) + torch.tensor(b), torch.tensor(0.0))
    np.testing.assert_array_equal(perceptron({"w": jnp.asarray(w), "b": jnp.asarray(b)}, jnp.asarray(x)), expected)


@pytest.mark.parametrize("answers", [[0, 0, 0, 1], [0, 1, 1, 1]], ids=["and", "or"])
def test_learns_what_a_line_separates(answers):
    p, mistakes = fit(CORNERS, jnp.array(answers), epochs=20)
    np.testing.assert_array_equal(perceptron(p, CORNERS), answers)
    assert mistakes[0] > 0
    assert mistakes[-1] == 0


def test_never_learns_xor():
    _, mistakes = fit(CORNERS, jnp.array([0, 1, 1, 0]), epochs=200)
    assert mistakes.min() > 0


@pytest.mark.parametrize("rng", configurations(seed=2, fast=range(5)), ids=range(20))
def test_mistakes_stay_within_novikoffs_bound(rng):
    x = rng.normal(size=(60, 3)).astype(np.float32)
    normal = rng.normal(size=4)
    normal /= np.linalg.norm(normal)
    with_one = np.concatenate([x, np.ones((60, 1))], 1)
    clear = np.abs(with_one @ normal) > 0.2
    x, with_one = x[clear], with_one[clear]
    margin, radius = np.abs(with_one @ normal).min(), np.linalg.norm(with_one, axis=1).max()
    _, mistakes = fit(x, with_one @ normal > 0, epochs=int((radius / margin) ** 2) + 1)
    assert mistakes.sum() <= (radius / margin) ** 2
    assert mistakes[-1] == 0


@pytest.mark.parametrize(
    ("x", "y", "epochs", "error", "message"),
    [
        (jnp.ones((4, 2), jnp.int32), jnp.ones(4), 1, TypeError, r"perceptron_fit: expected floating-point input"),
        (jnp.ones((0, 2)), jnp.ones(0), 1, ValueError, r"perceptron_fit: expected at least one example"),
        (jnp.ones(2), jnp.ones(()), 1, ValueError, r"perceptron_fit: expected an array of rank 2 or more"),
        (
            jnp.ones((4, 2)),
            jnp.ones(3),
            1,
            ValueError,
            r"perceptron_fit: expected x \(examples, d_in\).*y float32\[3\]",
        ),
        (jnp.ones((4, 2)), jnp.ones(4), 0, ValueError, r"perceptron_fit: .* epochs=0"),
        (jnp.ones((4, 3)), jnp.ones(4), 1, ValueError, r"linear: its parameters expect input \[...,2\]"),
    ],
)
def test_bad_input_is_one_clear_error(x, y, epochs, error, message):
    with pytest.raises(error, match=message):
        perceptron_fit({"w": jnp.zeros(2), "b": jnp.zeros(())}, x, y, epochs)
