"""Stochastic depth of blocks that are stacked and scanned: their rates are scanned with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp


def depth_of(*stacks: Any) -> int:
    """How many blocks stacks of parameters have, all together; what is no stack is for `scan_layers` to refuse."""
    sizes = lambda p: [x.shape[0] for x in jax.tree.leaves(p) if getattr(x, "ndim", 0)]
    return sum(max(sizes(p), default=1) for p in stacks)


def scanned_rates(rates: Sequence[float], key: jax.Array | None) -> dict[str, jax.Array]:
    """The rates of stacked blocks, as their argument `drop_path`; without noise none, which costs nothing."""
    silent = key is None or all(not isinstance(rate, jax.Array) and rate == 0 for rate in rates)
    return {} if silent else {"drop_path": jnp.asarray(rates)}
