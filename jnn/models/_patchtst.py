"""PatchTST: a time series as a sequence of patches, read by the blocks of a transformer, each series by itself.

    patchtst(p, x, key=key) -> (..., horizon, outputs)

Laws: the patches' size and stride are read off the weights and the context; leading axes, such as the channels of a
series, do not see each other.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.layers import (
    dropout,
    layer_norm,
    layer_norm_spec,
    learned_positions_spec,
    linear,
    linear_spec,
    scan_layers,
    weight_shape,
)
from jnn.models._transformer_block import transformer_block, transformer_block_spec
from jnn.param import Params, Spec, check_key, stack
from jnn.precision import add_bias


def patchtst_spec(
    context: int,
    horizon: int,
    *,
    patch: int = 16,
    stride: int = 8,
    layers: int = 3,
    heads: int = 4,
    embed: int = 64,
    hidden: int = 128,
    outputs: int = 1,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a PatchTST.

    Args:
      context: steps that are read.
      horizon: steps that are forecast.
      patch: steps of a patch.
      stride: from one patch to the next; the last one ends with the context.
      layers, heads, embed, hidden: of the transformer.
      outputs: numbers a step, as in `nbeats_spec`.
      dtype: of all.

    Returns:
      {"patch", "position", "blocks" (stacked), "norm", "out": linear of all patches}

    Raises:
      ValueError: patches of this stride do not end with the context.

    >>> patchtst_spec(168, 24)["position"]["table"].shape
    (20, 64)
    """
    if not 1 <= patch <= context or stride < 1 or (context - patch) % stride:
        raise ValueError(
            f"patchtst_spec: expected a context of patch={patch} and a whole number of strides {stride} more, found "
            f"{context}."
        )
    patches = (context - patch) // stride + 1
    block = transformer_block_spec(embed, heads, hidden, out_std=0.02 / (2 * layers) ** 0.5, dtype=dtype)
    axes = ("patches", "embed", "time", "outputs")
    return {
        "patch": linear_spec(patch, embed, axes=("time", "embed"), dtype=dtype),
        "position": learned_positions_spec(patches, embed, dtype=dtype),
        "blocks": stack(block, layers),
        "norm": layer_norm_spec(embed, dtype=dtype),
        "out": linear_spec((patches, embed), (horizon, outputs), axes=axes, dtype=dtype),
    }


def patchtst(p: Params, x: jax.Array, *, key: jax.Array | None, rate: float = 0.0) -> jax.Array:
    """PatchTST: a forecast by attention between patches of the past.

    See "A Time Series is Worth 64 Words: Long-term Forecasting with Transformers", Nie et al., 2023; here with layer
    norms before the branches, where the paper has batch norms behind them, and without its scaling of each window,
    which is the caller's.

    Args:
      p: as `patchtst_spec` declares.
      x: (..., context), floating point.
      key: noise for dropout, None for none.
      rate: of dropout, on the patches and on each residual branch.

    Returns:
      (..., horizon, outputs), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's last axis is not the context that p was declared for, or x is empty.

    >>> from jnn.param import abstract
    >>> p = abstract(patchtst_spec(168, 24, outputs=9))
    >>> jax.eval_shape(lambda p, x: patchtst(p, x, key=None), p, jnp.ones((8, 168))).shape
    (8, 24, 9)
    """
    checks.params("patchtst", p, "patch", "position", "blocks", "norm", "out")
    checks.params("patchtst", p["patch"], "w", what="params['patch']", adapted=True)
    checks.params("patchtst", p["position"], "table", what="params['position']", adapted=True)
    checks.floats("patchtst", x)
    check_key("patchtst", key, optional=True)
    ends = gather({name: p[name] for name in ("patch", "position")})
    size, patches = weight_shape(ends["patch"]["w"])[0], len(ends["position"]["table"])
    h = add_bias(linear(ends["patch"], _patches(x, size, patches)), ends["position"]["table"])
    h = dropout(h, rate, key=None if key is None else jax.random.fold_in(key, 0))
    block = lambda one, x, key, _: transformer_block(gather(one, "blocks"), x, key=key, rate=rate, causal=False)
    h = scan_layers(block, p["blocks"], constrain(h, "time", "embed"), "time", "embed", key=key)
    return linear(gather(p["out"], "out"), layer_norm(gather(p["norm"], "norm"), h), in_axes=2)


def _patches(x: jax.Array, size: int, patches: int) -> jax.Array:
    """Patches (..., patches, size) of a series (..., context), the last one at its end."""
    strides, rest = divmod(x.shape[-1] - size, max(patches - 1, 1))
    if rest or strides < 0 or (patches == 1 and strides):
        raise ValueError(
            f"patchtst: found {x.shape[-1]} steps, where p has {patches} patches of {size} steps. Pass the context of "
            "patchtst_spec."
        )
    return x[..., strides * np.arange(patches)[:, None] + np.arange(size)]
