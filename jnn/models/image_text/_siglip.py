"""SigLIP: images and texts as vectors of one space, from a learned query of all patches and from a text's last token.

siglip_spec(config) -> spec
siglip(p, images, tokens, config) -> (vectors of images, vectors of texts)
siglip_images(p, images, config), siglip_texts(p, tokens, config)           one tower alone
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import gather
from jnn.initializers import constant, normal
from jnn.layers import (
    attention,
    attention_spec,
    feed_forward,
    feed_forward_spec,
    layer_norm,
    layer_norm_spec,
    linear,
    linear_spec,
)
from jnn.models.image_text._config import SiglipConfig, TowerConfig
from jnn.models.image_text._towers import image_tower, image_tower_spec, text_tower, text_tower_spec
from jnn.param import Param, Params, Spec
from jnn.precision import wide
from jnn.remat import Remat
from jnn.vectors import unit


def siglip_spec(config: SiglipConfig, *, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a SigLIP.

    Args:
      config: its sizes.
      dtype: of all.

    Returns:
      {"image": {"patch", "position", "blocks", "norm", "pool"}, "text": {"embed", "position", "blocks", "norm", "out"},
      "logit_scale": (), "logit_bias": ()}

    >>> from jnn.models import TowerConfig
    >>> tower = TowerConfig(layers=2, heads=2, embed=8, hidden=16)
    >>> config = SiglipConfig((8, 8, 3), 4, vocab=11, context=6, images=tower, texts=tower)
    >>> siglip_spec(config)["image"]["pool"]["query"].shape
    (8,)
    """
    out = linear_spec(config.texts.embed, config.images.embed, axes=("embed", "vector"), init=normal(0.02), dtype=dtype)
    image = image_tower_spec(config, class_token=False, dtype=dtype)
    return {
        "image": {**image, "pool": _pool_spec(config.images, dtype)},
        "text": {**text_tower_spec(config, dtype=dtype), "out": out},
        "logit_scale": Param((), constant(math.log(10)), (), dtype),
        "logit_bias": Param((), constant(-10.0), (), dtype),
    }


def siglip(
    p: Params, images: jax.Array, tokens: jax.Array, config: SiglipConfig, *, remat: Remat = None
) -> tuple[jax.Array, jax.Array]:
    """SigLIP: vectors of images and of texts, near each other where they belong together.

    See "Sigmoid Loss for Language Image Pre-Training", Zhai et al., 2023. It has no dropout; `jnn.losses.siglip_loss`
    trains it.

    Args:
      p: as `siglip_spec` declares.
      images: (..., y, x, c), floating point.
      tokens: (..., t), integers in 0..vocab-1, filled up to config.context as the published ones were trained: padding
        is seen like any token, and the last one is read out.
      config: what p was declared by.
      remat: what the backward pass remembers of each block, as in `jnn.remat`.

    Returns:
      (..., embed) of the images and (..., embed) of the texts, of length 1, in the dtypes of images and params.

    Raises:
      TypeError: images are not floating point, or tokens are not integers.
      ValueError: images have another shape, tokens are out of range or more than the positions.

    >>> from jnn.losses import siglip_loss
    >>> from jnn.models import TowerConfig
    >>> from jnn.param import abstract
    >>> tower = TowerConfig(layers=2, heads=2, embed=8, hidden=16)
    >>> config = SiglipConfig((8, 8, 3), 4, vocab=11, context=3, images=tower, texts=tower)
    >>> def loss(p, images, tokens):
    ...     return siglip_loss(*siglip(p, images, tokens, config), jnp.exp(p["logit_scale"]), p["logit_bias"])
    >>> images, tokens = jnp.ones((2, 8, 8, 3)), jnp.array([[4, 7, 1], [3, 1, 1]])
    >>> jax.eval_shape(loss, abstract(siglip_spec(config)), images, tokens).shape
    (2,)
    """
    checks.params("siglip", p, "image", "text")
    return siglip_images(p, images, config, remat=remat), siglip_texts(p, tokens, config, remat=remat)


def siglip_images(p: Params, images: jax.Array, config: SiglipConfig, *, remat: Remat = None) -> jax.Array:
    """SigLIP's image encoder: vectors of length 1 of images, as `siglip` gives them."""
    checks.params("siglip_images", p, "image")
    h = image_tower("siglip_images", p["image"], images, config.images, remat)
    ends = gather({name: p["image"][name] for name in ("norm", "pool")}, "image")
    h = _pooled(ends["pool"], layer_norm(ends["norm"], h, epsilon=config.images.epsilon), config.images)
    return unit(h).astype(h.dtype)


def siglip_texts(p: Params, tokens: jax.Array, config: SiglipConfig, *, remat: Remat = None) -> jax.Array:
    """SigLIP's text encoder: vectors of length 1 of texts, as `siglip` gives them."""
    checks.params("siglip_texts", p, "text")
    h = text_tower("siglip_texts", p["text"], tokens, config.texts, causal=False, remat=remat)
    h = linear(gather(p["text"]["out"], "text/out"), h[..., -1, :])
    return unit(h).astype(h.dtype)


def _pool_spec(config: TowerConfig, dtype: DTypeLike) -> Spec:
    d = config.embed
    return {
        "query": Param((d,), normal(d**-0.5), ("embed",), dtype),
        "attention": attention_spec(d, config.heads, dtype=dtype),
        "norm": layer_norm_spec(d, dtype=dtype),
        **feed_forward_spec(d, config.hidden, dtype=dtype),
    }


def _pooled(p: Params, x: jax.Array, config: TowerConfig) -> jax.Array:
    """Attention pooling (..., t, d) -> (..., d): one learned query attends to all, through a feed-forward network.

    See "Scaling Vision Transformers", Zhai et al., 2022.
    """
    query = jnp.broadcast_to(wide(p["query"]), (*x.shape[:-2], 1, x.shape[-1])).astype(x.dtype)
    h = attention(p["attention"], query, x)
    h = h + feed_forward(p, layer_norm(p["norm"], h, epsilon=config.epsilon), activation=config.activation)
    return h[..., 0, :]
