"""Weights that are no plain array, which only some layers read: in integers, products of two, with an adapter beside.

is_quantized(w), is_factored(w)                 whether a weight is kept so
plain(layer, p, names, what)                    a layer's weights are none of these
"""

from __future__ import annotations

from typing import Any

KEPT = ("int8", "int4", "w8a8", "float")  # the names under which a weight in parts has its numbers


def is_quantized(w: Any) -> bool:
    """Whether a weight is kept in parts, as `jnn.quantization` makes them: integers with scales, or floats with what is
    done to their inputs."""
    return hasattr(w, "keys") and any(name in w for name in KEPT)


def is_factored(w: Any) -> bool:
    """Whether a weight is the product of two, as `jnn.layers.factor_weight` makes them."""
    return hasattr(w, "keys") and set(w) == {"down", "up"} and not hasattr(w["down"], "keys")


def plain(layer: str, p: Any, names: tuple[str, ...], what: str, *, quantized: bool) -> None:
    """Raises if a layer that multiplies by itself is given what only linear maps read; integers with scales it reads
    where they may be `quantized`."""
    refused = lambda w: is_quantized(w) and not (quantized and ("int8" in w or "int4" in w))
    if kept := next((own for own in names if own in p and refused(p[own])), None):
        raise ValueError(
            f"{layer}: expected an array for {what}[{kept!r}], found {_kept_as(p[kept])}. Leave it out by "
            "where=..., of what made it."
        )
    if factored := next((own for own in names if own in p and is_factored(p[own])), None):
        raise ValueError(
            f"{layer}: expected an array for {what}[{factored!r}], found a product of two, which linear maps alone "
            "read. Leave it out: low_rank(..., where=...)."
        )
    if "w" in names and "lora" in p:
        raise ValueError(
            f"{layer}: found a 'lora' in {what}, which linear maps alone read. Leave it out: lora_spec(..., where=...)."
        )


def _kept_as(w: Any) -> str:
    if "int8" in w or "int4" in w:
        return "integers with scales, which linear maps, convolutions and embeddings alone read"
    return "a weight whose inputs are in 8 bits or observed, which linear maps alone read"
