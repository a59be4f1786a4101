"""The sum over a window's taps of each times a filter, on a CPU: its gradients read what they need once.

    depthwise_by_taps(w, x, window) -> y            y = sum_k tap_k(x) * w_k

JAX's own gradient by the filters is a sum for each tap. XLA:CPU has a fast one for a sum, whose operand, the tap times
what comes back, it writes out first: nine of them for a window of 3x3. One reduction of several taps together it does
in a loop that writes nothing; LLVM unrolls it where each sum is of few numbers, and so computes many channels at once:
1.9 ms of one core in place of 24, and of 13 by one reduction over all of space (32 images 32x32 of 128 channels); 0.9,
6 and 3.8 (16x16 of 256). With more taps or longer runs at once it is as slow as those. JAX's own gradient by the input
adds up as many padded arrays as there are taps, and XLA:CPU computes what comes back, through a batch norm say, anew
for each: 8.9 ms, and 5.1 as slices of one array (32 images 32x32 of 128), with stride 2 3.8 and 2.0. As JAX has no way
to say so of a function that it can also push forward and batch, these are primitives of their own: bilinear, so that
all derivatives of any order follow from their transposes.

Letters: `b` batch, `c` channels, `k` taps; the window slides over what stands between b and c.
"""

from __future__ import annotations

import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad

from jnn.layers._window import Window
from jnn.layers.kernels._primitive import on_a_mesh, primitive
from jnn.precision import wide

AT_ONCE, RUN = 9, 8  # taps of one reduction, and places


