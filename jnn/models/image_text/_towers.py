"""Towers: pre-norm blocks over the patches of an image, or the tokens of a text.

    image_tower_spec(...), image_tower(name, p, x, config) -> (..., t, d)       before the last norm
    text_tower_spec(...), text_tower(name, p, tokens, config) -> (..., t, d)    behind it

Params say what is computed: a class token is there iff "class" is in p, and a norm before the blocks iff "norm_in" is.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.initializers import lecun_normal, normal
from jnn.layers import (
    conv_spec,
    embed,
    embed_spec,
    layer_norm,
    layer_norm_spec,
    learned_positions,
    learned_positions_spec,
    scan_layers,
)
from jnn.models._patch_tokens import patch_tokens
from jnn.models._patches import patches
from jnn.models._transformer_block import transformer_block, transformer_block_spec
from jnn.models.image_text._config import ClipConfig, SiglipConfig, TowerConfig
from jnn.param import Param, Params, Spec, stack
from jnn.precision import add_bias
from jnn.remat import Remat


def image_tower_spec(config: ClipConfig | SiglipConfig, *, class_token: bool, dtype: DTypeLike) -> Spec:
    """Declares an image tower: {"patch", "position", "blocks", "norm"}; with a class token "class" and "norm_in"."""
    (y, x, channels), patch, d = config.image, config.patch, config.images.embed
    squares = (channels, d, (patch, patch))
    norm = layer_norm_spec(d, dtype=dtype)
    of_class = {"class": Param((d,), normal(d**-0.5), ("embed",), dtype), "norm_in": norm}
    return {
        "patch": conv_spec(
            *squares, axes=("channels_in", "embed"), bias=not class_token, init=lecun_normal, dtype=dtype
        ),
        **(of_class if class_token else {}),
        "position": learned_positions_spec((y // patch) * (x // patch) + class_token, d, dtype=dtype),
        "blocks": _blocks_spec(config.images, dtype),
        "norm": norm,
    }


def text_tower_spec(config: ClipConfig | SiglipConfig, *, dtype: DTypeLike) -> Spec:
    """Declares a text tower: {"embed", "position", "blocks", "norm"}."""
    d = config.texts.embed
    return {
        "embed": embed_spec(config.vocab, d, dtype=dtype),
        "position": learned_positions_spec(config.context, d, dtype=dtype),
        "blocks": _blocks_spec(config.texts, dtype),
        "norm": layer_norm_spec(d, dtype=dtype),
    }


def image_tower(name: str, p: Params, x: jax.Array, config: TowerConfig, remat: Remat) -> jax.Array:
    """Images (..., y, x, c) -> (..., t, d): all tokens, a class token first, before the last norm."""
    checks.params(name, p, "patch", "position", "blocks", "norm", may=("class", "norm_in"), what="params['image']")
    checks.floats(name, x, ndim=3)
    ends = gather({part: p[part] for part in ("patch", "position", "class", "norm_in") if part in p}, "image")
    h = patch_tokens(name, ends, patches(ends["patch"], x))
    h = layer_norm(ends["norm_in"], h, epsilon=config.epsilon) if "norm_in" in p else h
    return _blocks(p["blocks"], h, config, path="image/blocks", causal=False, remat=remat)


def text_tower(
    name: str, p: Params, tokens: jax.Array, config: TowerConfig, *, causal: bool, remat: Remat
) -> jax.Array:
    """Tokens (..., t) -> (..., t, d): all of them, behind the last norm."""
    checks.params(name, p, "embed", "position", "blocks", "norm", what="params['text']")
    checks.integers(name, tokens, ndim=1, name="tokens")
    if tokens.shape[-1] > (context := p["position"]["table"].shape[0]):
        raise ValueError(f"{name}: found {tokens.shape[-1]} tokens, its params have {context} positions.")
    ends = gather({part: p[part] for part in ("embed", "position", "norm")}, "text")
    where = learned_positions(ends["position"], jnp.arange(tokens.shape[-1]))
    h = add_bias(embed(ends["embed"], tokens), where)
    h = _blocks(p["blocks"], h, config, path="text/blocks", causal=causal, remat=remat)
    return layer_norm(ends["norm"], h, epsilon=config.epsilon)


def _blocks_spec(config: TowerConfig, dtype: DTypeLike) -> Spec:
    out_std = 0.02 / (2 * config.layers) ** 0.5
    block = transformer_block_spec(config.embed, config.heads, config.hidden, out_std=out_std, dtype=dtype)
    return stack(block, config.layers)


def _blocks(p: Params, x: jax.Array, config: TowerConfig, *, path: str, causal: bool, remat: Remat) -> jax.Array:
    norm = partial(layer_norm, epsilon=config.epsilon)

    def block(p: Params, x: jax.Array, key: jax.Array | None, _: None) -> jax.Array:
        return transformer_block(p, x, key=key, causal=causal, norm=norm, activation=config.activation)

    return scan_layers(block, p, constrain(x, "time", "embed"), "time", "embed", path=path, remat=remat)
