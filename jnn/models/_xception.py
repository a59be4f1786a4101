"""Xception: separable convolutions throughout, in blocks with residual connections.

What repeats in the middle is stacked and scanned. Padding is that of TensorFlow: none in the stem, and "SAME", which is
not symmetric where it strides, behind it. Laws: as in `_resnet`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.activations import identity
from jnn.axes import constrain, gather
from jnn.layers import batch_norm, batch_norm_spec, linear_spec, max_pool, separable_conv, separable_conv_spec
from jnn.models._conv_norm import Stats, conv_norm, conv_norm_spec
from jnn.models._inverted_residual import Activation
from jnn.models._residual_stages import head, repeated
from jnn.param import Params, Spec, check_key, stack

EPSILON = 1e-3
Step = Callable[[Params, jax.Array, Stats | None], tuple[jax.Array, Stats]]


def xception_spec(
    classes: int,
    *,
    stem: tuple[int, int] = (32, 64),
    entry: Sequence[int] = (128, 256, 728),
    middle: int = 8,
    exit: int = 1024,
    last: tuple[int, int] = (1536, 2048),
    channels: int = 3,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares an Xception.

    Args:
      classes: how many logits.
      stem: channels of the first two convolutions.
      entry: channels that come out of each block that halves the image.
      middle: how many blocks there are behind them, of as many channels.
      exit: channels that come out of the last block, which halves the image again.
      last: channels of the two separable convolutions before the logits.
      channels: of the images.
      dtype: of all.

    Returns:
      {"stem1", "stem2", each {"conv", "norm"}, "entry1": {"shortcut": {"conv", "norm"}, "unit1", "unit2"}, ...,
      "middle": stacked {"unit1", "unit2", "unit3"}, "exit": as an entry, "last1", "last2", "out"}, where a unit, and
      each of the last two, is {"conv": as `separable_conv_spec`, "norm"}

    >>> xception_spec(1000)["middle"]["unit1"]["conv"]["pointwise"]["w"].shape
    (8, 728, 728)
    """

    def unit(c_in: int, c_out: int) -> Spec:
        conv = separable_conv_spec(c_in, c_out, (3, 3), bias=False, dtype=dtype)
        return {"conv": conv, "norm": batch_norm_spec(c_out, dtype=dtype)}

    def halving(c_in: int, between: int, c_out: int) -> Spec:
        shortcut = conv_norm_spec(c_in, c_out, 1, dtype=dtype)
        return {"shortcut": shortcut, "unit1": unit(c_in, between), "unit2": unit(between, c_out)}

    spec: Spec = {
        "stem1": conv_norm_spec(channels, stem[0], dtype=dtype),
        "stem2": conv_norm_spec(*stem, dtype=dtype),
    }
    widths = [stem[1], *entry]
    spec |= {f"entry{i}": halving(a, b, b) for i, (a, b) in enumerate(zip(widths, entry, strict=False), 1)}
    c = widths[-1]
    return spec | {
        "middle": stack({f"unit{i}": unit(c, c) for i in (1, 2, 3)}, middle),
        "exit": halving(c, c, exit),
        "last1": unit(exit, last[0]),
        "last2": unit(*last),
        "out": linear_spec(last[1], classes, axes=("channels", "classes"), dtype=dtype),
    }


def xception(
    p: Params,
    x: jax.Array,
    stats: Stats | None = None,
    *,
    key: jax.Array | None,
    rate: float = 0.5,
    weight: jax.Array | None = None,
) -> tuple[jax.Array, Stats]:
    """Xception: blocks `shortcut(x) + separable convolutions(x)`, the activation before each convolution.

    See "Xception: Deep Learning with Depthwise Separable Convolutions", Chollet, 2017.

    Args:
      p: as `xception_spec` declares.
      x: (..., y, x, c), floating point; the paper's are of 299 x 299.
      stats: as `batch_stats_spec(spec)` declares, to normalize by; None for the batch's own.
      key: noise for dropout, None for none.
      rate: of dropout before the logits.
      weight: of each example, as in `batch_norm`.

    Returns:
      (..., classes) logits, in x's dtype; and the statistics used.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels than p was declared for, is empty or less than 7 x 7.

    >>> from jnn.param import abstract
    >>> p = abstract(xception_spec(10, stem=(2, 4), entry=(8,), middle=2, exit=8, last=(8, 8)))
    >>> images = jax.ShapeDtypeStruct((8, 32, 32, 3), jnp.float32)
    >>> jax.eval_shape(lambda p, x: xception(p, x, key=None)[0], p, images).shape
    (8, 10)
    """
    checks.params("xception", p, "stem1", "stem2", "middle", "exit", "last1", "last2", "out")
    checks.floats("xception", x, ndim=3)
    check_key("xception", key, optional=True)
    seen: Stats = {}
    stem = partial(conv_norm, padding="VALID", epsilon=EPSILON, weight=weight)
    block = partial(_block, weight=weight)

    def through(f: Step, x: jax.Array, *names: str, activation: Activation = jax.nn.relu) -> jax.Array:
        for name in names:
            h, seen[name] = f(gather(p[name], name), x, stats and stats[name])
            x = constrain(activation(h), "y", "x", "channels")
        return x

    x = through(stem, through(partial(stem, stride=2), x, "stem1"), "stem2")
    entries = [f"entry{i}" for i in range(1, 1 + sum(name.startswith("entry") for name in p))]
    x = through(block, x, *entries, activation=identity)
    middle = lambda p, x, stats, key: block(p, x, stats)
    x, seen["middle"] = repeated(middle, "middle", p["middle"], x, stats and stats["middle"], None)
    x = through(block, x, "exit", activation=identity)
    return head(p, through(partial(_unit, weight=weight), x, "last1", "last2"), rate, key), seen


def _block(p: Params, x: jax.Array, stats: Stats | None, *, weight: jax.Array | None) -> tuple[jax.Array, Stats]:
    """`x + convolutions(x)`; where there is a shortcut, both are halved."""
    h, seen = x, {}
    for name in sorted(p.keys() - {"shortcut"}):
        h, seen[name] = _unit(p[name], jax.nn.relu(h), stats and stats[name], weight=weight)
    if "shortcut" not in p:
        return x + h, seen
    given = stats and stats["shortcut"]
    x, seen["shortcut"] = conv_norm(p["shortcut"], x, given, stride=2, epsilon=EPSILON, weight=weight)
    return x + max_pool(h, (3, 3), stride=2, padding="SAME"), seen


def _unit(p: Params, x: jax.Array, stats: Stats | None, *, weight: jax.Array | None) -> tuple[jax.Array, Stats]:
    h = separable_conv(p["conv"], x)
    h, seen = batch_norm(p["norm"], h, stats and stats["norm"], epsilon=EPSILON, weight=weight)
    return h, {"norm": seen}
