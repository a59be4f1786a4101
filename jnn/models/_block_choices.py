"""Choices in which the blocks of published families differ: which of their maps have biases, how scores are scaled.

with_biases(maps, ("up", "down")) -> spec       without the "b" of the others
scaled_attention(head, scale, cap) -> Attend    scores times `scale` instead of head ** -0.5
"""

from __future__ import annotations

from jnn.layers import Attend, dot_product_attention
from jnn.param import Spec

ATTENTION, FEED_FORWARD = ("q", "k", "v", "o"), ("gate", "up", "down")


def check_heads(of: str, heads: int, embed: int, *, advice: str = "") -> None:
    """Raises ValueError unless heads divide embed."""
    if embed % heads:
        raise ValueError(f"{of}: {heads} heads do not divide embed={embed}{advice}.")


def check_biases(of: str, bias: tuple[str, ...], maps: tuple[str, ...] = (*ATTENTION, *FEED_FORWARD)) -> None:
    """Raises ValueError unless biases are of maps that there are."""
    if unknown := {*bias} - {*maps}:
        raise ValueError(f"{of}: expected biases of {maps}, found {sorted(unknown)}.")


def with_biases(maps: Spec, bias: tuple[str, ...]) -> Spec:
    """Declared maps, without the "b" of those that have none."""
    own = lambda name: {leaf: maps[name][leaf] for leaf in maps[name] if leaf != "b" or name in bias}
    return {name: own(name) for name in maps}


def scaled_attention(head: int, scale: float | None, cap: float | None = None) -> Attend:
    """Attention, its scores scaled and capped where that is said."""
    if scale is None and cap is None:
        return dot_product_attention
    factor = 1.0 if scale is None else scale * head**0.5
    return lambda q, *args, **how: dot_product_attention(q * factor, *args, cap=cap, **how)
