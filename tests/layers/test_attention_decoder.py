"""Attention decoders against their equations in torch; greedy decoding against a loop; bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import layers
from tests.layers.recurrences import inputs, random_params
from tests.oracle import assert_matches_torch, configurations


def gru(p, h, x):
    xr, xz, xn = (torch.einsum("bd,dgh->bgh", x, p["input"]["w"]) + p["input"]["b"]).unbind(1)
    hr, hz, hn = (torch.einsum("bd,dgh->bgh", h, p["recurrent"]["w"]) + p["recurrent"]["b"]).unbind(1)
    z = torch.sigmoid(xz + hz)
    return (1 - z) * torch.tanh(xn + torch.sigmoid(xr + hr) * hn) + z * h


def additive(p, q, k, mask):
    hidden = torch.tanh((q @ p["query"]["w"])[:, None] + k @ p["key"]["w"] + p["key"]["b"])
    return torch.einsum("bs,bsd->bd", (hidden @ p["score"]["w"])[..., 0].masked_fill(~mask, -torch.inf).softmax(-1), k)


def bahdanau(p, x, memory, mask, h):
    ys = []
    for now in x.unbind(1):
        found = additive(p["attention"], h, memory, mask)
        h = gru(p["cell"], h, torch.cat([now, found], -1))
        ys.append(torch.cat([h, found], -1))
    return torch.stack(ys, 1)


def luong(p, x, memory, mask, h):
    ys, y = [], torch.zeros_like(h)
    for now in x.unbind(1):
        h = gru(p["cell"], h, torch.cat([now, y], -1))
        q = h @ p["attention"]["w"] if "w" in p["attention"] else h
        weights = torch.einsum("bd,bsd->bs", q, memory).masked_fill(~mask, -torch.inf).softmax(-1)
        found = torch.einsum("bs,bsd->bd", weights, memory)
        y = torch.tanh(torch.cat([found, h], -1) @ p["output"]["w"])
        ys.append(y)
    return torch.stack(ys, 1)


WAYS = {
    "bahdanau": (layers.bahdanau_spec, layers.bahdanau_step, bahdanau),
    "luong": (layers.luong_spec, layers.luong_step, luong),
    "luong-dot": (partial(layers.luong_spec, general=False), layers.luong_step, luong),
}


@pytest.mark.parametrize("way", sorted(WAYS))
@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_a_decoder_matches_its_equations(way, rng):
    b, t, s, d, m, h = rng.integers(1, 5, 6).tolist()
    spec, step, equations = WAYS[way]
    m = h if way == "luong-dot" else m
    leaves, tree = jax.tree.flatten(random_params(spec(layers.gru_cell_spec, d, m, h)))
    mask = np.arange(s) < rng.integers(1, s + 1, (b, 1))
    x, memory = (rng.normal(size=shape).astype(np.float32) for shape in [(b, t, d), (b, s, m)])
    run = partial(layers.attention_decoder, partial(step, layers.gru_cell))
    assert_matches_torch(
        lambda x, memory, *leaves: run(tree.unflatten(leaves), x, memory, mask=mask[:, None])[0],
        lambda x, memory, *leaves: equations(tree.unflatten(leaves), x, memory, torch.tensor(mask), torch.zeros(b, h)),
        [x, memory, *map(np.asarray, leaves)],
    )


def test_where_all_keys_are_masked_nothing_is_found_and_gradients_are_finite():
    p = random_params(layers.additive_attention_spec(3, 2, 4))
    run = lambda p, k: layers.additive_attention(p, inputs(1, 3), k, mask=jnp.zeros((1, 5), bool))

    @jax.jit
    def both(p, k):
        out, back = jax.vjp(run, p, k)
        return out, back(jax.tree.map(jnp.ones_like, out))

    assert not any(np.any(leaf) for leaf in jax.tree.leaves(both(p, inputs(5, 2))))


def test_greedily_decoded_tokens_are_the_likeliest_of_the_taught_decoder():
    """Law: on its own words, the taught decoder says the same; the last token ends the sequence."""
    vocab, d, h, steps = 5, 3, 4, 6
    p = random_params(layers.luong_spec(layers.gru_cell_spec, d, h, h))
    table, out, memory = jnp.asarray(inputs(vocab, d)), 3 * inputs(h, vocab), inputs(2, 3, h)
    step = partial(layers.luong_step, layers.gru_cell)

    def score(carry, tokens):
        carry, y = step(p, carry, table[tokens], memory)
        return carry, y @ out

    start = jnp.array([0, 1])
    begun = jax.tree.map(jnp.zeros_like, score(None, start)[0])
    tokens = layers.greedy_decode(score, begun, start, steps)
    read = jnp.concatenate([start[:, None], tokens[:, :-1]], 1)
    logits = layers.attention_decoder(step, p, table[read], memory)[0] @ out
    np.testing.assert_array_equal(tokens, logits.argmax(-1))
    end = int(tokens[0, 2])
    ended = layers.greedy_decode(score, begun, start, steps, end=end)
    for row, whole in zip(np.asarray(ended), np.asarray(tokens), strict=True):
        n = int(np.argmax(whole == end)) + 1 if end in whole else steps
        np.testing.assert_array_equal(row, [*whole[:n], *[end] * (steps - n)])


Q, K = jnp.ones((2, 3)), jnp.ones((4, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: layers.multiplicative_attention({}, Q, jnp.ones((4, 2))), ValueError, r"query: .* \[...,2\], found"),
        (lambda: layers.multiplicative_attention({}, Q, K[None]), ValueError, "the same leading axes"),
        (lambda: layers.multiplicative_attention({}, Q, K, mask=Q), TypeError, "expected a bool mask"),
        (lambda: layers.additive_attention({}, Q, K), ValueError, "a dict with 'query', 'key', 'score'"),
        (lambda: layers.greedy_decode(None, 0, Q, 2), TypeError, "greedy_decode: expected integers, found float32"),
        (lambda: layers.greedy_decode(None, 0, jnp.zeros(2, int), 0), ValueError, "at least one step, found 0"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
