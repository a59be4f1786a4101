"""A decoder-only transformer, of GPT-2's shape: pre-norm blocks, stacked and scanned, with a tied read-out.

    transformer(p, tokens, key=key) -> logits                     all positions at once, for training
    cached_transformer(p, tokens, cache) -> (logits, cache)       the next chunk of tokens
    generate(p, prompt, steps, key=key) -> tokens                 prefill, then a step a token

The layers' parameters are stacked along a leading axis and the stack is scanned, so that compile time does
not grow with depth. How many layers, heads and positions there are is in the shapes; positions are learned
iff "position" is in p, otherwise queries and keys are rotated.

Laws: logits at t do not depend on tokens after t; `cached_transformer` over any cut equals `transformer`
over the whole; `generate` compiles twice, its prefill and its step, whatever the number of steps.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.initializers import normal
from jnn.layers import (
    attention,
    attention_cache,
    attention_spec,
    cached_attention,
    dropout,
    embed,
    embed_spec,
    layer_norm,
    layer_norm_spec,
    learned_positions,
    learned_positions_spec,
    linear,
    linear_spec,
    rotary,
    unembed,
)
from jnn.layers.attention import Cache, Rotate
from jnn.param import Params, Spec, stack

Remat = Literal["dots", "full"] | None


def transformer_spec(
    vocab: int,
    context: int | None,
    *,
    layers: int,
    heads: int,
    embed: int,
    hidden: int | None = None,
    kv_heads: int | None = None,
    bias: bool = True,
) -> Spec:
    """Declares a decoder.

    See "Language Models are Unsupervised Multitask Learners", Radford et al., 2019: normal(0.02)
    throughout, and what ends a residual branch smaller by the square root of how many there are.

    Args:
      vocab: how many tokens there are.
      context: how many positions are learned; None for rotary positions, which know no end.
      layers: how many blocks there are.
      heads: query heads of each.
      embed: the width of the residual stream.
      hidden: the width inside the MLP; 4 * embed by default.
      kv_heads: key and value heads, as in `attention_spec`.
      bias: whether linear maps and norms have biases; GPT-2's do, nanoGPT's do not.

    Returns:
      {"embed", "position" (unless context is None), "blocks" (with a leading axis "layers"), "norm"}

    >>> spec = transformer_spec(65, 64, layers=4, heads=4, embed=128)
    >>> spec["blocks"]["attention"]["q"]["w"].shape
    (4, 128, 4, 32)
    """
    out_std = 0.02 / (2 * layers) ** 0.5
    block = transformer_block_spec(embed, heads, hidden or 4 * embed, kv_heads=kv_heads, bias=bias, out_std=out_std)
    position = {} if context is None else {"position": learned_positions_spec(context, embed)}
    return {
        "embed": embed_spec(vocab, embed),
        **position,
        "blocks": stack(block, layers),
        "norm": layer_norm_spec(embed, bias=bias),
    }


def transformer_block_spec(
    d: int, heads: int, hidden: int, *, kv_heads: int | None = None, bias: bool = True, out_std: float = 0.02
) -> Spec:
    """Declares one block: {"norm1", "attention", "norm2", "up", "down"}.

    Args:
      d, heads, hidden, kv_heads, bias: as in `transformer_spec`.
      out_std: the standard deviation of the weights that end a residual branch.

    >>> sorted(transformer_block_spec(64, 4, 256))
    ['attention', 'down', 'norm1', 'norm2', 'up']
    """
    small, out = normal(0.02), normal(out_std)
    return {
        "norm1": layer_norm_spec(d, bias=bias),
        "attention": attention_spec(d, heads, kv_heads=kv_heads, bias=bias, init=small, out_init=out),
        "norm2": layer_norm_spec(d, bias=bias),
        "up": linear_spec(d, hidden, bias=bias, init=small),
        "down": linear_spec(hidden, d, axes=("hidden", "embed"), bias=bias, init=out),
    }


def transformer(
    p: Params,
    tokens: jax.Array,
    *,
    key: jax.Array | None,
    rate: float = 0.0,
    positions: jax.Array | None = None,
    mask: jax.Array | None = None,
    remat: Remat = "dots",
) -> jax.Array:
    """Logits of the token after each token.

    Args:
      p: as `transformer_spec` declares.
      tokens: (..., t), integers in 0..vocab-1.
      key: noise for dropout, None for none.
      rate: of dropout, on the embedding and on each residual branch.
      positions: (..., t), where each token stands, for learned positions of packed rows; 0, 1, ... by default.
      mask: as in `attention`, beside causality: `segment_mask(segments)` for packed rows.
      remat: what the backward pass computes again instead of remembering it. "dots" remembers the linear
        maps' outputs alone, "full" each block's input alone, None everything. On a CPU "dots" is the
        fastest too, by a quarter: the rest is cheaper to compute than to fetch.

    Returns:
      (..., t, vocab), in the parameters' dtype.

    Raises:
      TypeError: tokens are not integers.
      ValueError: tokens are out of range or more than the learned positions, or remat is unknown.

    >>> from jnn.param import init
    >>> p = init(transformer_spec(65, 64, layers=2, heads=2, embed=8), jax.random.key(0))
    >>> transformer(p, jnp.zeros((3, 10), jnp.int32), key=None).shape
    (3, 10, 65)
    """
    checks.integers("transformer", tokens, ndim=1)
    if positions is None:
        positions = jnp.arange(tokens.shape[-1])
        if "position" in p and tokens.shape[-1] > (context := p["position"]["table"].shape[0]):
            raise ValueError(f"transformer: found {tokens.shape[-1]} tokens, its params have {context} positions.")
    first, keys = _keys(p, key)
    x = dropout(_embed(p, tokens, positions), rate, key=first)

    def layer(x: jax.Array, slice_: tuple[Params, jax.Array | None]) -> tuple[jax.Array, None]:
        return transformer_block(slice_[0], x, key=slice_[1], rate=rate, mask=mask, rotate=_rotation(p)), None

    x, _ = jax.lax.scan(_remembering(remat)(layer), x, (p["blocks"], keys))
    return unembed(p["embed"], layer_norm(p["norm"], x))


def transformer_block(
    p: Params,
    x: jax.Array,
    *,
    key: jax.Array | None,
    rate: float = 0.0,
    mask: jax.Array | None = None,
    rotate: Rotate | None = None,
) -> jax.Array:
    """`x + attention(norm(x))`, and of that, `x + mlp(norm(x))`: (..., t, d) to (..., t, d).

    >>> from jnn.param import init
    >>> transformer_block(init(transformer_block_spec(8, 2, 32), jax.random.key(0)), jnp.ones((5, 8)), key=None).shape
    (5, 8)
    """
    one, two = (None, None) if key is None else jax.random.split(key)
    h = attention(p["attention"], layer_norm(p["norm1"], x), causal=True, mask=mask, rotate=rotate)
    x = x + dropout(h, rate, key=one)
    return x + dropout(_mlp(p, x), rate, key=two)


def transformer_cache(p: Params, length: int, *, leading: tuple[int, ...] = ()) -> Cache:
    """An empty memory of `length` tokens, for tokens (*leading, t): `attention_cache`, once a layer.

    >>> from jnn.param import init
    >>> p = init(transformer_spec(65, 64, layers=3, heads=2, embed=8), jax.random.key(0))
    >>> transformer_cache(p, 64, leading=(5,))["k"].shape
    (3, 5, 64, 2, 4)
    """
    return jax.vmap(lambda p: attention_cache(p, length, leading=leading))(p["blocks"]["attention"])


def cached_transformer(p: Params, tokens: jax.Array, cache: Cache) -> tuple[jax.Array, Cache]:
    """Logits of the token after each token of the next chunk of a sequence.

    Args:
      p: as `transformer_spec` declares.
      tokens: (..., t), integers in 0..vocab-1.
      cache: from `transformer_cache`, or from the call before.

    Returns:
      (..., t, vocab), and the cache with these tokens added. Under `jit`, NaN once the cache or the learned
      positions are exceeded.

    Raises:
      TypeError, ValueError: as `transformer`.

    >>> from jnn.param import init
    >>> p = init(transformer_spec(65, 64, layers=2, heads=2, embed=8), jax.random.key(0))
    >>> logits, cache = cached_transformer(p, jnp.array([1, 2, 3]), transformer_cache(p, 64))
    >>> logits, cache = cached_transformer(p, logits[-1:].argmax(-1), cache)
    >>> logits.shape, cache["next"].tolist()
    ((1, 65), [4, 4])
    """
    checks.integers("cached_transformer", tokens, ndim=1)
    x = _embed(p, tokens, cache["next"][0] + jnp.arange(tokens.shape[-1]))

    def layer(x: jax.Array, slice_: tuple[Params, Cache]) -> tuple[jax.Array, Cache]:
        p_, cache = slice_
        h, cache = cached_attention(p_["attention"], layer_norm(p_["norm1"], x), cache, rotate=_rotation(p))
        x = x + h
        return x + _mlp(p_, x), cache

    x, cache = jax.lax.scan(layer, x, (p["blocks"], cache))
    return unembed(p["embed"], layer_norm(p["norm"], x)), cache


def generate(
    p: Params,
    prompt: jax.Array,
    steps: int,
    *,
    key: jax.Array,
    temperature: float = 1.0,
    top_k: int | None = None,
) -> jax.Array:
    """The prompt, and `steps` tokens drawn after it, each given all before it.

    With learned positions, prompt and steps must fit them. To go on for longer, call again with the last
    tokens as the prompt, always as many: nothing is compiled again.

    Args:
      p: as `transformer_spec` declares.
      prompt: (..., t), integers in 0..vocab-1.
      steps: how many tokens to draw, at least 1.
      key: a PRNG key; draw i is a function of the key and i.
      temperature: divides the logits; 0 takes the likeliest token.
      top_k: draw among this many likeliest tokens alone.

    Returns:
      (..., t + steps), int32.

    Raises:
      TypeError: prompt is not of integers.
      ValueError: prompt is out of range, t + steps exceeds the learned positions, or steps, temperature or
        top_k make no sense.

    >>> from jnn.param import init
    >>> p = init(transformer_spec(65, 64, layers=2, heads=2, embed=8), jax.random.key(0))
    >>> generate(p, jnp.array([1, 2, 3]), 5, key=jax.random.key(1), top_k=10).shape
    (8,)
    """
    checks.integers("generate", prompt, ndim=1)
    vocab, length = p["embed"]["table"].shape[0], prompt.shape[-1] + steps
    checks.in_range("generate", prompt, vocab, what="tokens", of="rows in its table")
    if "position" in p:
        context = p["position"]["table"].shape[0]
        if length > context:
            raise ValueError(
                f"generate: a prompt of {prompt.shape[-1]} and {steps} steps exceed the {context} learned positions. "
                "Call it again with the last tokens as the prompt."
            )
        length = context  # one cache for every prompt, and so one compiled step
    if steps < 1 or temperature < 0 or (top_k is not None and not 1 <= top_k <= vocab):
        raise ValueError(
            f"generate: expected steps >= 1, temperature >= 0 and top_k in 1..{vocab} or None, found "
            f"{steps}, {temperature} and {top_k}."
        )
    draw = (key, np.float32(temperature))
    token, cache = _prefill(p, prompt, *draw, length=length, top_k=top_k)
    tokens = [token]
    for i in range(1, steps):
        token, cache = _step(p, token, cache, *draw, np.int32(i), top_k=top_k)
        tokens.append(token)
    drawn = np.concatenate([np.asarray(token) for token in (prompt, *tokens)], axis=-1, dtype=np.int32)
    return jax.device_put(drawn)


@partial(jax.jit, static_argnames=("length", "top_k"))
def _prefill(
    p: Params, prompt: jax.Array, key: jax.Array, temperature: jax.Array, *, length: int, top_k: int | None
) -> tuple[jax.Array, Cache]:
    logits, cache = cached_transformer(p, prompt, transformer_cache(p, length, leading=prompt.shape[:-1]))
    return _draw(logits, jax.random.fold_in(key, 0), temperature, top_k), cache


@partial(jax.jit, static_argnames="top_k", donate_argnames="cache")
def _step(
    p: Params,
    token: jax.Array,
    cache: Cache,
    key: jax.Array,
    temperature: jax.Array,
    i: jax.Array,
    *,
    top_k: int | None,
) -> tuple[jax.Array, Cache]:
    logits, cache = cached_transformer(p, token, cache)
    return _draw(logits, jax.random.fold_in(key, i), temperature, top_k), cache


def _draw(logits: jax.Array, key: jax.Array, temperature: jax.Array, top_k: int | None) -> jax.Array:
    """(..., t, vocab) -> (..., 1): a token drawn from the last row of logits."""
    last = logits[..., -1:, :].astype(jnp.float32)
    if top_k is not None:
        last = jnp.where(last < jax.lax.top_k(last, top_k)[0][..., -1:], -jnp.inf, last)
    drawn = jax.random.categorical(key, last / jnp.maximum(temperature, 1e-6))
    return jnp.where(temperature == 0, last.argmax(-1), drawn).astype(jnp.int32)


def _embed(p: Params, tokens: jax.Array, positions: jax.Array) -> jax.Array:
    """(..., t) -> (..., t, d): the tokens' vectors, and their positions' where they are learned."""
    x = embed(p["embed"], tokens)
    if "position" not in p:
        return x
    where = learned_positions(p["position"], positions)
    return x + where.reshape((1,) * (x.ndim - where.ndim) + where.shape)


def _mlp(p: Params, x: jax.Array) -> jax.Array:
    return linear(p["down"], jax.nn.gelu(linear(p["up"], layer_norm(p["norm2"], x))))


def _rotation(p: Params) -> Rotate | None:
    return None if "position" in p else rotary


def _keys(p: Params, key: jax.Array | None) -> tuple[jax.Array | None, jax.Array | None]:
    """A key for the embedding, and one for each layer."""
    if key is None:
        return None, None
    layers = jax.tree.leaves(p["blocks"])[0].shape[0]
    return jax.random.fold_in(key, 0), jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(1, layers + 1))


def _remembering(remat: Remat) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The `jax.checkpoint` that a choice of `remat` means; inside a scan there is no CSE to prevent."""
    policies = jax.checkpoint_policies
    if remat is None:
        return lambda layer: layer
    if remat == "full":
        return partial(jax.checkpoint, prevent_cse=False)
    if remat == "dots":
        return partial(jax.checkpoint, prevent_cse=False, policy=policies.dots_with_no_batch_dims_saveable)
    raise ValueError(f"transformer: remat is None, 'dots' or 'full'; found {remat!r}.")
