"""Attention of some pairs of blocks alone."""

from __future__ import annotations

from functools import partial

import numpy as np

from jnn import layers
from jnn.laws import Block


def sparse(p, x, key):
    """With blocks that see one or two, causal."""
    attend = partial(layers.block_sparse_attention, blocks=layers.sliding_window_blocks(3, 2))
    return layers.attention(p, x, causal=True, attend=attend)


BLOCKS = [
    Block(
        "block_sparse_attention",
        layers.attention_spec(4, 2, kv_heads=1),
        sparse,
        lambda rng: (rng.normal(size=(6, 4)).astype(np.float32),),
        causal=True,
    )
]
