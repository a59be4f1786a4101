"""AugMix: its mix against one chain after another, by hand; the distributions of its draws; errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.data.augment import _augmix, augmix
from jnn.data.augment._rand_augment import OPS, apply_ops

KEY = jax.random.key(0)
X = jax.random.randint(jax.random.key(9), (2, 8, 8, 3), 40, 200).astype(jnp.uint8)
HOW = {"method": "bilinear", "fill": 0.0}


@pytest.mark.slow
def test_is_the_mix_of_its_chains():
    ops = jnp.array([[[1, 4], [3, 0], [2, 10]], [[6, 11], [12, 2], [0, 0]]])
    signs = jnp.where(ops % 2 == 0, 1.0, -1.0)
    strengths = jnp.linspace(0.1, 0.9, 12).reshape(2, 3, 2)
    weights, share = jnp.array([[0.5, 0.2, 0.3], [0.1, 0.6, 0.3]]), jnp.array([0.25, 0.6])
    got = jax.jit(lambda x: _augmix.mix_chains(x, ops, signs, strengths, weights, share, **HOW))(X)
    one = jax.jit(lambda x, op, sign, strength: apply_ops(x, op, sign, strength, **HOW))
    for i in range(2):
        expected = share[i] * X[i].astype(jnp.float32)
        for k in range(3):
            end = X[i : i + 1]
            for j in range(2):
                end = one(end, ops[i, k, j][None], signs[i, k, j][None], strengths[i, k, j][None])
            expected += (1 - share[i]) * weights[i, k] * end[0]
        np.testing.assert_allclose(got[i].astype(jnp.float32), expected, atol=0.51)


def test_a_mix_of_one_colour_is_that_colour_and_draws_are_as_published(monkeypatch):
    """Operations are left out, which is what compiles long: what they would be given is looked at."""
    given = {}

    def ends(x, ops, signs, strengths, weights, share, **how):
        given.update(ops=ops, signs=signs, strengths=strengths, weights=weights, share=share)
        return mixed(x, ops, signs, strengths, weights, share, **how)

    mixed = _augmix.mix_chains
    monkeypatch.setattr(_augmix, "apply_ops", lambda x, *drawn, **how: x)
    monkeypatch.setattr(_augmix, "mix_chains", ends)

    def draws(key):
        return augmix(jnp.full((3000, 1, 1, 1), 64, jnp.uint8), key=key, alpha=2.0), given.copy()

    out, drawn = jax.jit(draws)(KEY)
    assert (np.asarray(out) == 64).all()
    ops, weights, share = (np.asarray(drawn[name]) for name in ("ops", "weights", "share"))
    lengths = (ops != OPS.index("identity")).sum(-1)
    np.testing.assert_allclose([(lengths == n).mean() for n in range(4)], [0, 1 / 3, 1 / 3, 1 / 3], atol=0.02)
    assert not {OPS[i] for i in np.unique(ops)} & {"brightness", "contrast", "saturation", "sharpness"}
    assert len(np.unique(ops)) == 1 + 9
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(weights.mean(0), 1 / 3, atol=0.02)
    np.testing.assert_allclose(weights.var(0), 2 / 9 / 7, rtol=0.1)  # Dirichlet(2, 2, 2)
    np.testing.assert_allclose([share.mean(), share.var()], [0.5, 1 / 20], rtol=0.1)  # Beta(2, 2)
    strengths = np.asarray(drawn["strengths"])
    np.testing.assert_allclose([strengths.min(), strengths.max()], [0, 0.3], atol=1e-3)
    np.testing.assert_allclose((drawn["signs"] > 0).mean(), 0.5, atol=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"chains": 0}, "augmix: expected chains of 1 or more, found 0"),
        ({"depth": 0}, "augmix: expected depth of 1 or more, found 0"),
        ({"magnitude": 11}, r"augmix: magnitude lies in \[0, 10\], found 11"),
        ({"alpha": 0.0}, "augmix: alpha must be positive, found 0.0"),
        ({"method": "cubic"}, "augmix: method is 'bilinear' or 'nearest', found 'cubic'"),
    ],
)
def test_bad_input_is_one_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        augmix(X, key=KEY, **arguments)
