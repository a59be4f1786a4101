"""Dropout of whole things: channels, tokens, branches of an example, weights. Laws: as in `_dropout`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.layers._dropout import multiplied
from jnn.param import check_key, map_paths, path_key


def spatial_dropout(x: jax.Array, rate: float, *, key: jax.Array | None, spatial: int = 2) -> jax.Array:
    """Spatial dropout, or channel dropout: sets whole channels of each example to zero.

    See "Efficient Object Localization Using Convolutional Networks", Tompson et al., 2015.

    Args:
      x: (..., *spatial, c), floating point.
      rate, key: as in `dropout`.
      spatial: how many spatial axes share one draw; of sequences 1.

    Returns:
      x's shape and dtype.

    Raises:
      As `dropout`; ValueError also where x has too few axes.

    >>> spatial_dropout(jnp.ones((2, 2, 3)), 0.5, key=None).shape
    (2, 2, 3)
    """
    checks.floats("spatial_dropout", x, ndim=spatial + 1)
    return multiplied("spatial_dropout", x, rate, key, tuple(range(-1 - spatial, -1)))


def token_dropout(x: jax.Array, rate: float, *, key: jax.Array | None) -> jax.Array:
    """Token dropout, or word dropout: sets whole vectors, all features of a token, to zero.

    See "Deep Unordered Composition Rivals Syntactic Methods for Text Classification", Iyyer et al., 2015.

    Args:
      x: (..., d), floating point, such as embeddings.
      rate, key: as in `dropout`.

    Returns:
      x's shape and dtype.

    Raises:
      As `dropout`.

    >>> token_dropout(jnp.ones((2, 3)), 0.5, key=None).shape
    (2, 3)
    """
    checks.floats("token_dropout", x)
    return multiplied("token_dropout", x, rate, key, (-1,))


def drop_path(x: jax.Array, rate: float, *, key: jax.Array | None, in_axes: int) -> jax.Array:
    """Stochastic depth, or drop path: sets what a residual branch adds to zero, for each example at random.

    See "Deep Networks with Stochastic Depth", Huang et al., 2016; by example: "FractalNet", Larsson, Maire and
    Shakhnarovich, 2017. Rates of blocks one behind the other: `drop_path_rates`.

    Args:
      x: (..., *example), floating point: the output of a branch, before it is added.
      rate, key: as in `dropout`.
      in_axes: how many axes an example has: 2 for (time, features), 3 for (y, x, channels).

    Returns:
      x's shape and dtype.

    Raises:
      As `dropout`; ValueError also where x has too few axes.

    >>> drop_path(jnp.ones((4, 2, 3)), 0.5, key=None, in_axes=2).shape
    (4, 2, 3)
    """
    checks.floats("drop_path", x, ndim=in_axes)
    return multiplied("drop_path", x, rate, key, tuple(range(-in_axes, 0)))


def drop_path_rates(depth: int, last: float) -> list[float]:
    """Stochastic depth's linear schedule: at what rate each block's branch is dropped, from 0 of the first block on.

    See "Deep Networks with Stochastic Depth", Huang et al., 2016; from exactly 0, as in DeiT and ConvNeXt.

    Args:
      depth: how many blocks there are.
      last: the rate of the last one, and of a single one, in [0, 1); it may be traced.

    Returns:
      A rate of each block, for `drop_path`; `jnp.asarray` of them may be scanned with the blocks.

    Raises:
      ValueError: depth below 1, or last outside [0, 1). A traced one gives NaN there.

    >>> drop_path_rates(3, 0.5)
    [0.0, 0.25, 0.5]
    """
    checks.count("drop_path_rates", "depth", depth)
    fits = lambda r: (r >= 0) & (r < 1)
    last = checks.number("drop_path_rates", "last (rate of dropping)", last, fits, "in [0, 1)", like=jnp.zeros(()))
    return [last * i / (depth - 1) for i in range(depth)] if depth > 1 else [last]


def drop_connect(p: Any, rate: float, *, key: jax.Array | None) -> Any:
    """DropConnect: sets parameters, not features, to zero: `linear(drop_connect(p, 0.5, key=key), x)`.

    See "Regularization of Neural Networks Using DropConnect", Wan et al., 2013. All examples of a call share the draw.

    Args:
      p: parameters of a layer, or of any tree of layers.
      rate, key: as in `dropout`; each parameter's draw hangs on its path.

    Returns:
      As p.

    Raises:
      As `dropout`.

    >>> drop_connect({"w": jnp.ones((2, 2))}, 0.5, key=None)["w"].shape
    (2, 2)
    """
    checks.drawn("drop_connect", p)
    check_key("drop_connect", key, optional=True)
    own = lambda path: None if key is None else path_key(key, path)
    return map_paths(lambda path, leaf: multiplied("drop_connect", jnp.asarray(leaf), rate, own(path)), p)
