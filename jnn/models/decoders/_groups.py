"""The stacked layers of a decoder, in groups of as many as there are windows, and one of them."""

from __future__ import annotations

from typing import Any

import jax

from jnn.models.decoders._config import DecoderConfig


def groups(blocks: Any, config: DecoderConfig) -> Any:
    """Stacked layers (layers, ...) in groups of as many as there are windows: (layers / n, n, ...).

    Groups of one are the layers as they are: an axis of size 1 costs a compiled program a copy of all weights.
    """
    n = len(config.windows)
    return blocks if n == 1 else jax.tree.map(lambda x: x.reshape(x.shape[0] // n, n, *x.shape[1:]), blocks)


def layer(group: Any, i: int, config: DecoderConfig) -> Any:
    """One layer of a group."""
    return group if len(config.windows) == 1 else jax.tree.map(lambda x: x[i], group)


def layer_at(blocks: Any, i: jax.Array) -> Any:
    """Layer i of stacked ones, which may be traced: groups would copy all weights for each token of a loop."""
    return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, i, keepdims=False), blocks)
