"""Greedy decoding in plain JAX: the prompt at once, then a `lax.scan` over tokens with keys and values in arrays."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import problems
from experiments.benchmarks.frameworks.jax.layers import after_attention, decoder, decoder_init, heads_of, layer_norm
from experiments.benchmarks.measure import Built, likeliest


def forward(params, tokens, cache, start, heads):
    """The likeliest token behind those at start..., and the cache with them."""
    t = tokens.shape[1]
    x = params["tokens"][tokens] + jax.lax.dynamic_slice_in_dim(params["positions"], start, t)
    seen = jnp.arange(len(params["positions"])) <= start + jnp.arange(t)[:, None]
    new = []
    for p, held in zip(params["blocks"], cache, strict=True):
        q, *kv = heads_of(p, x, heads)
        new.append([jax.lax.dynamic_update_slice_in_dim(old, a, start, 1) for old, a in zip(held, kv, strict=True)])
        x = after_attention(p, x, jax.nn.dot_product_attention(q, *new[-1], mask=seen[None, None]))
    return (layer_norm(params["norm"], x[:, -1]) @ params["tokens"].T).argmax(-1), new


def decode() -> Built:
    size, prompt = problems.DECODERS["decode"], jnp.asarray(problems.batch("decode")["x"])
    params, (rows, start) = decoder_init(jax.random.key(0), size), prompt.shape

    @jax.jit
    def write(params, prompt):
        empty = jnp.zeros((rows, size.tokens, size.heads, size.width // size.heads))
        first, cache = forward(params, prompt, [[empty, empty]] * size.layers, 0, size.heads)

        def one(carry, place):
            token, cache = carry
            return forward(params, token[:, None], cache, place, size.heads), token

        (last, _), tokens = jax.lax.scan(one, (first, cache), jnp.arange(start, size.tokens - 1))
        return jnp.concatenate([prompt, tokens.T, last[:, None]], 1)

    step = lambda: write(params, prompt)

    def check(first: float, last: float) -> None:
        tokens = step()
        likeliest(tokens, decoder(params, tokens, size.heads), start)

    count = sum(x.size for x in jax.tree.leaves(params))
    return Built(step, lambda tokens: float(np.asarray(tokens)[0, -1]), count, size.tokens - start, check)
