"""Masked autoencoder (MAE): a vision transformer reads a few patches of an image, a small one draws all of them.

    random_patches(batch, patches, visible, key=key) -> places            which patches each image shows
    masked_autoencoder(p, x, places) -> patches of pixels

p["encoder"] is a vision transformer without "out": once it is trained, `vit` reads whole images with it.

Laws: what is drawn depends on the visible patches alone, and not on the order of their places.
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
from jnn.initializers import normal
from jnn.layers import (
    layer_norm,
    layer_norm_spec,
    learned_positions_spec,
    linear,
    linear_spec,
    scan_layers,
    weight_shape,
)
from jnn.models._arrange import Norm
from jnn.models._patch_tokens import own_tokens, placed_tokens
from jnn.models._transformer_block import transformer_block, transformer_block_spec
from jnn.models._vit import vit_features, vit_spec
from jnn.param import Param, Params, Spec, check_key, stack
from jnn.precision import add_bias
from jnn.remat import Remat


def masked_autoencoder_spec(
    image: Sequence[int],
    patch: int,
    *,
    layers: int,
    heads: int,
    embed: int,
    decoder_layers: int,
    decoder_heads: int,
    decoder_embed: int,
    class_token: bool = True,
    learned: bool = False,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a masked autoencoder; "vit_base" of `VITS` had a decoder of 8 layers, 16 heads and 512 features.

    Args:
      image, patch, layers, heads, embed, class_token, dtype: as in `vit_spec`, of the encoder.
      decoder_layers, decoder_heads, decoder_embed: of the decoder.
      learned: whether positions are learned, in both, rather than sines and cosines.

    Returns:
      {"encoder": as `vit_spec` without "out", "decoder": {"embed", "mask", "position" (if learned), "blocks" (stacked),
      "norm", "out"}}

    Raises:
      ValueError: patch does not divide the image.

    >>> base = {"layers": 12, "heads": 12, "embed": 768}
    >>> small = {"decoder_layers": 8, "decoder_heads": 16, "decoder_embed": 512}
    >>> masked_autoencoder_spec((224, 224, 3), 16, **base, **small)["decoder"]["out"]["w"].shape
    (512, 768)
    """
    sizes = {"layers": layers, "heads": heads, "embed": embed}
    encoder = vit_spec(image, patch, 1, **sizes, class_token=class_token, learned=learned, dtype=dtype)
    tokens = (image[0] // patch) * (image[1] // patch) + class_token
    out_std, d = 0.02 / (2 * decoder_layers) ** 0.5, decoder_embed
    block = transformer_block_spec(d, decoder_heads, 4 * d, out_std=out_std, dtype=dtype)
    decoder = {
        "embed": linear_spec(embed, d, axes=("embed", "hidden"), dtype=dtype),
        "mask": Param((d,), normal(0.02), ("hidden",), dtype),
        **({"position": learned_positions_spec(tokens, d, dtype=dtype)} if learned else {}),
        "blocks": stack(block, decoder_layers),
        "norm": layer_norm_spec(d, dtype=dtype),
        "out": linear_spec(d, patch * patch * image[2], axes=("embed", "pixels"), dtype=dtype),
    }
    return {"encoder": {name: part for name, part in encoder.items() if name != "out"}, "decoder": decoder}


def random_patches(batch: int, patches: int, visible: int, *, key: jax.Array) -> jax.Array:
    """Random patches: which of its patches each image shows a masked autoencoder; each set is as likely.

    Args:
      batch: how many images.
      patches: how many patches each has.
      visible: how many of these are seen; a quarter in the paper.
      key: a PRNG key.

    Returns:
      (batch, visible) int32, rising in each row.

    Raises:
      ValueError: more are to be seen than there are, or none.

    >>> random_patches(2, 16, 4, key=jax.random.key(0)).shape
    (2, 4)
    """
    if not 1 <= visible <= patches:
        raise ValueError(f"random_patches: expected 1 to {patches} visible patches of {patches}, found {visible}.")
    check_key("random_patches", key)
    order = jnp.argsort(jax.random.uniform(key, (batch, patches)), axis=-1)
    return jnp.sort(order[:, :visible], axis=-1).astype(jnp.int32)


def masked_autoencoder(
    p: Params,
    x: jax.Array,
    visible: jax.Array,
    *,
    norm: Norm = layer_norm,
    activation: Callable[[jax.Array], jax.Array] = gelu,
    remat: Remat = None,
) -> jax.Array:
    """Masked autoencoder (MAE): every patch of an image, drawn from the few that are visible.

    See "Masked Autoencoders Are Scalable Vision Learners", He et al., 2022. Its loss is the mean squared error of the
    patches that are hidden, each standardised by its own pixels or not. Published weights want
    `norm=partial(layer_norm, epsilon=1e-12)` and `activation=partial(gelu, approximate=False)`.

    Args:
      p: as `masked_autoencoder_spec` declares.
      x: (..., y, x, c), floating point.
      visible: (..., k) integers: the patches that the encoder sees, counted row by row, as `random_patches` draws them.
      norm, activation: as in `transformer_block`.
      remat: what the backward pass remembers of each block, as in `jnn.remat`.

    Returns:
      (..., t, pixels): the pixels of all t patches, of those that were visible, too. In which order a patch's pixels
      stand is the loss's to say; by `pixel_unshuffle` the decoder learns that of `pixel_shuffle`.

    Raises:
      TypeError: x is not floating point, or visible are not integers.
      ValueError: shapes do not fit, or a place that no patch has.

    >>> from jnn.param import init
    >>> sizes = {"layers": 1, "heads": 2, "embed": 8, "decoder_layers": 1, "decoder_heads": 2, "decoder_embed": 8}
    >>> p = init(masked_autoencoder_spec((8, 8, 3), 4, **sizes), jax.random.key(0))
    >>> masked_autoencoder(p, jnp.ones((8, 8, 3)), jnp.array([0, 3])).shape
    (4, 48)
    """
    checks.params("masked_autoencoder", p, "encoder", "decoder")
    how: dict[str, Any] = {"norm": norm, "activation": activation, "remat": remat}
    silent: dict[str, Any] = {"key": None, "rate": 0.0, "drop_path": 0.0}
    h = vit_features("masked_autoencoder", p["encoder"], x, visible=visible, path="encoder/", **silent, **how)
    squares = weight_shape(p["encoder"]["patch"]["w"])[:2]
    grid = (x.shape[-3] // squares[0], x.shape[-2] // squares[1])
    return _drawn(p["decoder"], h, visible, grid, own_tokens(p["encoder"]), **how)


def _drawn(
    p: Params,
    h: jax.Array,
    visible: jax.Array,
    grid: tuple[int, int],
    own: int,
    *,
    norm: Norm,
    activation: Callable[[jax.Array], jax.Array],
    remat: Remat,
) -> jax.Array:
    """The decoder: tokens (..., own + k, embed) to pixels (..., t, pixels) of a grid of patches."""
    checks.params("masked_autoencoder", p, "embed", "mask", "blocks", "norm", "out", may=("position",))
    ends = gather({name: p[name] for name in p if name != "blocks"}, "decoder")
    h = linear(ends["embed"], h)
    patches = _filled(ends["mask"], h[..., own:, :], visible, grid[0] * grid[1])
    patches = patches.reshape(*patches.shape[:-2], *grid, patches.shape[-1])
    h = placed_tokens("masked_autoencoder", ends, [h[..., :own, :]] if own else [], patches)
    block = lambda p, x, key, _: transformer_block(p, x, key=None, causal=False, norm=norm, activation=activation)
    h = scan_layers(
        block, p["blocks"], constrain(h, "time", "embed"), "time", "embed", path="decoder/blocks", remat=remat
    )
    return linear(ends["out"], norm(ends["norm"], h)[..., own:, :])


def _filled(mask: jax.Array, seen: jax.Array, visible: jax.Array, count: int) -> jax.Array:
    """All patches (..., count, d): those that are seen (..., k, d) at their places, and the mask at all others."""
    here = jax.nn.one_hot(visible, count, dtype=bool)  # (..., k, count)
    hidden = add_bias(jnp.zeros((*seen.shape[:-2], count, seen.shape[-1]), seen.dtype), mask)
    own = jnp.take_along_axis(seen, here.argmax(-2)[..., None], axis=-2)
    return jnp.where(here.any(-2)[..., None], own, hidden)