class _Slide(NamedTuple):
    """A window over an input of one shape, with its borders."""

    window: Window
    spatial: tuple[int, ...]  # before it was padded

    @property
    def padded(self) -> list[int]:
        return [
            before + n + after for n, (before, after) in zip(self.spatial, self.window.pads(self.spatial), strict=True)
        ]

    def taps(self, x: jax.Array) -> list[jax.Array]:
        """Of x (b, *padded, c): (b, *out, c) each."""
        return list(self.window.taps(x, self.spatial))

    def meet(self, phase: tuple[int, ...]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Taps that reach the places phase, phase + stride, ...: each with whose it is, counted from the place's."""
        axes = zip(phase, self.window.size, self.window.stride, self.window.dilation, strict=True)
        each = ([(k, (at - k * d) // s) for k in range(size) if (at - k * d) % s == 0] for at, size, s, d in axes)
        return [(tap, window) for tap, window in (zip(*pairs, strict=True) for pairs in itertools.product(*each))]


def depthwise_by_taps(w: jax.Array, x: jax.Array, window: Window) -> jax.Array:
    """Depthwise convolution of x (b, *spatial, c) by w (*kernel, 1, c * multiplier), summed in float32 at least.

    Returns:
      (b, *out, c * multiplier), in x's dtype.
    """
    slide = _Slide(window, x.shape[1:-1])
    filters = wide(w).reshape(-1, w.shape[-1])
    with window.products(slide.spatial):
        padded = window.pad(wide(jnp.repeat(x, w.shape[-1] // x.shape[-1], axis=-1)))
        weigh = _plain if on_a_mesh(padded, filters) else _primitives()[0].bind
        y = weigh(padded, filters, slide=slide)
    return y.astype(x.dtype)


def _plain(x: jax.Array, w: jax.Array, *, slide: _Slide) -> jax.Array:
    """In JAX's own words: x (b, *padded, c), w (k, c) -> (b, *out, c)."""
    rows = w.reshape(w.shape[0], *(1,) * (x.ndim - 1), w.shape[-1])
    return sum(tap * row for tap, row in zip(slide.taps(x), rows, strict=True))


def _filters(x: jax.Array, g: jax.Array, *, slide: _Slide) -> jax.Array:
    """(k, c): every tap times g (b, *out, c), summed over all but the channels."""
    x, g = jax.lax.optimization_barrier((x, g))  # in memory, not computed anew for each tap
    products = [tap * g for tap in slide.taps(x)]
    groups = [products[i : i + AT_ONCE] for i in range(0, len(products), AT_ONCE)]
    longest = 1 + int(np.argmax([n if isinstance(n, int) else 0 for n in g.shape[1:-1]]))  # but for symbolic sizes
    return jnp.concatenate([_summed(group, longest) for group in groups])


def _summed(products: list[jax.Array], axis: int) -> jax.Array:
    """(k, c): each of k arrays (b, *out, c) summed, runs of `RUN` along this axis first."""
    n = products[0].shape[axis]
    whole = n - n % RUN if isinstance(n, int) else 0
    add = lambda a, b: [m + n for m, n in zip(a, b, strict=True)]
    total = jnp.zeros((len(products), products[0].shape[-1]), products[0].dtype)
    for start, stop, runs in ((0, whole, (whole // RUN, RUN)), (whole, n, (1, n - whole))):
        if 0 not in runs:
            parts = [jax.lax.slice_in_dim(a, start, stop, axis=axis) for a in products]
            shape = (*parts[0].shape[:axis], *runs, *parts[0].shape[axis + 1 :])
            begin = [jnp.zeros((), total.dtype)] * len(parts)
            sums = jax.lax.reduce([part.reshape(shape) for part in parts], begin, add, (axis + 1,))
            total = total + jnp.stack([a.sum(tuple(range(a.ndim - 1))) for a in sums])
    return total


def _spread(g: jax.Array, w: jax.Array, *, slide: _Slide) -> jax.Array:
    """(b, *padded, c): of g (b, *out, c), the transpose of `_plain` by x. Places a stride apart meet the same taps, and
    so are one sum of slices."""
    stride, batch, axes = slide.window.stride, g.shape[0], range(1, g.ndim - 1)
    counts = [-(-n // s) for n, s in zip(slide.padded, stride, strict=True)]
    before = [(extent - 1) // s for extent, s in zip(slide.window.extent, stride, strict=True)]
    after = [max(0, count - g.shape[axis]) for count, axis in zip(counts, axes, strict=True)]
    g = jnp.pad(g, ((0, 0), *zip(before, after, strict=True), (0, 0)))
    rows = w.reshape(*slide.window.size, *(1,) * (g.ndim - 1), w.shape[-1])

    def places(phase: tuple[int, ...]) -> jax.Array:
        y = jnp.zeros((batch, *counts, g.shape[-1]), g.dtype)
        for tap, window in slide.meet(phase):
            first = [b + at for b, at in zip(before, window, strict=True)]
            last = [at + count for at, count in zip(first, counts, strict=True)]
            y = y + jax.lax.slice(g, (0, *first, 0), (batch, *last, g.shape[-1])) * rows[tap]
        return y

    phases = jnp.stack([places(phase) for phase in np.ndindex(*stride)]).reshape(*stride, batch, *counts, g.shape[-1])
    in_order = [len(axes), *(at for axis in axes for at in (len(axes) + axis, axis - 1)), phases.ndim - 1]
    sizes = (c * s for c, s in zip(counts, stride, strict=True))
    whole = phases.transpose(in_order).reshape(batch, *sizes, g.shape[-1])
    return jax.lax.slice(whole, (0,) * g.ndim, (batch, *slide.padded, g.shape[-1]))


@functools.cache
def _primitives() -> tuple[Primitive, Primitive, Primitive]:
    """`_plain`, `_filters` and `_spread` as primitives, bilinear: each one's transposes are the other two."""
    weighted, filters, spread = (
        primitive(name, f, static=("slide",))
        for name, f in (("weighted_taps", _plain), ("taps_gradient", _filters), ("taps_spread", _spread))
    )
    ad.defbilinear(
        weighted,
        lambda ct, x, w, *, slide: spread.bind(ct, w, slide=slide),
        lambda ct, x, w, *, slide: filters.bind(x, ct, slide=slide),
    )
    ad.defbilinear(
        filters,
        lambda ct, x, g, *, slide: spread.bind(g, ct, slide=slide),
        lambda ct, x, g, *, slide: weighted.bind(x, ct, slide=slide),
    )
    ad.defbilinear(
        spread,
        lambda ct, g, w, *, slide: weighted.bind(ct, w, slide=slide),
        lambda ct, g, w, *, slide: filters.bind(ct, g, slide=slide),
    )
    return weighted, filters, spread
