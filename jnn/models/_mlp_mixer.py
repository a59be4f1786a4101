"""MLP-Mixer: patches of an image, mixed by perceptrons over places and over channels in turn.

Laws: how many patches there are is in the shapes of p; with the same patches in another order, and the weights over
places in that order too, the logits are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.activations import gelu
from jnn.axes import constrain, gather
from jnn.initializers import lecun_normal
from jnn.layers import conv_spec, drop_path_rates, layer_norm, layer_norm_spec, linear, linear_spec, scan_layers
from jnn.layers import drop_path as dropped
from jnn.models._arrange import Norm
from jnn.models._patches import patches
from jnn.models._stochastic_depth import depth_of, scanned_rates
from jnn.param import Params, Spec, check_key, path_key, stack
from jnn.precision import wide
from jnn.remat import Remat

MLP_MIXERS: dict[str, dict[str, Any]] = {  # sizes for `mlp_mixer_spec`
    "mlp_mixer_small": {"layers": 8, "embed": 512, "tokens_hidden": 256, "hidden": 2048},
    "mlp_mixer_base": {"layers": 12, "embed": 768, "tokens_hidden": 384, "hidden": 3072},
    "mlp_mixer_large": {"layers": 24, "embed": 1024, "tokens_hidden": 512, "hidden": 4096},
}


def mlp_mixer_spec(
    image: Sequence[int],
    patch: int,
    classes: int,
    *,
    layers: int,
    embed: int,
    tokens_hidden: int,
    hidden: int,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares an MLP-Mixer; the sizes of published ones are in `MLP_MIXERS`.

    Args:
      image, patch, classes, layers, embed, dtype: as in `vit_spec`.
      tokens_hidden: the width inside the MLP over places.
      hidden: the width inside the MLP over channels.

    Returns:
      {"patch", "blocks": {"norm1", "tokens": {"up", "down"}, "norm2", "channels": {"up", "down"}} (stacked), "norm",
      "out"}

    Raises:
      ValueError: patch does not divide the image.

    >>> mlp_mixer_spec((224, 224, 3), 16, 1000, **MLP_MIXERS["mlp_mixer_base"])["blocks"]["tokens"]["up"]["w"].shape
    (12, 196, 384)
    """
    if len(image) != 3 or any(n < 1 or n % patch for n in image[:2]):
        raise ValueError(f"mlp_mixer_spec: expected image (y, x, c) of whole patches of {patch}, found {tuple(image)}.")
    places = (image[0] // patch) * (image[1] // patch)

    def two(d: int, width: int, name: str) -> Spec:
        up, down = (name, "hidden"), ("hidden", name)
        return {
            "up": linear_spec(d, width, axes=up, dtype=dtype),
            "down": linear_spec(width, d, axes=down, dtype=dtype),
        }

    block = {
        "norm1": layer_norm_spec(embed, dtype=dtype),
        "tokens": two(places, tokens_hidden, "place"),
        "norm2": layer_norm_spec(embed, dtype=dtype),
        "channels": two(embed, hidden, "embed"),
    }
    axes = ("channels_in", "embed")
    return {
        "patch": conv_spec(image[2], embed, (patch, patch), axes=axes, init=lecun_normal, dtype=dtype),
        "blocks": stack(block, layers),
        "norm": layer_norm_spec(embed, dtype=dtype),
        "out": linear_spec(embed, classes, axes=("embed", "classes"), dtype=dtype),
    }


def mlp_mixer(
    p: Params,
    x: jax.Array,
    *,
    key: jax.Array | None,
    drop_path: float = 0.0,
    norm: Norm = layer_norm,
    activation: Callable[[jax.Array], jax.Array] = gelu,
    remat: Remat = None,
) -> jax.Array:
    """MLP-Mixer: logits of an image, by perceptrons over its patches' places and over their channels.

    See "MLP-Mixer: An all-MLP Architecture for Vision", Tolstikhin et al., 2021.

    Args:
      p: as `mlp_mixer_spec` declares.
      x: (..., y, x, c), floating point.
      key: noise for stochastic depth, None for none.
      drop_path: of stochastic depth, in the last block, as in `drop_path_rates`; 0.1 in the paper.
      norm, activation: as in `transformer_block`; of published weights as in `vit`.
      remat: what the backward pass remembers of each block, as in `jnn.remat`.

    Returns:
      (..., classes) logits, in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x is not of the size or channels that p was declared for, or empty.

    >>> from jnn.param import abstract
    >>> p = abstract(mlp_mixer_spec((224, 224, 3), 16, 1000, **MLP_MIXERS["mlp_mixer_base"]))
    >>> images = jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32)
    >>> jax.eval_shape(lambda p, x: mlp_mixer(p, x, key=None), p, images).shape
    (8, 1000)
    """
    checks.params("mlp_mixer", p, "patch", "blocks", "norm", "out")
    checks.floats("mlp_mixer", x, ndim=3)
    check_key("mlp_mixer", key, optional=True)
    ends = gather({name: p[name] for name in p if name != "blocks"})
    h = patches(ends["patch"], x)
    h = constrain(h.reshape(*h.shape[:-3], -1, h.shape[-1]), "time", "embed")
    block = lambda one, x, key, _: _block(norm, activation, gather(one[0], "blocks"), x, key, **one[1])
    rates = scanned_rates(drop_path_rates(depth_of(p["blocks"]), drop_path), key)
    h = scan_layers(block, (p["blocks"], rates), h, "time", "embed", key=key, remat=remat)
    h = jnp.mean(wide(norm(ends["norm"], h)), axis=-2).astype(h.dtype)
    return linear(ends["out"], h)


def _block(
    norm: Norm,
    activation: Callable[[jax.Array], jax.Array],
    p: Params,
    x: jax.Array,
    key: jax.Array | None,
    drop_path: float = 0.0,
) -> jax.Array:
    mlp = lambda p, x: linear(p["down"], activation(linear(p["up"], x)))
    own = lambda name: None if key is None else path_key(key, name)
    h = mlp(p["tokens"], norm(p["norm1"], x).swapaxes(-1, -2))
    x = x + dropped(h.swapaxes(-1, -2), drop_path, key=own("tokens"), in_axes=2)
    h = mlp(p["channels"], norm(p["norm2"], x))
    return x + dropped(h, drop_path, key=own("channels"), in_axes=2)
