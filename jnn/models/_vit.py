"""Vision transformer (ViT): an image as a sequence of patches, read by the blocks of `_transformer_block`.

Params say what is computed: a class token is read out iff "class" is in p, the mean of the patches otherwise; positions
are learned iff "position" is in p, sines and cosines of row and column otherwise. (With a second token: `_deit`.
Published ones: `_published_vits`.)

Laws: the mean of patches without learned positions takes images of any size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jnn import checks
from jnn.activations import gelu
from jnn.axes import constrain, gather
from jnn.initializers import lecun_normal, zeros
from jnn.layers import (
    conv_spec,
    drop_path_rates,
    dropout,
    layer_norm,
    layer_norm_spec,
    learned_positions_spec,
    linear,
    linear_spec,
    scan_layers,
)
from jnn.models._arrange import Norm
from jnn.models._patch_tokens import chosen_tokens, patch_tokens
from jnn.models._patches import patches
from jnn.models._stochastic_depth import depth_of, scanned_rates
from jnn.models._transformer_block import transformer_block, transformer_block_spec
from jnn.param import Param, Params, Spec, check_key, stack
from jnn.precision import wide
from jnn.remat import Remat

BEFORE = ("patch", "class", "distill", "position")
VITS: dict[str, dict[str, Any]] = {  # sizes for `vit_spec`
    "vit_tiny": {"layers": 12, "heads": 3, "embed": 192},
    "vit_small": {"layers": 12, "heads": 6, "embed": 384},
    "vit_base": {"layers": 12, "heads": 12, "embed": 768},
    "vit_large": {"layers": 24, "heads": 16, "embed": 1024},
    "vit_huge": {"layers": 32, "heads": 16, "embed": 1280},
}
# torchvision's names, for `jnn.interop.torch.load_state_dict`
TORCHVISION_VIT = {
    "patch/*": "conv_proj.*",
    "class": "class_token",
    "position/table": "encoder.pos_embedding",
    **{
        f"blocks/attention/{name}/{ours}": f"encoder.layers.encoder_layer_{{i}}.self_attention.in_proj_{theirs}[{n}/3]"
        for n, name in enumerate("qkv")
        for ours, theirs in (("w", "weight"), ("b", "bias"))
    },
    "blocks/attention/o/*": "encoder.layers.encoder_layer_{i}.self_attention.out_proj.*",
    "blocks/norm*/*": "encoder.layers.encoder_layer_{i}.ln_*.*",
    "blocks/up/*": "encoder.layers.encoder_layer_{i}.mlp.0.*",
    "blocks/down/*": "encoder.layers.encoder_layer_{i}.mlp.3.*",
    "norm/*": "encoder.ln.*",
    "out/*": "heads.head.*",
}


def vit_spec(
    image: Sequence[int],
    patch: int,
    classes: int,
    *,
    layers: int,
    heads: int,
    embed: int,
    hidden: int | None = None,
    class_token: bool = True,
    learned: bool = True,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a vision transformer; the sizes of published ones are in `VITS`.

    Args:
      image: (y, x, c), the shape of one image; patch divides y and x.
      patch: how many pixels a patch is high and wide.
      classes: how many logits.
      layers: how many blocks there are.
      heads: of each.
      embed: the width of the residual stream.
      hidden: the width inside the MLP; 4 * embed by default.
      class_token: whether a token of its own is read out, rather than the mean of the patches.
      learned: whether positions are learned, rather than sines and cosines.
      dtype: of all.

    Returns:
      {"patch": {"w", "b"}, "class" (if class_token), "position" (if learned), "blocks" (stacked), "norm", "out"}

    Raises:
      ValueError: patch is not one positive number, or does not divide the image.

    >>> vit_spec((224, 224, 3), 16, 1000, **VITS["vit_base"])["position"]["table"].shape
    (197, 768)
    """
    if not isinstance(patch, int | np.integer) or patch < 1:
        raise ValueError(f"vit_spec: expected a patch of one number of pixels, such as 16, found {patch!r}.")
    if len(image) != 3 or any(n < 1 or n % patch for n in image[:2]):
        raise ValueError(f"vit_spec: expected image (y, x, c) of whole patches of {patch}, found {tuple(image)}.")
    tokens = (image[0] // patch) * (image[1] // patch) + class_token
    out_std = 0.02 / (2 * layers) ** 0.5
    block = transformer_block_spec(embed, heads, hidden or 4 * embed, out_std=out_std, dtype=dtype)
    squares = conv_spec(image[2], embed, (patch, patch), axes=("channels_in", "embed"), init=lecun_normal, dtype=dtype)
    return {
        "patch": squares,
        **({"class": Param((embed,), zeros, ("embed",), dtype)} if class_token else {}),
        **({"position": learned_positions_spec(tokens, embed, dtype=dtype)} if learned else {}),
        "blocks": stack(block, layers),
        "norm": layer_norm_spec(embed, dtype=dtype),
        "out": linear_spec(embed, classes, axes=("embed", "classes"), dtype=dtype),
    }


def vit(
    p: Params,
    x: jax.Array,
    *,
    key: jax.Array | None,
    rate: float = 0.0,
    drop_path: float = 0.0,
    norm: Norm = layer_norm,
    activation: Callable[[jax.Array], jax.Array] = gelu,
    remat: Remat = None,
) -> jax.Array:
    """Vision transformer (ViT): logits of an image, from attention between its patches.

    See "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", Dosovitskiy et al., 2021; for the
    mean of the patches and fixed positions "Better Plain ViT Baselines for ImageNet-1k", Beyer et al., 2022. Published
    weights want `norm=partial(layer_norm, epsilon=1e-6)`; torchvision's and timm's the exact GELU, too,
    `activation=partial(gelu, approximate=False)`, and the authors' own its approximation, the default.

    Args:
      p: as `vit_spec` declares.
      x: (..., y, x, c), floating point.
      key: noise for dropout and stochastic depth, None for none.
      rate: of dropout, on the patches and on each residual branch.
      drop_path: of stochastic depth, in the last block, as in `drop_path_rates`; 0.1 in DeiT.
      norm, activation: as in `transformer_block`.
      remat: what the backward pass remembers of each block, as in `jnn.remat`.

    Returns:
      (..., classes) logits, in x's dtype; features (..., embed) where p has no "out".

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels or, with learned positions, another number of patches than p was declared for.

    >>> from jnn.param import abstract
    >>> p = abstract(vit_spec((224, 224, 3), 16, 1000, **VITS["vit_base"]))
    >>> images = jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32)
    >>> jax.eval_shape(lambda p, x: vit(p, x, key=None), p, images).shape
    (8, 1000)
    """
    h = vit_features(
        "vit", p, x, key=key, rate=rate, drop_path=drop_path, norm=norm, activation=activation, remat=remat
    )
    h = h[..., 0, :] if "class" in p else jnp.mean(wide(h), axis=-2).astype(h.dtype)
    return linear(gather(p["out"], "out"), h) if "out" in p else h


def vit_features(
    layer: str,
    p: Params,
    x: jax.Array,
    *,
    key: jax.Array | None,
    rate: float,
    drop_path: float,
    norm: Norm,
    activation: Callable[[jax.Array], jax.Array],
    remat: Remat,
    visible: jax.Array | None = None,
    path: str = "",
) -> jax.Array:
    """Images (..., y, x, c) -> (..., t, d): all tokens behind the last norm, for what reads them out.

    Of the patches those alone that are visible, places (..., k), where that is given; `path` is where p lies.
    """
    checks.params(layer, p, "patch", "blocks", "norm")
    checks.floats(layer, x, ndim=3)
    check_key(layer, key, optional=True)
    ends = gather({name: p[name] for name in p if name in BEFORE}, path)
    first = None if key is None else jax.random.fold_in(key, 0)
    h = patch_tokens(layer, ends, patches(ends["patch"], x))
    h = dropout(h if visible is None else chosen_tokens(layer, p, h, visible), rate, key=first)
    block = lambda one, x, key, _: transformer_block(
        gather(one[0], f"{path}blocks"), x, key=key, rate=rate, causal=False, norm=norm, activation=activation, **one[1]
    )
    rates = scanned_rates(drop_path_rates(depth_of(p["blocks"]), drop_path), key)
    h = scan_layers(block, (p["blocks"], rates), constrain(h, "time", "embed"), "time", "embed", key=key, remat=remat)
    return norm(gather(p["norm"], f"{path}norm"), h)
