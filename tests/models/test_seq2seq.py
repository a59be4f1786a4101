"""Sequence to sequence: what it learns, what a source's length hides, and decoding against teaching."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn import layers
from jnn.models import seq2seq, seq2seq_decode, seq2seq_spec

START, TOKENS, S = 0, 8, 6
BAHDANAU = ({}, {})
LUONG = (
    {"cell_spec": layers.lstm_cell_spec, "step_spec": layers.luong_spec},
    {"cell": layers.lstm_cell, "step": layers.luong_step},
)
kinds = pytest.mark.parametrize("how", [pytest.param(BAHDANAU, id="bahdanau"), pytest.param(LUONG, id="luong")])


def reversals(seed, n):
    """Rows of 3 to 6 tokens, filled up with 0, their lengths, and the same turned round."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, S + 1, n)
    rows = np.where(np.arange(S) < lengths[:, None], rng.integers(1, TOKENS, (n, S)), 0)
    turned = np.zeros_like(rows)
    for row, back, length in zip(rows, turned, lengths, strict=True):
        back[:length] = row[:length][::-1]
    return rows, lengths, turned


@pytest.mark.slow
@kinds
def test_it_learns_to_reverse(how):
    """At least 95 % of new rows, decoded greedily, are right in every token, of which the first hangs on the length."""
    spec, run = how
    p = jnn.init(seq2seq_spec(TOKENS, TOKENS, 16, 32, **spec), jax.random.key(0))
    adam = optax.adam(5e-3)
    rows, lengths, turned = map(jnp.asarray, reversals(0, 2048))
    read = jnp.pad(turned[:, :-1], ((0, 0), (1, 0)), constant_values=START)

    def loss(p, batch):
        logits = seq2seq(p, rows[batch], read[batch], lengths=lengths[batch], **run)
        return jnn.losses.cross_entropy(logits, turned[batch]).mean()

    def update(state, batch):
        p, moments = state
        change, moments = adam.update(jax.grad(loss)(p, batch), moments)
        return (optax.apply_updates(p, change), moments), None

    batches = jax.random.randint(jax.random.key(1), (500, 64), 0, len(rows))
    (p, _), _ = jax.jit(lambda p: jax.lax.scan(update, (p, adam.init(p)), batches))(p)
    rows, lengths, turned = map(jnp.asarray, reversals(1, 512))
    said = seq2seq_decode(p, rows, jnp.full(len(rows), START), S, lengths=lengths, **run)
    assert (said == turned).all(-1).mean() >= 0.95


@pytest.mark.slow
@kinds
def test_decoded_tokens_are_the_likeliest_when_taught(how):
    spec, run = how
    p = jax.tree.map(lambda x: 3 * x, jnn.init(seq2seq_spec(TOKENS, 5, 4, 3, **spec), jax.random.key(0)))
    rows, lengths, _ = map(jnp.asarray, reversals(0, 8))
    said = seq2seq_decode(p, rows, jnp.full(8, START), 4, lengths=lengths, **run)
    logits = seq2seq(p, rows, jnp.pad(said[:, :-1], ((0, 0), (1, 0)), constant_values=START), lengths=lengths, **run)
    np.testing.assert_array_equal(jnp.argmax(logits, -1), said)
    assert len(np.unique(said)) > 1


@pytest.mark.slow
def test_what_stands_past_the_length_changes_nothing():
    p = jnn.init(seq2seq_spec(TOKENS, 5, 4, 3), jax.random.key(0))
    rows, lengths, _ = reversals(0, 8)
    spoilt = np.where(np.arange(S) < lengths[:, None], rows, 7)
    read = jnp.ones((8, 3), int)
    whole, other = (seq2seq(p, jnp.asarray(x), read, lengths=jnp.asarray(lengths)) for x in (rows, spoilt))
    np.testing.assert_array_equal(whole, other)
    short = seq2seq(p, jnp.asarray(rows[:1, : lengths[0]]), read[:1])
    np.testing.assert_allclose(short, whole[:1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("source", "target", "error", "message"),
    [
        (jnp.ones((2, 5)), jnp.ones((2, 3), int), TypeError, "seq2seq: expected integers, found float32"),
        (jnp.ones((2, 5), int), jnp.array(1), ValueError, "seq2seq: expected an array of rank 1 or more"),
    ],
)
def test_bad_input_is_one_clear_error(source, target, error, message):
    p = jax.tree.map(lambda s: jnp.zeros(s.shape), seq2seq_spec(TOKENS, 5, 4, 3))
    with pytest.raises(error, match=message):
        seq2seq(p, source, target)
