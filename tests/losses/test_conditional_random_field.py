"""The linear-chain CRF against all its sequences of tags, one by one."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.losses import crf_decode, crf_loss, crf_spec

T, K = 4, 3
LENGTHS = np.array([4, 2, 1, 3])


def drawn(seed):
    """Parameters, scores and tags, in float64."""
    rng = np.random.default_rng(seed)
    p = {name: rng.normal(size=leaf.shape) for name, leaf in crf_spec(K).items()}
    return p, rng.normal(size=(4, T, K)), rng.integers(0, K, (4, T))


def score(p, scores, tags):
    """Of one sequence, by the definition."""
    moves = sum(p["transition"][a, b] for a, b in itertools.pairwise(tags))
    return p["start"][tags[0]] + sum(scores[i, tag] for i, tag in enumerate(tags)) + moves + p["end"][tags[-1]]


def by_enumeration(p, scores, tags, length):
    """The loss, and the likeliest sequence of tags with its score."""
    every = {path: score(p, scores[:length], path) for path in itertools.product(range(K), repeat=length)}
    best = max(every, key=every.get)
    return np.logaddexp.reduce([*every.values()]) - score(p, scores[:length], tags[:length]), best, every[best]


@pytest.mark.parametrize("seed", [0, *(pytest.param(i, marks=pytest.mark.slow) for i in range(1, 20))])
def test_loss_gradient_and_decoding_are_those_of_all_sequences(seed):
    with jax.enable_x64(True):
        p, scores, tags = drawn(seed)
        own = jax.jit(lambda p, x: crf_loss(p, x, tags, lengths=jnp.array(LENGTHS)))
        found = own(p, scores)
        path, best = jax.jit(lambda x: crf_decode(p, x, lengths=jnp.array(LENGTHS)))(scores)
        wanted = [by_enumeration(p, *row) for row in zip(scores, tags, LENGTHS, strict=True)]
        np.testing.assert_allclose(found, [row[0] for row in wanted], rtol=1e-9)
        np.testing.assert_allclose(best, [row[2] for row in wanted], rtol=1e-9)
        for row, length, (_, tags_of_best, _) in zip(path, LENGTHS, wanted, strict=True):
            assert row[:length].tolist() == list(tags_of_best)
            assert not row[length:].any()
        towards = np.random.default_rng(seed + 100).normal(size=scores.shape)
        along = jax.jvp(lambda x: own(p, x).sum(), (scores,), (towards,))[1]
        ahead, behind = (
            sum(by_enumeration(p, *row)[0] for row in zip(scores + e * towards, tags, LENGTHS, strict=True))
            for e in (1e-5, -1e-5)
        )
        np.testing.assert_allclose(along, (ahead - behind) / 2e-5, rtol=1e-6, atol=1e-8)


def test_what_stands_past_a_length_changes_nothing():
    p, scores, tags = drawn(0)
    lengths, past = jnp.array(LENGTHS), np.arange(T) >= LENGTHS[:, None]
    whole = crf_loss(p, jnp.asarray(scores), jnp.asarray(tags), lengths=lengths)
    other = np.where(past[..., None], np.nan, scores), np.where(past, 99, tags)
    np.testing.assert_array_equal(crf_loss(p, *map(jnp.asarray, other), lengths=lengths), whole)
    grads = jax.grad(lambda x: crf_loss(p, x, jnp.asarray(other[1]), lengths=lengths).sum())(jnp.asarray(other[0]))
    assert np.isfinite(grads).all()
    assert not np.asarray(grads)[past].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tags": np.zeros((4, T))}, "tags"),
        ({"tags": np.full((4, T), K)}, "tags"),
        ({"tags": np.zeros((4, T - 1), int)}, "equal shapes"),
        ({"scores": np.zeros((4, T, K + 1))}, "transition"),
        ({"lengths": np.array([5, 1, 1, 1])}, "lengths"),
        ({"lengths": np.array([0, 1, 1, 1])}, "lengths"),
        ({"lengths": np.array([1, 1, 1])}, "lengths"),
    ],
)
def test_bad_input_is_one_clear_error(change, message):
    p, scores, tags = drawn(0)
    given = {"scores": scores, "tags": tags, "lengths": LENGTHS} | change
    with pytest.raises((TypeError, ValueError), match=message):
        crf_loss(p, *(jnp.asarray(given[name]) for name in ("scores", "tags")), lengths=given["lengths"])
