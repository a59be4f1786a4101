"""Losses of pairs of images and texts, or any two kinds of embeddings: a softmax both ways, or a sigmoid for each pair.

Laws: as in `_contrastive`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn.losses._embeddings import eye, own_column, rows, similarities
from jnn.losses._inputs import positive
from jnn.vectors import unit


def clip_loss(
    images: jax.Array, texts: jax.Array, scale: jax.Array | float, *, mask: jax.Array | None = None
) -> jax.Array:
    """CLIP's contrastive loss: each image's text among the texts, and each text's image among the images; their mean.

    See "Learning Transferable Visual Models From Natural Language Supervision", Radford et al., 2021.

    Args:
      images, texts: (..., n, d), floating point; row i of one belongs to row i of the other.
      scale: what cosines are multiplied by, above 0; learned as exp(p), at most 100 in the paper, first 1 / 0.07.
      mask: (..., n), true or not 0 where a row is there: `batch["weight"] > 0`. Without it padding is a negative of
        the others, whatever its weight, and moves what they cost. Micro-batches see their own rows only.

    Returns:
      (..., n): one number per row, 0 where masked.

    Raises:
      TypeError: embeddings are not floating point.
      ValueError: shapes do not fit, or scale <= 0.

    >>> round(float(clip_loss(jnp.eye(2), jnp.eye(2), 1.0)[0]), 4)
    0.3133
    """
    there, x, y = rows("clip_loss", mask, images=images, texts=texts)
    logits = similarities(unit(x), unit(y)) * positive("clip_loss", "scale", scale, x)
    return (own_column(logits, there) + own_column(jnp.swapaxes(logits, -1, -2), there)) / 2


def siglip_loss(
    images: jax.Array,
    texts: jax.Array,
    scale: jax.Array | float,
    bias: jax.Array | float,
    *,
    mask: jax.Array | None = None,
) -> jax.Array:
    """SigLIP's sigmoid loss: each pair of an image and a text is a yes/no question; the sum over an image's texts.

    See "Sigmoid Loss for Language Image Pre-Training", Zhai et al., 2023.

    Args:
      images, texts: (..., n, d), floating point; row i of one belongs to row i of the other.
      scale: what cosines are multiplied by, above 0; learned as exp(p), first 10.
      bias: what is added to them; learned, first -10: most pairs do not belong together.
      mask: (..., n), true or not 0 where a row is there: `batch["weight"] > 0`. Without it padding is a negative of
        the others, whatever its weight, and moves what they cost. Micro-batches see their own rows only.

    Returns:
      (..., n): one number per image, 0 where masked.

    Raises:
      TypeError: embeddings are not floating point.
      ValueError: shapes do not fit, or scale <= 0.

    >>> siglip_loss(jnp.eye(2), jnp.eye(2), 1.0, 0.0).round(4)  # log(1 + 1 / e) + log(2)
    Array([1.0064, 1.0064], dtype=float32)
    """
    there, x, y = rows("siglip_loss", mask, images=images, texts=texts)
    logits = similarities(unit(x), unit(y)) * positive("siglip_loss", "scale", scale, x) + bias
    costs = jax.nn.softplus(jnp.where(eye(logits), -logits, logits))
    return jnp.sum(jnp.where(there[..., :, None] & there[..., None, :], costs, 0), axis=-1)
