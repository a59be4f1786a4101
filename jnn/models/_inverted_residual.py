"""Inverted residual blocks of convolutions with batch norms, and what MobileNetV2 and EfficientNets share.

    inverted_residual(p, x, stats) -> (x, stats)        a part ("expand", a gate "squeeze") is used iff p has it
    inverted_stages_spec(c, stages) -> (spec, c)        stages, of which blocks that repeat are stacked
    inverted_network(p, x, stats) -> (logits, stats)    a stem, the stages, a last convolution, dropout and logits

Laws: as in `_conv_norm`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import jax
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.layers import dropout, global_avg_pool, linear, squeeze_excitation, squeeze_excitation_spec
from jnn.models._conv_norm import Stats, conv_norm, conv_norm_spec
from jnn.models._residual_stages import through_stages
from jnn.param import Params, Spec, check_key, path_key, stack

Activation = Callable[[jax.Array], jax.Array]
Gate = Callable[[Params, jax.Array], jax.Array]  # (p, x) -> x, each channel scaled
Unit = Callable[..., tuple[jax.Array, Stats]]  # `conv_norm`, with what is the same of all units


def inverted_residual_spec(
    c_in: int, hidden: int, c_out: int, kernel: int, squeeze: int | None = None, *, dtype: DTypeLike
) -> Spec:
    """{"expand" (where hidden is not c_in), "depthwise", "squeeze" (a gate of so many features), "project"}."""
    expand = {"expand": conv_norm_spec(c_in, hidden, 1, dtype=dtype)} if hidden != c_in else {}
    gate = {} if squeeze is None else {"squeeze": squeeze_excitation_spec(hidden, squeeze, dtype=dtype)}
    depthwise = conv_norm_spec(hidden, hidden, kernel, groups=hidden, dtype=dtype)
    return {**expand, "depthwise": depthwise, **gate, "project": conv_norm_spec(hidden, c_out, 1, dtype=dtype)}


def inverted_residual(
    p: Params,
    x: jax.Array,
    stats: Stats | None,
    key: None,
    *,
    stride: int,
    activation: Activation,
    gate: Gate = squeeze_excitation,
    unit: Unit = conv_norm,
) -> tuple[jax.Array, Stats]:
    """`x + project(gate(depthwise(expand(x))))`, x where the shapes are the same; a block for `through_stages`."""
    h, seen = x, {}
    for name in ("expand", "depthwise", "squeeze", "project"):
        if name not in p:
            continue
        if name == "squeeze":
            h = gate(p[name], h)
            continue
        deep = name == "depthwise"
        h, seen[name] = unit(p[name], h, stats and stats[name], stride=stride if deep else 1, grouped=deep)
        h = activation(h) if name != "project" else h
    return (x + h if x.shape == h.shape else h), seen


def inverted_stages_spec(
    c: int, stages: Sequence[tuple[int, int, int, int]], *, gated: bool, dtype: DTypeLike
) -> tuple[Spec, int]:
    """{"stage1": {"first", "rest"}, ...} and the channels that come out.

    Args:
      c: channels that come in.
      stages: of each, the kernel of its blocks, by how much they widen, how many channels come out, how many there are.
      gated: whether blocks have a gate of a quarter of the channels that come into them.
      dtype: of all.
    """

    def block(c_in: int, c_out: int, kernel: int, widen: int) -> Spec:
        return inverted_residual_spec(
            c_in, c_in * widen, c_out, kernel, max(1, c_in // 4) if gated else None, dtype=dtype
        )

    spec: Spec = {}
    for i, (kernel, widen, c_out, n) in enumerate(stages, 1):
        rest = {"rest": stack(block(c_out, c_out, kernel, widen), n - 1)} if n > 1 else {}
        spec[f"stage{i}"] = {"first": block(c, c_out, kernel, widen)} | rest
        c = c_out
    return spec, c


def inverted_network(
    where: str,
    p: Params,
    x: jax.Array,
    stats: Stats | None,
    *,
    key: jax.Array | None,
    rate: float,
    strides: Sequence[int],
    activation: Activation,
    gate: Gate = squeeze_excitation,
    padding: str | int | None = None,
    epsilon: float = 1e-5,
    weight: jax.Array | None,
) -> tuple[jax.Array, Stats]:
    """Logits of images, and the statistics used."""
    checks.params(where, p, "stem", "stage1", "last", "out")
    checks.floats(where, x, ndim=3)
    check_key(where, key, optional=True)
    if len(strides) != (stages := sum(name.startswith("stage") for name in p)):
        raise ValueError(f"{where}: expected a stride of each of {stages} stages, found {tuple(strides)}.")
    unit = partial(conv_norm, padding=padding, epsilon=epsilon, weight=weight)
    h, first = unit(gather(p["stem"], "stem"), x, stats and stats["stem"], stride=2)
    how = {"activation": activation, "gate": gate, "unit": unit}
    h, seen = through_stages(p, activation(h), stats, inverted_residual, None, strides=strides, **how)
    h, last = unit(gather(p["last"], "last"), h, stats and stats["last"])
    h = global_avg_pool(constrain(activation(h), "y", "x", "channels"))
    h = dropout(h, rate, key=None if key is None else path_key(key, "out"))
    return linear(gather(p["out"], "out"), h), {"stem": first, **seen, "last": last}


def rounded(c: float) -> int:
    """The nearest multiple of 8, and not less than nine tenths of c."""
    near = max(8, int(c + 4) // 8 * 8)
    return near + 8 if near < 0.9 * c else near
