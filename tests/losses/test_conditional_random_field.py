"""The linear-chain CRF against all its sequences of tags, one by one."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn.losses import crf_decode, crf_loss, crf_spec
from tests.losses.exact import assert_exact, leading
from tests.oracle import configurations

T, K = 4, 3
LENGTHS = np.array([4, 2, 1, 3])


def drawn(rng, shape=(4,), t=T, k=K):
    """Parameters, scores and tags, in float64."""
    p = {name: rng.normal(size=leaf.shape) for name, leaf in crf_spec(k).items()}
    return p, rng.normal(size=(*shape, t, k)), rng.integers(0, k, (*shape, t))


def every(k, length):
    """All sequences of tags, (n, length)."""
    return torch.tensor(list(itertools.product(range(k), repeat=length)))


def score(p, scores, tags):
    """Of sequences of tags (n, length), by the definition."""
    moves = p["transition"][tags[:, :-1], tags[:, 1:]].sum(1)
    own = scores[torch.arange(tags.shape[1]), tags].sum(1)
    return p["start"][tags[:, 0]] + own + moves + p["end"][tags[:, -1]]


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_loss_gradients_and_decoding_are_those_of_all_sequences(rng):
    """Of any number of tags and steps, of lengths of their own or all the same."""
    shape, t, k = leading(rng), int(rng.integers(1, 6)), int(rng.integers(1, 5))
    p, scores, tags = drawn(rng, shape, t, k)
    lengths = rng.integers(1, t + 1, shape) if rng.integers(2) else None
    own = np.full(shape, t) if lengths is None else lengths
    how = {} if lengths is None else {"lengths": jnp.asarray(lengths)}
    rows = [(at, int(own[at])) for at in np.ndindex(*shape)]

    def theirs(scores, *leaves):
        p, found = dict(zip(names, leaves, strict=True)), []
        for at, n in rows:
            total = score(p, scores[at][:n], every(k, n)).logsumexp(0)
            found.append(total - score(p, scores[at][:n], torch.tensor(tags[at][None, :n]))[0])
        return torch.stack(found).reshape(shape)

    names = list(p)
    ours = lambda scores, *leaves: crf_loss(dict(zip(names, leaves, strict=True)), scores, jnp.asarray(tags), **how)
    assert_exact(ours, theirs, scores, *p.values())
    with jax.enable_x64(True):
        paths, best = jax.jit(lambda p, x: crf_decode(p, x, **how))(p, scores)
    p = {name: torch.tensor(leaf) for name, leaf in p.items()}
    for at, n in rows:
        each = score(p, torch.tensor(scores[at][:n]), every(k, n))
        assert paths[at][:n].tolist() == every(k, n)[each.argmax()].tolist()
        assert not paths[at][n:].any()
        np.testing.assert_allclose(best[at], each.max(), rtol=1e-9)


def test_what_stands_past_a_length_changes_nothing():
    p, scores, tags = drawn(np.random.default_rng(0))
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
    p, scores, tags = drawn(np.random.default_rng(0))
    given = {"scores": scores, "tags": tags, "lengths": LENGTHS} | change
    with pytest.raises((TypeError, ValueError), match=message):
        crf_loss(p, *(jnp.asarray(given[name]) for name in ("scores", "tags")), lengths=given["lengths"])


def test_a_tag_that_no_other_leads_to_leaves_the_gradient_finite():
    """It is as if there were none: transitions of -inf are how a scheme of tags is kept to."""
    rng = np.random.default_rng(0)
    p = {
        name: jnp.asarray(rng.normal(size=shape)) for name, shape in (("transition", (3, 3)), ("start", 3), ("end", 3))
    }
    never = p | {"transition": p["transition"].at[:, 2].set(-jnp.inf), "start": p["start"].at[2].set(-jnp.inf)}
    fewer = {name: x[(slice(2),) * x.ndim] for name, x in p.items()}
    scores, tags = jnp.asarray(rng.normal(size=(4, 3))), jnp.array([0, 1, 0, 1])
    found, wanted = (
        jax.jit(jax.value_and_grad(lambda x, p=p: crf_loss(p, x, tags)))(x)
        for p, x in ((never, scores), (fewer, scores[:, :2]))
    )
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-5)
    np.testing.assert_allclose(found[1], np.pad(wanted[1], ((0, 0), (0, 1))), rtol=1e-4, atol=1e-6)
