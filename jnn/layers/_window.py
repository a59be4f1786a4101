"""The geometry of a sliding window, shared by convolution and pooling.

    sliding(layer, size, ...) -> Window     one checked declaration, an entry per spatial axis
    window.pads(spatial) -> pairs           how much goes before and after each axis of an input
    window.out(spatial) -> spatial          the shape that comes out
    window.products(spatial)                a scope whose multiplications are its products
    window.taps(x, spatial) -> views        one strided view of padded x per element of the window

Laws: `out = (input + before + after - extent) // stride + 1` along each axis, and "SAME" makes that
`ceil(input / stride)`. All of it is known while tracing.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jnn import flop_marks
from jnn.layers._spatial import per_axis

Pairs = tuple[tuple[int, int], ...]
Padding = str | int | Sequence[int] | Sequence[tuple[int, int]]
_KINDS = {1: "sequences type", 2: "images", 3: "volumes"}
BORDERS = {"CIRCULAR": "wrap", "REFLECT": "reflect"}  # paddings that are not zeros -> modes of `jnp.pad`


@dataclasses.dataclass(frozen=True)
class Window:
    """A window as a layer slides it: made by `sliding`, which checks and documents each field."""

    layer: str
    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: str | Pairs
    dilation: tuple[int, ...]

    @property
    def extent(self) -> tuple[int, ...]:
        """How far it reaches along each axis, gaps included."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.size, self.dilation, strict=True))

    def pads(self, spatial: Sequence[int]) -> Pairs:
        """(before, after) for each axis of an input of this spatial shape.

        Raises:
          ValueError: not one window fits.
        """
        if isinstance(self.padding, str):
            chosen = tuple(map(self._named_pad, spatial, self.extent, self.stride))
        else:
            chosen = self.padding
        if any(n + sum(pad) < reach for n, pad, reach in zip(spatial, chosen, self.extent, strict=True)):
            raise ValueError(
                f"{self.layer}: a window that reaches {self.extent} does not fit into spatial axes {tuple(spatial)} "
                f"with padding {chosen}. Pad more, or use a smaller window."
            )
        return chosen

    def out(self, spatial: Sequence[int]) -> tuple[int, ...]:
        """The spatial shape of the output."""
        axes = zip(spatial, self.pads(spatial), self.extent, self.stride, strict=True)
        return tuple((n + sum(pad) - reach) // s + 1 for n, pad, reach, s in axes)

    def pad(self, x: jax.Array, fill: float = 0.0) -> jax.Array:
        """x (b, *spatial, c) with its borders: `fill`, or x itself where padding is CIRCULAR or REFLECT."""
        widths = ((0, 0), *self.pads(x.shape[1:-1]), (0, 0))
        if isinstance(self.padding, str) and self.padding in BORDERS:
            return jnp.pad(x, widths, mode=BORDERS[self.padding])
        return jnp.pad(x, widths, constant_values=fill)

    def along(self, axis: int) -> Window:
        """The same window along one spatial axis alone: of size 1, stride 1 along the others."""

        def only(values: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(v if i == axis else 1 for i, v in enumerate(values))

        padding = self.padding
        if not isinstance(padding, str):
            padding = tuple(pad if i == axis else (0, 0) for i, pad in enumerate(padding))
        return Window(self.layer, only(self.size), only(self.stride), padding, only(self.dilation))

    def taps(self, x: jax.Array, spatial: Sequence[int]) -> Iterator[jax.Array]:
        """For each element of the window, in row-major order, what it meets: views (b, *out, c) of x.

        Args:
          x: (b, *padded, c), already padded.
          spatial: the shape before padding.
        """
        sizes = (
            x.shape[0],
            *((n - 1) * s + 1 for n, s in zip(self.out(spatial), self.stride, strict=True)),
            x.shape[-1],
        )
        for offset in np.ndindex(*self.size):
            starts = (0, *(o * d for o, d in zip(offset, self.dilation, strict=True)), 0)
            limits = tuple(start + size for start, size in zip(starts, sizes, strict=True))
            yield jax.lax.slice(x, starts, limits, (1, *self.stride, 1))

    def products(self, spatial: Sequence[int]) -> contextlib.AbstractContextManager[None]:
        """Within: multiplications are those of a convolution, of which some are by padding."""
        if not all(isinstance(n, int) for n in spatial):  # symbolic sizes
            return contextlib.nullcontext()
        zeros = not (isinstance(self.padding, str) and self.padding in BORDERS)
        true = of = 1
        for n, (before, _), out, size, stride, dilation in zip(
            spatial, self.pads(spatial), self.out(spatial), self.size, self.stride, self.dilation, strict=True
        ):
            at = np.add.outer(np.arange(out) * stride, np.arange(size) * dilation - before)
            true, of = true * (int(np.sum((at >= 0) & (at < n))) if zeros else at.size), of * at.size
        return flop_marks.products(true, of)

    def _named_pad(self, n: int, extent: int, stride: int) -> tuple[int, int]:
        match self.padding:
            case "VALID":
                total = 0
            case "CAUSAL":
                return extent - 1, 0
            case "SAME":
                total = max((-(-n // stride) - 1) * stride + extent - n, 0)
            case _:  # a border that continues x: windows stay centred on 0, stride, ... whatever n is
                total = extent - 1
        return total // 2, total - total // 2


def sliding(
    layer: str,
    size: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    named: Sequence[str] = ("SAME", "VALID"),
) -> Window:
    """Declares a window.

    Args:
      layer: the layer's name, for errors.
      size: one int per spatial axis.
      stride: from one window to the next, one int for all axes or one for each; None means size.
      padding: one of `named`, in any case; an int for all sides, or one for each axis (as in torch); or (before, after)
        per axis.
      dilation: from one element of the window to the next, as stride.
      named: the paddings that this layer knows.

    Raises:
      ValueError: an argument that is not one of these.

    >>> sliding("conv", (3,), stride=2).pads((7,))
    ((1, 1),)
    """
    if isinstance(size, int) or not 1 <= len(size) <= 3:
        same = "; ".join(f"{kind} {(size,) * axes}" for axes, kind in _KINDS.items()) if isinstance(size, int) else ""
        raise ValueError(
            f"{layer}: expected one window size per spatial axis, 1 to 3 of them, found {size}. "
            f"For {same or 'images type (3, 3)'}."
        )
    sizes = per_axis(layer, "window", size, len(size))
    if not isinstance(padding, str):
        padding = _pairs(layer, padding, len(size))
    elif (padding := padding.upper()) not in named:
        raise ValueError(
            f"{layer}: padding is one of {', '.join(named)}, an int, or pairs (before, after); found {padding!r}."
        )
    elif padding == "CAUSAL" and len(size) != 1:
        raise ValueError(f"{layer}: CAUSAL padding is for one axis, time; found {len(size)} spatial axes.")
    return Window(
        layer,
        sizes,
        sizes if stride is None else per_axis(layer, "stride", stride, len(size)),
        padding,
        per_axis(layer, "dilation", dilation, len(size)),
    )


def _pairs(layer: str, padding: int | Sequence[int] | Sequence[tuple[int, int]], axes: int) -> Pairs:
    """(before, after) per axis: of one int for all, as much on either side of each axis, or pairs."""
    sides = (padding,) * axes if isinstance(padding, int) else padding
    found = tuple(tuple(pair) if isinstance(pair, Sequence) else (pair, pair) for pair in sides)
    if [len(pair) for pair in found] != [2] * axes or min(map(min, found)) < 0:
        raise ValueError(
            f"{layer}: explicit padding is an int, or {axes} ints or pairs (before, after), all >= 0; found {padding}."
        )
    return tuple((before, after) for before, after in found)
