"""Losses of given pairs and triplets against torch, at the edges, and with bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from jnn import losses
from tests.losses.exact import assert_exact
from tests.oracle import assert_matches_torch, configurations

six = pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))


@six
def test_given_pairs_and_triplets_match_torch(rng):
    arrays = [rng.normal(size=(2, 3, 4)).astype(np.float32) for _ in range(3)]
    margin = lambda *x: F.triplet_margin_loss(*x, margin=0.5, reduction="none", eps=0)
    assert_matches_torch(lambda *x: losses.triplet_margin_loss(*x, margin=0.5), margin, arrays)
    same = rng.integers(0, 2, (2, 3))

    def pairs(x, y):
        d = (x - y).norm(dim=-1)
        return torch.where(torch.tensor(same) == 1, d**2, F.relu(2.5 - d) ** 2) / 2

    assert_matches_torch(lambda x, y: losses.contrastive_loss(x, y, jnp.asarray(same), margin=2.5), pairs, arrays[:2])


@six
def test_cosine_and_hinge_embedding_losses_are_torchs(rng):
    x, y = rng.normal(size=(2, 6, 4))
    same, margin = rng.permutation([0, 0, 0, 1, 1, 1]), float(rng.uniform(-0.5, 0.5))
    options = {"margin": margin, "reduction": "none"}

    def ours(x, y, same):
        hinge = losses.hinge_embedding_loss(jnp.abs(x[:, 0]), same, margin=0.75)
        return jnp.stack([losses.cosine_embedding_loss(x, y, same == 1, margin=margin), hinge])

    def theirs(x, y, same):
        hinge = F.hinge_embedding_loss(x[:, 0].abs(), 2 * same - 1, margin=0.75, reduction="none")
        return torch.stack([F.cosine_embedding_loss(x, y, 2 * same - 1, **options), hinge])

    assert_exact(ours, theirs, x, y, same)


def test_embeddings_of_any_length_have_finite_values_and_gradients():
    rows = np.float32([[0.0, 0.0], [3e30, 4e30], [3e-30, 4e-30], [1.0, -1.0]])
    x, y = np.repeat(rows, 4, 0), np.tile(rows, (4, 1))

    @jax.jit
    def value_and_gradient(x, y, same):
        values, back = jax.vjp(lambda x: losses.cosine_embedding_loss(x, y, same), x)
        return values, back(jnp.ones_like(values))[0]

    side = -0.2 / 2**0.5
    cosine = np.array([[0, 0, 0, 0], [0, 1, 1, side], [0, 1, 1, side], [0, side, side, 1]]).ravel()
    for same, expected in ((np.ones(16), 1 - cosine), (np.zeros(16), np.maximum(cosine, 0))):
        values, gradient = value_and_gradient(x, y, same)
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)
        assert np.isfinite(gradient).all()


PAIRED = (
    losses.contrastive_loss,
    losses.cosine_embedding_loss,
    lambda x, y, same: losses.hinge_embedding_loss(x[..., 0], same),
)


@pytest.mark.parametrize("loss", PAIRED, ids=["contrastive", "cosine", "hinge"])
def test_a_pair_that_is_neither_alike_nor_not_raises_or_gives_nan_for_itself(loss):
    x, same = jnp.ones((2, 3)), jnp.array([1, -1])
    with pytest.raises(ValueError, match=r"_loss: expected same of 0 and 1, found values from -1 to 1"):
        loss(x, x, same)
    assert jnp.isnan(jax.jit(loss)(x, x, same)).tolist() == [False, True]


ROWS, LABEL = jnp.ones((4, 3)), jnp.zeros(4, jnp.int32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: losses.contrastive_loss(ROWS, ROWS, LABEL[:2]), ValueError, r"expected same \(4,\), one a pair"),
        (
            lambda: losses.contrastive_loss(ROWS, ROWS > 0, LABEL),
            TypeError,
            "expected floating-point input, found bool",
        ),
        (lambda: losses.triplet_margin_loss(ROWS, ROWS, ROWS[:1]), ValueError, "expected equal shapes"),
        (
            lambda: losses.cosine_embedding_loss(ROWS, ROWS, LABEL, margin=1.5),
            ValueError,
            r"cosine_embedding_loss: expected margin in \[-1, 1\], found 1.5",
        ),
        (lambda: losses.cosine_embedding_loss(ROWS, ROWS[:2], LABEL), ValueError, "expected equal shapes"),
        (lambda: losses.hinge_embedding_loss(ROWS, LABEL), ValueError, r"expected same \(4, 3\), one a pair"),
        (lambda: losses.hinge_embedding_loss(LABEL, LABEL), TypeError, "hinge_embedding_loss: expected floating"),
        (lambda: losses.hinge_embedding_loss(ROWS[0], LABEL[:3], margin=0), ValueError, "margin > 0, found 0"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
