"""CLIP: images and texts as vectors of one space, from a class token and from the token that ends a text.

    clip_spec(config) -> spec
    clip(p, images, tokens, config) -> (vectors of images, vectors of texts)
    clip_images(p, images, config), clip_texts(p, tokens, config)               one tower alone
    similarity_logits(p, images, texts) -> (..., n, m)                          how well vectors fit; SigLIP's, too

Laws: a text's vector does not depend on tokens behind its end.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import gather
from jnn.initializers import constant, normal
from jnn.layers import layer_norm, linear, linear_spec
from jnn.models.image_text._config import ClipConfig
from jnn.models.image_text._towers import image_tower, image_tower_spec, text_tower, text_tower_spec
from jnn.param import Param, Params, Spec
from jnn.precision import wide
from jnn.remat import Remat
from jnn.vectors import unit


def clip_spec(config: ClipConfig, *, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a CLIP.

    Args:
      config: its sizes.
      dtype: of all.

    Returns:
      {"image": {"patch", "class", "position", "norm_in", "blocks", "norm", "out"},
      "text": {"embed", "position", "blocks", "norm", "out"}, "logit_scale": ()}

    >>> from jnn.models import TowerConfig
    >>> tower = TowerConfig(layers=2, heads=2, embed=8, hidden=16)
    >>> config = ClipConfig((8, 8, 3), 4, vocab=11, context=6, images=tower, texts=tower, vectors=5)
    >>> clip_spec(config)["text"]["out"]["w"].shape
    (8, 5)
    """

    def out(d: int) -> Spec:
        return linear_spec(d, config.vectors, axes=("embed", "vector"), bias=False, init=normal(d**-0.5), dtype=dtype)

    return {
        "image": {**image_tower_spec(config, class_token=True, dtype=dtype), "out": out(config.images.embed)},
        "text": {**text_tower_spec(config, dtype=dtype), "out": out(config.texts.embed)},
        "logit_scale": Param((), constant(math.log(1 / 0.07)), (), dtype),
    }


def clip(
    p: Params, images: jax.Array, tokens: jax.Array, config: ClipConfig, *, remat: Remat = None
) -> tuple[jax.Array, jax.Array]:
    """CLIP: vectors of images and of texts, near each other where they belong together.

    See "Learning Transferable Visual Models From Natural Language Supervision", Radford et al., 2021. It has no
    dropout; `jnn.losses.clip_loss` trains it.

    Args:
      p: as `clip_spec` declares.
      images: (..., y, x, c), floating point.
      tokens: (..., t), integers in 0..vocab-1, each row with the token that ends it.
      config: what p was declared by.
      remat: what the backward pass remembers of each block, as in `jnn.remat`.

    Returns:
      (..., vectors) of the images and (..., vectors) of the texts, of length 1, in the dtypes of images and params.

    Raises:
      TypeError: images are not floating point, or tokens are not integers.
      ValueError: images have another shape, tokens are out of range or more than the positions.

    >>> from jnn.losses import clip_loss
    >>> from jnn.models import TowerConfig
    >>> from jnn.param import abstract
    >>> tower = TowerConfig(layers=2, heads=2, embed=8, hidden=16)
    >>> config = ClipConfig((8, 8, 3), 4, vocab=11, context=6, images=tower, texts=tower, vectors=5)
    >>> def loss(p, images, tokens):
    ...     return clip_loss(*clip(p, images, tokens, config), jnp.exp(p["logit_scale"]))
    >>> images, tokens = jnp.ones((3, 8, 8, 3)), jnp.array([[1, 4, 10], [3, 10, 0], [10, 0, 0]])
    >>> jax.eval_shape(loss, abstract(clip_spec(config)), images, tokens).shape
    (3,)
    """
    checks.params("clip", p, "image", "text")
    return clip_images(p, images, config, remat=remat), clip_texts(p, tokens, config, remat=remat)


def clip_images(p: Params, images: jax.Array, config: ClipConfig, *, remat: Remat = None) -> jax.Array:
    """CLIP's image encoder: vectors of length 1 of images, as `clip` gives them."""
    checks.params("clip_images", p, "image")
    h = image_tower("clip_images", p["image"], images, config.images, remat)[..., 0, :]
    ends = gather({name: p["image"][name] for name in ("norm", "out")}, "image")
    return _vectors(linear(ends["out"], layer_norm(ends["norm"], h, epsilon=config.images.epsilon)))


def clip_texts(p: Params, tokens: jax.Array, config: ClipConfig, *, remat: Remat = None) -> jax.Array:
    """CLIP's text encoder: vectors of length 1 of texts, as `clip` gives them."""
    checks.params("clip_texts", p, "text")
    h = text_tower("clip_texts", p["text"], tokens, config.texts, causal=True, remat=remat)
    last = jnp.argmax(tokens if config.end is None else tokens == config.end, axis=-1)
    h = jnp.take_along_axis(h, last[..., None, None], axis=-2)[..., 0, :]
    return _vectors(linear(gather(p["text"]["out"], "text/out"), h))


def similarity_logits(p: Params, images: jax.Array, texts: jax.Array) -> jax.Array:
    """Similarity logits: how well each image fits each text, by CLIP's scale, or SigLIP's scale and bias.

    Args:
      p: as `clip_spec` or `siglip_spec` declares; a bias is added iff p has "logit_bias".
      images: (..., n, d), vectors of images.
      texts: (..., m, d), vectors of texts.

    Returns:
      (..., n, m), in the dtype of images: logits for a softmax over texts or images, or, of SigLIP, for a sigmoid.

    Raises:
      TypeError: vectors are not floating point.
      ValueError: shapes do not fit.

    >>> similarity_logits({"logit_scale": jnp.log(10.0)}, jnp.eye(2), jnp.eye(2)).round(3).tolist()
    [[10.0, 0.0], [0.0, 10.0]]
    """
    checks.params("similarity_logits", p, "logit_scale", may=("logit_bias",))
    for name, x in (("images", images), ("texts", texts)):
        checks.floats(f"similarity_logits: {name}", x, ndim=2)
    if images.shape[:-2] + images.shape[-1:] != texts.shape[:-2] + texts.shape[-1:]:
        raise ValueError(
            "similarity_logits: expected images (..., n, d) and texts (..., m, d), found "
            f"{checks.describe(images)} and {checks.describe(texts)}."
        )
    cosines = jnp.einsum("...nd,...md->...nm", wide(images), wide(texts))
    logits = cosines * jnp.exp(wide(p["logit_scale"]))
    return (logits + wide(p["logit_bias"]) if "logit_bias" in p else logits).astype(images.dtype)


def _vectors(x: jax.Array) -> jax.Array:
    return unit(x).astype(x.dtype)
