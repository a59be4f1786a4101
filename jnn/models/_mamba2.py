"""A language model of Mamba-2 layers: no attention, and a memory that does not grow.

    mamba2_decoder(p, tokens, key=key) -> logits                all positions at once, for training
    mamba2_decoder_cache(p, length) -> cache                    empty
    cached_mamba2_decoder(p, tokens, cache) -> (logits, cache)  the next chunk of tokens

The layers are stacked and scanned. How many there are, and how many heads and states, is in the shapes.

Laws: logits at t do not depend on tokens after t; `cached_mamba2_decoder` over any cut equals the whole.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.cached_model import CachedModel
from jnn.initializers import normal
from jnn.layers import (
    dropout,
    embed_spec,
    linear,
    linear_spec,
    mamba2,
    mamba2_spec,
    rms_norm,
    rms_norm_spec,
    scan_layers,
    unembed,
    weight_shape,
)
from jnn.layers import embed as embed_tokens
from jnn.param import Params, Spec, check_key, stack
from jnn.remat import Remat

EPSILON = 1e-5


def mamba2_decoder_spec(
    vocab: int,
    *,
    layers: int,
    embed: int,
    heads: int,
    head: int,
    states: int = 128,
    groups: int = 1,
    taps: int = 4,
    conv_bias: bool = True,
    tied: bool = True,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a language model of Mamba-2 layers.

    Args:
      vocab: how many tokens there are.
      layers: how many blocks.
      embed: the width of the residual stream.
      heads, head, states, groups, taps, conv_bias: of each, as in `mamba2_spec`; the norm has as many groups.
      tied: whether the read-out's weights are those that embed.
      dtype: of all.

    Returns:
      {"embed", "blocks": {"norm", "mixer"} (with a leading axis "layers"), "norm", "out" (unless tied)}

    >>> spec = mamba2_decoder_spec(65, layers=2, embed=8, heads=4, head=4, states=16)
    >>> spec["blocks"]["mixer"]["v"]["w"].shape
    (2, 8, 4, 4)
    """
    mixer = mamba2_spec(
        embed,
        heads,
        head=head,
        states=states,
        groups=groups,
        taps=taps,
        conv_bias=conv_bias,
        dtype=dtype,
    )
    norm = rms_norm_spec(embed, dtype=dtype)
    out = linear_spec(embed, vocab, axes=("embed", "vocab"), bias=False, init=normal(0.02), dtype=dtype)
    return {
        "embed": embed_spec(vocab, embed, dtype=dtype),
        "blocks": stack({"norm": norm, "mixer": mixer}, layers),
        "norm": norm,
        **({} if tied else {"out": out}),
    }


def mamba2_decoder(
    p: Params, tokens: jax.Array, *, key: jax.Array | None, rate: float = 0.0, remat: Remat = "dots"
) -> jax.Array:
    """Mamba-2 language model: logits of the token after each token.

    See "Transformers are SSMs: Generalized Models and Efficient Algorithms Through Structured State Space Duality",
    Dao and Gu, 2024.

    Args:
      p: as `mamba2_decoder_spec` declares.
      tokens: (..., t), integers in 0..vocab-1. A row is one text: its state knows no borders of packed ones.
      key: noise for dropout, None for none.
      rate: of dropout, on the embedding and on each residual branch.
      remat: what the backward pass remembers of each block, as in `jnn.remat`.

    Returns:
      (..., t, vocab), in the parameters' dtype.

    Raises:
      TypeError: tokens are not integers.
      ValueError: tokens are out of range, or remat is unknown.

    >>> from functools import partial
    >>> from jnn.param import init
    >>> p = init(mamba2_decoder_spec(65, layers=2, embed=8, heads=4, head=4, states=16), jax.random.key(0))
    >>> jax.eval_shape(partial(mamba2_decoder, key=None), p, jnp.zeros((3, 10), jnp.int32)).shape
    (3, 10, 65)
    """
    _check("mamba2_decoder", p, tokens)
    check_key("mamba2_decoder", key, optional=True)

    def block(p: Params, x: jax.Array, key: jax.Array | None, _: Any) -> jax.Array:
        return x + dropout(_mixed(p, x, None)[0], rate, key=key)

    ends = gather({name: p[name] for name in p if name != "blocks"})
    first = None if key is None else jax.random.fold_in(key, 0)
    x = constrain(dropout(embed_tokens(ends["embed"], tokens), rate, key=first), "time", "embed")
    x = scan_layers(block, p["blocks"], x, "time", "embed", path="blocks", key=key, remat=remat)
    return constrain(_read_out(ends, x), "time", "vocab")


