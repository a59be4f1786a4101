"""Grad-CAM and occlusion: which places of an image a score rests on.

Laws: of a head that is linear in the mean of the maps, Grad-CAM is its weighted sum of them, where that is positive;
occlusion by windows that do not overlap gives each place what the score loses with its window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jnn import checks
from jnn.explain._score import Score, each, example, like, score
from jnn.precision import wide


def grad_cam(features: Callable[[jax.Array], jax.Array], head: Score, x: jax.Array) -> jax.Array:
    """Grad-CAM: maps of features, weighted by the mean gradient of the score in each channel, where that is positive.

    See "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", Selvaraju et al., 2016.

    Args:
      features: the network as far as its maps: of x to (..., k), channels last, such as the last convolution's.
      head: what is behind them: of (..., k) to one number.
      x: one example, floating point; of a batch, `jax.vmap`.

    Returns:
      (...), one number for each place of the maps, in their dtype: `jax.image.resize` makes it as large as the image.

    Raises:
      TypeError: x or the maps are not floating point.
      ValueError: there are no maps (..., k), or the head's is not one number.

    >>> maps = jnp.array([[[1.0, 0.0], [0.0, 1.0]]])  # (y, x, k)
    >>> grad_cam(lambda x: x, lambda h: 3 * h[..., 0].mean() - h[..., 1].mean(), maps).tolist()
    [[1.5, 0.0]]
    """
    maps = features(example("grad_cam", x))
    checks.floats("grad_cam", maps, ndim=2)
    gradient = wide(jax.grad(score("grad_cam", head))(maps))
    weights = gradient.mean(tuple(range(maps.ndim - 1)))
    return jax.nn.relu(wide(maps) @ weights).astype(maps.dtype)


def occlusion(
    f: Score,
    x: jax.Array,
    window: Sequence[int],
    *,
    stride: Sequence[int] | None = None,
    baseline: ArrayLike = 0.0,
    batch_size: int | None = None,
) -> jax.Array:
    """Occlusion sensitivity: how much a score falls when a window slides over the input and hides what is below.

    See "Visualizing and Understanding Convolutional Networks", Zeiler and Fergus, 2014.

    Args:
      f: of one example to one number, such as `lambda x: model(params, x)[label]`.
      x: (...), one example, floating point; of a batch, `jax.vmap`.
      window: its size along the first axes of x, such as (8, 8) of an image (y, x, c); all of the others is hidden.
      stride: between windows; the window's size by default. The last one may reach beyond the end.
      baseline: what is seen in place of what is hidden: a number, or an array that is repeated to x's shape.
      batch_size: how many windows are hidden at a time; None for all.

    Returns:
      The first axes of x, in its dtype: at each place the mean fall over the windows that hide it.

    Raises:
      TypeError: x is not floating point.
      ValueError: x is empty, f(x) is not one number, the baseline has another shape, the window is larger than x, or
        the stride larger than the window.

    >>> occlusion(lambda x: x @ jnp.array([1.0, 2.0, 3.0]), jnp.ones(3), (2,), stride=(1,)).tolist()
    [3.0, 4.0, 5.0]
    """
    x = example("occlusion", x)
    hidden = like("occlusion", x, baseline)
    covers = _covers(x.shape, window, window if stride is None else stride)
    f = score("occlusion", f)
    whole = wide(f(x))

    def fall(*at: jax.Array) -> jax.Array:
        inside = reduce(jnp.logical_and.outer, [jnp.asarray(cover)[i] for cover, i in zip(covers, at, strict=True)])
        return whole - wide(f(jnp.where(_over(inside, x.ndim), hidden, x)))

    counts = [len(cover) for cover in covers]
    places = [jnp.asarray(i.ravel()) for i in np.indices(counts)]
    total = each(fall, *places, batch_size=batch_size).reshape(counts)
    for cover in covers:  # each turns the first axis, of windows, into the last, of places
        total = jnp.tensordot(total, jnp.asarray(cover / cover.sum(0), total.dtype), ((0,), (0,)))
    return total.astype(x.dtype)


def _over(inside: jax.Array, ndim: int) -> jax.Array:
    """A mask of the first axes, for arrays of so many."""
    return inside.reshape(inside.shape + (1,) * (ndim - inside.ndim))


def _covers(shape: tuple[int, ...], window: Sequence[int], stride: Sequence[int]) -> list[np.ndarray]:
    """Along each axis of the window, which places (windows, n) each of them hides."""
    for name, sizes in (("window", window), ("stride", stride)):
        if np.ndim(sizes) != 1:
            raise ValueError(f"occlusion: expected a {name} of one size an axis, such as (8, 8), found {sizes!r}.")
    window, stride = tuple(window), tuple(stride)
    sizes = shape[: len(window)]
    fits = len(stride) == len(window) == len(sizes) > 0
    if not fits or not all(1 <= w <= n and 1 <= s <= w for n, w, s in zip(sizes, window, stride, strict=True)):
        raise ValueError(
            f"occlusion: expected a window of the first axes of x {shape}, no larger than they are, and a stride no "
            f"larger than the window; found {window} and {stride}."
        )
    starts = [np.arange(-(-(n - w) // s) + 1)[:, None] * s for n, w, s in zip(sizes, window, stride, strict=True)]
    places = [np.arange(n)[None] for n in sizes]
    return [(i >= start) & (i < start + w) for i, start, w in zip(places, starts, window, strict=True)]
