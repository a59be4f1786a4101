"""Masked language modelling: an encoder, the loss of hidden words, reviews as it reads them, and a page of guesses.

See "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", Devlin et al., 2019; with the
norms before and rotary positions, as in "Smarter, Better, Faster, Longer", Warner et al., 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jnn
from experiments import datasets
from jnn import layers, models
from jnn.data import UNKNOWN, Words, mask_tokens, pad
from jnn.train import LossOutput

Rows = dict[str, np.ndarray]
MASK = datasets.VOCABULARY  # the id after those of the words


def encoder_spec(embed: int, heads: int, depth: int) -> dict:
    """Of all words and the mask."""
    block = models.transformer_block_spec(embed, heads, 2 * embed, bias=False)
    return {
        "embed": layers.embed_spec(MASK + 1, embed),
        "blocks": jnn.stack(block, depth),
        "norm": layers.layer_norm_spec(embed),
    }


def encoder(p: dict, x: jax.Array, *, lengths: jax.Array, key: jax.Array | None, rate: float = 0.0) -> jax.Array:
    """Words (b, t), of each row the first ones alone, to vectors (b, t, d) of all words around them."""

    def block(p, h, key, mask):
        how = {"causal": False, "rotate": layers.rotary, "mask": mask}
        return models.transformer_block(p, h, key=key, rate=rate, **how)

    beside = layers.length_mask(lengths, x.shape[1])
    h = layers.embed(p["embed"], x)
    h = layers.scan_layers(block, p["blocks"], h, "time", "embed", path="blocks", key=key, beside=beside)
    return layers.layer_norm(p["norm"], h)


def guess(params, batch, ctx, share):
    """Cross-entropy of hidden words, of up to a fourth more than there are on average; metrics of the guesses."""
    b, t = batch["x"].shape
    hidden = mask_tokens(batch["x"], MASK, UNKNOWN + 1, MASK, lengths=None, key=ctx.draw, rate=share)
    there, at = jax.lax.top_k(hidden.weights, max(1, int(1.25 * share * t)))
    vectors = encoder(params, hidden.inputs, lengths=jnp.full(b, t), key=None)
    logits = layers.unembed(params["embed"], jnp.take_along_axis(vectors, at[..., None], 1))
    labels = jnp.take_along_axis(hidden.labels, at, 1)
    weight = there * batch.get("weight", jnp.ones(b))[:, None]
    metrics = {"accuracy": jnn.metrics.accuracy(logits, labels, weight)}
    return LossOutput(jnn.losses.cross_entropy(logits, labels), weight, metrics=metrics)


def stream(part: Rows) -> np.ndarray:
    """The words of all reviews, one after another, in an order that no seed of a run moves."""
    order = np.random.default_rng(datasets.SPLIT_SEED).permutation(len(part["y"]))
    return np.concatenate([part["x"][i, : part["length"][i]] for i in order])


def endings(part: Rows, n: int, length: int, seeds: Sequence[Any]) -> Rows:
    """The last words (n, seeds, length) of n reviews, and their labels: those that each seed draws."""
    rows = np.stack([np.random.default_rng(seed).permutation(len(part["y"]))[:n] for seed in seeds], 1)
    reviews = [part["x"][i, : part["length"][i]] for i in rows.ravel()]
    x, lengths = pad(reviews, length, keep="last")
    return {"x": x.reshape(*rows.shape, -1), "length": lengths.reshape(rows.shape), "y": part["y"][rows]}


def filled(params: Any, x: np.ndarray, words: Words, share: float) -> str:
    """Windows with the likeliest words where some are hidden, a line each."""
    hidden = np.random.default_rng(datasets.SPLIT_SEED).random(x.shape) < share
    inputs, lengths = jnp.where(hidden, MASK, x), jnp.full(len(x), x.shape[1])
    vectors = jax.jit(partial(encoder, key=None))(params, inputs, lengths=lengths)
    guesses = np.asarray(layers.unembed(params["embed"], vectors)[..., :-1].argmax(-1))

    def told(word: int, guess: int, was_hidden: bool) -> str:
        name, other = words.names[word], words.names[guess]
        if not was_hidden:
            return name
        return f"[{other}]" if other == name else f"[{other}|{name}]"

    return "\n\n".join(" ".join(map(told, *row)) for row in zip(x, guesses, hidden, strict=True))
