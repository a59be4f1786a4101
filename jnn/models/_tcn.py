"""Temporal convolutional network (TCN): residual blocks of causal convolutions, each dilated twice as far.

Laws: as many blocks as p holds, the kernel and widths read off the weights; the output at t depends on inputs up to t
alone, as far back as `1 + 2 * (kernel - 1) * (2**blocks - 1)` steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.layers import conv, conv_spec, dropout
from jnn.param import Params, Spec, check_key, path_key


def tcn_spec(d_in: int, widths: Sequence[int], *, kernel: int = 3, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a temporal convolutional network.

    Args:
      d_in: the features of a step.
      widths: of each block.
      kernel: of all convolutions.
      dtype: of all.

    Returns:
      {"block1": {"conv1": {"w", "b"}, "conv2", "shortcut" (where it widens)}, ...}

    >>> sorted(tcn_spec(4, (8, 8))["block2"])
    ['conv1', 'conv2']
    """
    maps = lambda a, b, k: conv_spec(a, b, (k,), dtype=dtype)
    spec = {}
    for i, (a, b) in enumerate(zip((d_in, *widths), widths, strict=False), 1):
        shortcut = {"shortcut": maps(a, b, 1)} if a != b else {}
        spec[f"block{i}"] = {"conv1": maps(a, b, kernel), "conv2": maps(b, b, kernel)} | shortcut
    return spec


def tcn(p: Params, x: jax.Array, *, key: jax.Array | None, rate: float = 0.0) -> jax.Array:
    """Temporal convolutional network (TCN): features of every step from it and those before it.

    See "An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence Modeling", Bai, Kolter and
    Koltun, 2018; without its weight normalization.

    Args:
      p: as `tcn_spec` declares.
      x: (..., t, d_in), floating point.
      key: noise for dropout, None for none.
      rate: of dropout behind each convolution, of whole channels.

    Returns:
      (..., t, widths[-1]), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other features than p was declared for, or is empty.

    >>> from jnn.param import abstract
    >>> p = abstract(tcn_spec(4, (8, 8)))
    >>> jax.eval_shape(lambda p, x: tcn(p, x, key=None), p, jnp.ones((2, 16, 4))).shape
    (2, 16, 8)
    """
    checks.params("tcn", p, "block1")
    checks.floats("tcn", x, ndim=2)
    check_key("tcn", key, optional=True)
    for i in range(len(p)):
        block = gather(p[f"block{i + 1}"], f"block{i + 1}")
        h = x
        for name in ("conv1", "conv2"):
            h = jax.nn.relu(conv(block[name], h, padding="CAUSAL", dilation=2**i))
            noise = None if key is None else path_key(key, f"block{i + 1}/{name}")
            h = _drop_channels(h, rate, noise)
        x = jax.nn.relu(h + (conv(block["shortcut"], x) if "shortcut" in block else x))
        x = constrain(x, "time", "channels")
    return x


def _drop_channels(x: jax.Array, rate: float, key: jax.Array | None) -> jax.Array:
    """Dropout of whole channels, all steps of them alike."""
    if key is None:
        return x
    return x * dropout(jnp.ones((*x.shape[:-2], 1, x.shape[-1]), x.dtype), rate, key=key)
