"""The parameters that a layer is given: all that it reads, and nothing under a name that nobody reads.

params(layer, p, "w", may=("b",))               the parameters that a layer reads
maps(layer, p, "up", "down")                    the linear maps among them
map_parts(layer, p, "q", "k")                   the same of parts, whatever else there is
drawn(layer, p)                                 arrays, and no declarations
declared(where, path, x, param), by_path        what stands at a path of a spec; what is given by path
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jnn.checks._arrays import array, describe, how_to_array
from jnn.checks._weights import is_factored, is_quantized, plain
from jnn.param import Param

# what others call a parameter of ours
ELSEWHERE = {
    "w": ("kernel", "weight", "weights"),
    "b": ("bias", "biases"),
    "scale": ("weight", "gamma", "w"),
    "zero_centered_scale": ("weight",),
    "bias": ("beta", "offset", "b"),
    "table": ("embedding", "embeddings", "weight"),
    "q": ("query", "q_proj", "wq"),
    "k": ("key", "k_proj", "wk"),
    "v": ("value", "v_proj", "wv"),
    "o": ("out", "out_proj", "wo"),
    "angles": ("weights", "params", "thetas"),
    "slope": ("weight", "negative_slope", "alpha"),
    "frequency": ("A_imag",),
    "skip": ("D",),
    "mean": ("running_mean", "moving_mean"),
    "var": ("running_var", "moving_variance", "variance"),
}


def params(
    layer: str,
    p: Any,
    *need: str,
    may: tuple[str, ...] = (),
    what: str = "params",
    adapted: bool = False,
    quantized: bool = False,
) -> None:
    """Raises unless p is a dict of arrays (or of such dicts) that holds all that is needed.

    It may hold more; but not what a layer reads under another library's name, and, unless weights may be `adapted`,
    neither integers with scales (but where they may be `quantized`) for what is needed nor a "lora" beside a "w":
    nobody would read it.
    """
    if not hasattr(p, "keys"):
        swapped = f"They come first: {layer}({what}, x)." if isinstance(p, jax.Array | np.ndarray) else ""
        absent = "Of ctx.given and ctx.ema: make_step(given=...), create_state(ema=True)." if p is None else ""
        of_state = "Give those that it holds: state.params." if hasattr(p, "params") else ""
        advice = swapped or absent or of_state or how_to_array(p, what)
        raise TypeError(f"{layer}: {_wanted(what, need + may)}; found {describe(p)}. {advice}")
    for own in need + may:
        if own in p:
            for part, x in p[own].items() if is_quantized(p[own]) or is_factored(p[own]) else ():
                if part != "sums":
                    array(layer, x, f"{what}[{own!r}][{part!r}]")
            if not hasattr(p[own], "keys"):
                array(layer, p[own], f"{what}[{own!r}]")
        elif other := next((name for name in ELSEWHERE.get(own, ()) if name in p and name not in need + may), None):
            raise ValueError(
                f"{layer}: {_wanted(what, need + may)}; found {other!r}, which is {own!r} here. Rename it, in the "
                f"shape that {layer}_spec declares."
            )
        elif own in need:
            found = f"found the names {sorted(map(str, p))}.{_inside(p, own, what)}"
            raise ValueError(f"{layer}: {_wanted(what, need + may)}; {found}")
    if not adapted:
        plain(layer, p, need + may, what, quantized=quantized)


def _wanted(what: str, names: tuple[str, ...]) -> str:
    return f"expected {what}, a dict with {', '.join(map(repr, names))}"


def _inside(p: Any, own: str, what: str) -> str:
    """Where among the entries of p what is missing may be."""
    holds = lambda x: hasattr(x, "keys") and any(name in x for name in (own, *ELSEWHERE.get(own, ())))
    inside = next((name for name in p if holds(p[name])), None)
    return f" Give the ones of this layer: {what}[{inside!r}]." if inside is not None else ""


def maps(layer: str, p: Any, *names: str, more: tuple[str, ...] = (), may: tuple[str, ...] = ()) -> None:
    """Raises unless p holds linear maps under these names, each with a "w" and at most a "b", and more."""
    params(layer, p, *names, *more, may=may)
    map_parts(layer, p, *names)


def map_parts(layer: str, parts: Any, *names: str | int, what: str = "params", adapted: bool = True) -> None:
    """Raises unless each of these parts, of a dict or a list, is a map's: a dict with "w", and "b" where it has one.

    Of a layer that multiplies by itself they are not `adapted`, as in `params`.
    """
    for name in names:
        params(layer, parts[name], "w", may=("b",), what=f"{what}[{name!r}]", adapted=adapted)


def drawn(layer: str, p: Any) -> None:
    """Raises if a tree of parameters still holds their declarations."""
    for leaf in jax.tree.leaves(p):
        if isinstance(leaf, Param):
            array(layer, leaf, "each parameter")


def declared(where: str, path: str, x: Any, param: Param) -> None:
    """Raises ValueError unless x has the declared shape; what is traced may be a device's part, of as many axes.

    >>> declared("quantize", "fc/w", np.ones((3, 2)), Param((2, 3), jax.nn.initializers.zeros, ("embed", "hidden")))
    Traceback (most recent call last):
    ValueError: quantize: expected fc/w (2, 3), as the spec declares it, found float64[3,2]. Give what
    jnn.init(spec, key) made.
    """
    part = isinstance(x, jax.core.Tracer) and x.ndim == len(param.shape)
    if np.shape(x) != param.shape and not part:
        raise ValueError(
            f"{where}: expected {path} {param.shape}, as the spec declares it, found {describe(x)}. Give what "
            "jnn.init(spec, key) made."
        )


def by_path(where: str, what: str, found: Any) -> None:
    """Raises TypeError unless what is given by path is a mapping.

    >>> by_path("quantize", "scales", 0.5)
    Traceback (most recent call last):
    TypeError: quantize: expected scales by path, a dict, found float. Patterns of paths are where=...
    """
    if not isinstance(found, Mapping):
        raise TypeError(
            f"{where}: expected {what} by path, a dict, found {describe(found)}. Patterns of paths are where=..."
        )
