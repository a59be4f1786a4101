"""A residual network of a board: a policy over moves, and a value to who is to move.

See "A general reinforcement learning algorithm that masters chess, shogi, and Go through self-play", Silver et al.,
2018. Without batch norm: every branch and both heads end with weights of 0, so that at first all moves are alike.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from jnn import layers
from jnn.initializers import zeros
from jnn.param import Params, Spec


def board_network_spec(board: tuple[int, ...], width: int, blocks: int, actions: int) -> Spec:
    """Declares the network for boards (y, x, planes): so many blocks of two convolutions."""
    unit = partial(layers.conv_spec, width, width, (3, 3))
    head = partial(layers.linear_spec, board[0] * board[1] * width, init=zeros)
    return {
        "stem": layers.conv_spec(board[2], width, (3, 3)),
        "blocks": [{"unit1": unit(), "unit2": unit(init=zeros)} for _ in range(blocks)],
        "policy": head(actions),
        "value": head(1),
    }


def board_network(p: Params, board: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Boards (..., y, x, planes) to logits (..., actions) and values (...) between -1 and 1."""
    h = jax.nn.relu(layers.conv(p["stem"], board.astype(jnp.float32)))
    for block in p["blocks"]:
        h = jax.nn.relu(h + layers.conv(block["unit2"], jax.nn.relu(layers.conv(block["unit1"], h))))
    h = h.reshape(*h.shape[:-3], -1)
    return layers.linear(p["policy"], h), jnp.tanh(layers.linear(p["value"], h)[..., 0])
