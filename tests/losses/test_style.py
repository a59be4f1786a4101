"""Gram matrices and the style loss against torch, by what they do not depend on, and with bad input."""

import jax.numpy as jnp
import numpy as np
import pytest

from jnn.losses import gram_matrix, style_loss
from tests.losses.exact import assert_exact, leading
from tests.oracle import configurations


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
def test_matches_torch(rng):
    """As Gatys et al. write it: sums over places, over 4 N**2 M**2."""
    lead, layers = leading(rng), rng.integers(1, 6, (int(rng.integers(1, 4)), 3))
    features = [rng.normal(size=(*lead, *shape)) for shape in layers]
    others = [rng.normal(size=(*lead, *rng.integers(1, 6, 2), shape[-1])) for shape in layers]

    def ours(*arrays):
        x, y = arrays[: len(layers)], arrays[len(layers) :]
        return style_loss(x, [gram_matrix(other) for other in y])

    def theirs(*arrays):
        total = 0
        for x, y in zip(arrays[: len(layers)], arrays[len(layers) :], strict=True):
            (f, m), (g, k) = ((a.flatten(-3, -2), a.shape[-3] * a.shape[-2]) for a in (x, y))
            gram, style = f.mT @ f, g.mT @ g * (m / k)
            total = total + ((gram - style) ** 2).sum((-2, -1)) / (4 * x.shape[-1] ** 2 * m**2)
        return total / len(layers)

    assert_exact(ours, theirs, *features, *others)


def test_where_features_are_does_not_count():
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)
    moved = x[:, ::-1].swapaxes(1, 2)
    np.testing.assert_allclose(gram_matrix(moved), gram_matrix(x), rtol=1e-5)
    np.testing.assert_allclose(gram_matrix(np.tile(x, (1, 2, 3, 1))), gram_matrix(x), rtol=1e-5)
    np.testing.assert_allclose(style_loss([x], [gram_matrix(moved)]), 0, atol=1e-10)


def test_sums_over_places_are_in_float32():
    assert gram_matrix(jnp.ones((600, 1, 2), jnp.bfloat16)).dtype == jnp.float32
    assert (gram_matrix(jnp.ones((600, 1, 2), jnp.bfloat16)) == 1).all()


X = jnp.zeros((2, 4, 4, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gram_matrix(X[0, 0]), ValueError, "gram_matrix: expected an array of rank 3"),
        (lambda: gram_matrix(X > 0), TypeError, "gram_matrix: expected floating-point input, found bool"),
        (lambda: style_loss([X], []), ValueError, "features and Gram matrices of the same layers, found 1 and 0"),
        (lambda: style_loss([X], [X[:, :2, :2, 0]]), ValueError, "style_loss: expected equal shapes"),
        (lambda: style_loss([X[0, 0]], [X[0, :3, :3, 0]]), ValueError, "style_loss: expected an array of rank 3"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