def mamba2_decoder_cache(p: Params, length: int | None = None, *, leading: tuple[int, ...] = ()) -> Any:
    """States of a Mamba-2 language model before the first token of tokens (*leading, t).

    Args:
      p: as `mamba2_decoder_spec` declares.
      length: of the longest sequence, as other caches are told; this one is as large for any.
      leading: the leading axes of tokens.

    Returns:
      {"state": (layers, *leading, heads, states, head), "past": what the convolutions have seen}, zeros.

    >>> from jnn.param import init
    >>> p = init(mamba2_decoder_spec(65, layers=2, embed=8, heads=4, head=4, states=16), jax.random.key(0))
    >>> mamba2_decoder_cache(p, leading=(5,))["state"].shape
    (2, 5, 4, 16, 4)
    """
    _check_params("mamba2_decoder_cache", p)
    x = jax.eval_shape(embed_tokens, p["embed"], jax.ShapeDtypeStruct((*leading, 1), jnp.int32))
    begun = jax.eval_shape(jax.vmap(lambda p, x: mamba2(p, x)[1], (0, None)), p["blocks"]["mixer"], x)
    return jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), begun)


def cached_mamba2_decoder(p: Params, tokens: jax.Array, cache: Any) -> tuple[jax.Array, Any]:
    """Cached Mamba-2 language model: logits of the token after each token of the next chunk of a sequence.

    Args:
      p: as `mamba2_decoder_spec` declares.
      tokens: (..., t), integers in 0..vocab-1.
      cache: from `mamba2_decoder_cache`, or from the call before.

    Returns:
      (..., t, vocab), and the cache behind these tokens.

    Raises:
      TypeError, ValueError: as `mamba2_decoder`.

    >>> from jnn.param import init
    >>> p = init(mamba2_decoder_spec(65, layers=2, embed=8, heads=4, head=4, states=16), jax.random.key(0))
    >>> logits, cache = jax.eval_shape(cached_mamba2_decoder, p, jnp.array([1, 2, 3]), mamba2_decoder_cache(p))
    >>> logits.shape, cache["state"].shape
    ((3, 65), (2, 4, 16, 4))
    """
    _check("cached_mamba2_decoder", p, tokens)

    def block(x: jax.Array, slices: tuple[Params, Any]) -> tuple[jax.Array, Any]:
        own, carry = slices
        y, carry = _mixed(own, x, carry)
        return x + y, carry

    x, cache = jax.lax.scan(block, embed_tokens(p["embed"], tokens), (p["blocks"], cache))
    return _read_out(p, x), cache


def _vocab(p: Params) -> int:
    """How many tokens the table has: what generation asks first, and so what checks params for all of it."""
    _check_params("mamba2_decoder", p)
    return weight_shape(p["embed"]["table"])[0]


MAMBA2 = CachedModel(cache=mamba2_decoder_cache, chunk=cached_mamba2_decoder, vocab=_vocab)
"""A language model of Mamba-2 layers, as `jnn.generate` takes it."""


def _mixed(p: Params, x: jax.Array, carry: Any) -> tuple[jax.Array, Any]:
    """What a block adds to the stream, and its carry."""
    groups = weight_shape(p["mixer"]["q"]["w"])[-2]
    return mamba2(p["mixer"], rms_norm(p["norm"], x, epsilon=EPSILON), carry, norm_groups=groups)


def _read_out(p: Params, x: jax.Array) -> jax.Array:
    x = rms_norm(p["norm"], x, epsilon=EPSILON)
    return linear(p["out"], x) if "out" in p else unembed(p["embed"], x)


def _check(name: str, p: Params, tokens: jax.Array) -> None:
    _check_params(name, p)
    checks.integers(name, tokens, ndim=1, name="tokens")


def _check_params(name: str, p: Params) -> None:
    checks.params(name, p, "embed", "blocks", "norm", may=("out",))
    checks.params(name, p["embed"], "table", what="params['embed']", adapted=True)
    checks.params(name, p["blocks"], "norm", "mixer", what="params['blocks']")
