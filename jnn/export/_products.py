"""Rules of products, convolutions, windows, Fourier transforms and triangular systems."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jnn.export._layout import margins
from jnn.export._literals import dtype, each, number, sizes
from jnn.export._writer import Call, Rule


def dot(c: Call) -> str:
    """A product as `@` where it is one of matrices, and as an einsum of letters otherwise."""
    (left, right), (left_batch, right_batch) = c.params["dimension_numbers"]
    a, b = (_cast(c, i) for i in (0, 1))
    ranks = [len(value.shape) for value in c.inputs]
    if tuple(left) == (ranks[0] - 1,) and ranks[1] == 2 and not left_batch:
        return f"{a} @ {b}" if tuple(right) == (0,) else f"{a} @ {b}.mT"
    batch = tuple(range(ranks[0] - 2))
    if ranks[0] == ranks[1] > 2 and tuple(left_batch) == tuple(right_batch) == batch and len(left) == 1:
        return _of_matrices(a, b, left[0] == ranks[0] - 1, right[0] == ranks[0] - 2)
    return f"torch.einsum('{_letters(ranks, left, right, left_batch, right_batch)}', {a}, {b})"


def _of_matrices(a: str, b: str, plain_a: bool, plain_b: bool) -> str:
    return f"{a if plain_a else a + '.mT'} @ {b if plain_b else b + '.mT'}"


def _cast(c: Call, i: int) -> str:
    """An operand in the dtype of the result, which JAX may have wider than both."""
    return c.tensor(i) if c.inputs[i].dtype == c.out.dtype else f"{c.tensor(i)}.to({dtype(c.out.dtype)})"


def _letters(ranks: Sequence[int], left: Any, right: Any, left_batch: Any, right_batch: Any) -> str:
    """As `einsum` has them: axes of both first, then those of each, `bqhd,bkhd->bhqk` say."""
    letters = iter(string.ascii_lowercase)
    a = [next(letters) for _ in range(ranks[0])]
    paired = {**dict(zip(right, left, strict=True)), **dict(zip(right_batch, left_batch, strict=True))}
    b = [a[paired[axis]] if axis in paired else next(letters) for axis in range(ranks[1])]
    shared = [a[axis] for axis in left_batch]
    rest = [letter for axis, letter in enumerate(a) if axis not in (*left, *left_batch)]
    rest += [letter for axis, letter in enumerate(b) if axis not in paired]
    return f"{''.join(a)},{''.join(b)}->{''.join([*shared, *rest])}"


def conv(c: Call) -> str:
    p, dims = c.params, c.params["dimension_numbers"]
    spatial = len(dims.lhs_spec) - 2
    if spatial not in (1, 2, 3) or p["batch_group_count"] != 1:
        raise c.refuse(f"{spatial} spatial axes, or groups of examples,")
    x, w = _permuted(_cast(c, 0), dims.lhs_spec), _permuted(_cast(c, 1), dims.rhs_spec)
    pads = [(low, high) for low, high in p["padding"]]
    given = {"stride": p["window_strides"], "dilation": p["rhs_dilation"], "groups": p["feature_group_count"]}
    if any(n != 1 for n in p["lhs_dilation"]):
        config = [(0, 0, 0)] * 2 + [(a, b, n - 1) for (a, b), n in zip(pads, p["lhs_dilation"], strict=True)]
        x = f"padded({x}, 0, {tuple(config)})"
    elif any(low != high or low < 0 for low, high in pads):
        x = f"F.pad({x}, {margins(pads)})"
    else:
        given["padding"] = tuple(low for low, _ in pads)
    options = [f", {name}={_alike(value)}" for name, value in given.items() if not _is_default(name, value)]
    return _unpermuted(f"F.conv{spatial}d({x}, {w}{''.join(options)})", dims.out_spec)


def _is_default(name: str, value: Any) -> bool:
    usual = 0 if name == "padding" else 1
    return all(n == usual for n in (value if isinstance(value, Sequence) else (value,)))


def _alike(value: Any) -> str:
    """One number where all axes have it."""
    return str(value[0] if isinstance(value, Sequence) and len(set(value)) == 1 else value)


def _permuted(x: str, order: Sequence[int]) -> str:
    return x if tuple(order) == tuple(range(len(order))) else f"{x}.permute({each(order)})"


def _unpermuted(x: str, order: Sequence[int]) -> str:
    return _permuted(x, [tuple(order).index(axis) for axis in range(len(order))])


def window(c: Call) -> str:
    """Maxima or sums of windows: `F.max_pool` where it has such, views of all windows otherwise."""
    p, floating = c.params, jax.numpy.issubdtype(c.inputs[0].dtype, jax.numpy.floating)
    shape, strides, pads = p["window_dimensions"], p["window_strides"], [tuple(pair) for pair in p["padding"]]
    if any(n != 1 for n in (*p["base_dilation"], *p["window_dilation"])):
        raise c.refuse("dilation")
    slides = [i for i, (n, step) in enumerate(zip(shape, strides, strict=True)) if (n, step) != (1, 1)]
    maximum = c.equation.name == "reduce_window_max"
    padded = [i for i, pair in enumerate(pads) if pair != (0, 0)]
    if maximum and floating and len(slides) in (1, 2, 3) and len(slides) == len(shape) - 2 and {*padded} <= {*slides}:
        return _max_pool(c, slides)
    x = c.x
    if padded:
        x = f"F.pad({x}, {margins(pads)}, value={_neutral(c)})"
    views = "".join(f".unfold({i}, {shape[i]}, {strides[i]})" for i in slides)
    inner = tuple(range(-len(slides), 0))
    reduce = {"reduce_window_max": f"amax({inner})", "reduce_window_min": f"amin({inner})"}
    total = f"sum({inner}{c.own_dtype})"
    return f"{x}{views}.{reduce.get(c.equation.name, total)}" if slides else x


def _neutral(c: Call) -> str:
    """What a window does not see."""
    of = c.out.dtype
    if "sum" in c.equation.name:
        return "0"
    if of.kind == "b":
        return str(c.equation.name == "reduce_window_min")
    low, high = (np.iinfo(of).min, np.iinfo(of).max) if of.kind in "iu" else (-math.inf, math.inf)
    return number(low if c.equation.name == "reduce_window_max" else high, of)


def _max_pool(c: Call, slides: list[int]) -> str:
    p = c.params
    order = [*(i for i in range(len(slides) + 2) if i not in slides), *slides]
    pads = [tuple(p["padding"][i]) for i in slides]
    shape, strides = ([p[name][i] for i in slides] for name in ("window_dimensions", "window_strides"))
    x = _permuted(c.x, order)
    own = all(low == high and 2 * low <= n for (low, high), n in zip(pads, shape, strict=True))
    if not own:
        x = f"F.pad({x}, {margins(pads)}, value=-torch.inf)"
    padding = f", padding={_alike([low for low, _ in pads])}" if own and any(low for low, _ in pads) else ""
    pooled = f"F.max_pool{len(slides)}d({x}, {_alike(shape)}, {_alike(strides)}{padding})"
    return _unpermuted(pooled, order)


def fourier(c: Call) -> str:
    kind, lengths = c.params["fft_type"].name.lower(), tuple(c.params["fft_lengths"])
    axes = tuple(range(-len(lengths), 0))
    return f"torch.fft.{kind}n({c.x}, {sizes(lengths)}, {axes})"


def triangular(c: Call) -> str:
    """`a x = b`, or `x a = b`, with a or its transpose."""
    p = c.params
    if p["conjugate_a"]:
        raise c.refuse("a conjugated matrix")
    a, lower = (f"{c[0]}.mT", not p["lower"]) if p["transpose_a"] else (c[0], p["lower"])
    given = f"upper={not lower}, left={p['left_side']}, unitriangular={p['unit_diagonal']}"
    return f"torch.linalg.solve_triangular({a}, {c[1]}, {given})"


RULES: dict[str, Rule] = {
    "dot_general": dot,
    "conv_general_dilated": conv,
    **dict.fromkeys(("reduce_window_max", "reduce_window_min", "reduce_window_sum"), window),
    "fft": fourier,
    "triangular_solve": triangular,
}
