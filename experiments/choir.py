"""Networks that sing in four voices: what is behind is read once a step, and a step is told from the soprano down.

    choir_spec(sizes)                                          declares
    behind(p, rows, sizes, key=key) -> (b, t, d)               what is known before each step
    told(p, behind, state, now, sizes, key=key) -> logits      of each voice's token, given the voices above it
    sing(p, sizes, rows, given, key) -> states                 steps drawn one by one, but for the voices that are given

Axes: `b` pieces, `t` steps, `d` embed; voices are S A T B.

Laws: a token's logits depend on the steps before it, on the voices above it, on the metre and the fermatas alone, and
with `ahead` on the melody's next sixteen steps; what is drawn is drawn from exactly these, and no voice is asked twice.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp

from experiments.chorale_rows import AHEAD
from experiments.chorales import HELD, HOLD, PLACES, REST, SILENT, START, STATES, TOKENS, UNTIL, VOICES
from jnn import layers
from jnn.models import transformer_block, transformer_block_spec


@dataclasses.dataclass(frozen=True)
class Sizes:
    """A network's sizes; of `heads` an LSTM has none."""

    model: Literal["lstm", "transformer"]
    embed: int
    layers: int
    heads: int
    context: int
    dropout: float
    ahead: bool = False


def choir_spec(sizes: Sizes) -> dict:
    """Declares a network: what reads the steps before, and what tells a step's tokens."""
    d = sizes.embed
    tables = {"states": len(VOICES) * STATES, "place": PLACES, "until": UNTIL}
    tables |= {"own": len(VOICES) * STATES, "above": len(VOICES) * STATES}
    tables |= {"ahead": len(AHEAD) * STATES} if sizes.ahead else {}
    return {
        **{name: layers.embed_spec(size, d) for name, size in tables.items()},
        "layers": [LAYERS[sizes.model][0](sizes) for _ in range(sizes.layers)],
        "norm": layers.layer_norm_spec(d),
        "norm_told": layers.layer_norm_spec(d),
        **{"told": layers.feed_forward_spec(d, 2 * d), "out": layers.linear_spec(d, TOKENS)},
    }


def lstm_spec(sizes: Sizes) -> dict:
    """Declares a layer of an LSTM."""
    return layers.lstm_cell_spec(sizes.embed, sizes.embed)


def lstm(p: dict, x: jax.Array, sizes: Sizes, key: jax.Array | None) -> jax.Array:
    """LSTM layer: x and what the LSTM makes of it."""
    y, _ = layers.rnn(layers.lstm_cell, p, x)
    return x + layers.dropout(y, sizes.dropout, key=key)


def relative_block_spec(sizes: Sizes) -> dict:
    """Declares a transformer block with keys of distances."""
    d, heads = sizes.embed, sizes.heads
    relative = layers.relative_attention_spec(heads, d // heads, sizes.context)
    return transformer_block_spec(d, heads, 4 * d) | {"relative": relative}


def relative_block(p: dict, x: jax.Array, sizes: Sizes, key: jax.Array | None) -> jax.Array:
    """Transformer block with relative attention."""
    attend = partial(layers.relative_attention, p["relative"])
    return transformer_block(p, x, key=key, rate=sizes.dropout, attend=attend)


LAYERS = {"lstm": (lstm_spec, lstm), "transformer": (relative_block_spec, relative_block)}


def numbered(states: jax.Array) -> jax.Array:
    """Numbers of the states (..., n) of several voices, or of one at several times: each has rows of its own."""
    return states + STATES * jax.lax.broadcasted_iota(states.dtype, states.shape, states.ndim - 1)


def behind(p: dict, rows: dict, sizes: Sizes, *, key: jax.Array | None) -> jax.Array:
    """What is known before each step (b, t, d)."""
    keys = [None] * (sizes.layers + 1) if key is None else jax.random.split(key, sizes.layers + 1)
    x = layers.embed(p["states"], numbered(rows["state"])).sum(-2)
    x += layers.embed(p["place"], rows["place"]) + layers.embed(p["until"], rows["until"])
    if sizes.ahead:
        x += layers.embed(p["ahead"], numbered(rows["ahead"])).sum(-2)
    x = layers.dropout(x, sizes.dropout, key=keys[-1])
    for layer, own in zip(p["layers"], keys, strict=False):
        x = LAYERS[sizes.model][1](layer, x, sizes, own)
    return layers.layer_norm(p["norm"], x)


def told(p: dict, known: jax.Array, state: jax.Array, now: jax.Array, sizes: Sizes, *, key: jax.Array | None):
    """Logits (..., 4, tokens) of what is known (..., d), the states before and those at the step (..., 4)."""
    sung = layers.embed(p["above"], numbered(now))
    above = jnp.cumsum(sung, -2) - sung
    x = known[..., None, :] + above + layers.embed(p["own"], numbered(state))
    x += layers.dropout(layers.feed_forward(p["told"], layers.layer_norm(p["norm_told"], x)), sizes.dropout, key=key)
    return layers.linear(p["out"], x)


def next_states(state: jax.Array, token: jax.Array) -> jax.Array:
    """States behind states, by tokens; silence that is held goes on."""
    held = jnp.where(state < SILENT, state % HELD + HELD, SILENT)
    return jnp.where(token == HOLD, held, jnp.where(token == REST, SILENT, token))


def sing(p: dict, sizes: Sizes, rows: dict, given: jax.Array, key: jax.Array, temperature: float = 1.0) -> jax.Array:
    """States (b, t, 4), drawn step by step.

    Args:
      p, sizes: of the network.
      rows: columns (b, t) of whole pieces, "place" and "until", and "ahead" where the network reads it.
      given: (b, t, 4), states of which those of at least 0 are kept.
      key: noise.
      temperature: by which logits are divided.
    """
    b, steps, voices = given.shape
    context = min(sizes.context, steps)

    def step(i: jax.Array, states: jax.Array) -> jax.Array:
        begin = jnp.maximum(i - context + 1, 0)
        cut = lambda column: jax.lax.dynamic_slice_in_dim(column, begin, context, 1)
        seen = {name: cut(column) for name, column in rows.items()} | {"state": cut(states)}
        known = behind(p, seen, sizes, key=None)[:, i - begin]
        state, now = states[:, i], jnp.full((b, voices), SILENT)
        for voice in range(voices):
            logits = told(p, known, state, now, sizes, key=None)[:, voice] / temperature
            drawn = jax.random.categorical(jax.random.fold_in(jax.random.fold_in(key, i), voice), logits)
            chosen = jnp.where(given[:, i, voice] >= 0, given[:, i, voice], next_states(state[:, voice], drawn))
            now = now.at[:, voice].set(chosen)
        return states.at[:, i + 1].set(now)

    begun = jnp.full((b, steps + 1, voices), START).astype(given.dtype)
    return jax.lax.fori_loop(0, steps, step, begun)[:, 1:]
