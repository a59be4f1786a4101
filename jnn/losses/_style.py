"""Style of an image: which features of a network are there together, wherever they are.

    gram_matrix(features)               products of channels, mean over places
    style_loss(features, grams)         how far they are from those of another image

Values are float32 at least, and infinite where it cannot hold squares of features, or of Gram matrices.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.precision import wide


def gram_matrix(features: jax.Array) -> jax.Array:
    """Gram matrix of feature maps: the products of any two channels, mean over places.

    See "Texture Synthesis Using Convolutional Neural Networks", Gatys, Ecker and Bethge, 2015, who take the sum.

    Args:
      features: (..., y, x, channels), floating point; any network's will do.

    Returns:
      (..., channels, channels), symmetric, in float32 at least; of images of any size, and so comparable.

    Raises:
      TypeError: features are not floating point.
      ValueError: too few axes, or empty.

    >>> gram_matrix(jnp.array([[[1.0, 2.0], [3.0, 0.0]]]))
    Array([[5., 1.],
           [1., 2.]], dtype=float32)
    """
    checks.floats("gram_matrix", features, ndim=3)
    x = wide(features)
    return jnp.einsum("...yxc,...yxd->...cd", x, x) / (x.shape[-3] * x.shape[-2])


def style_loss(features: Sequence[jax.Array], grams: Sequence[jax.Array]) -> jax.Array:
    """Style loss: how far the Gram matrices of an image's features are from those of another image.

    See "Image Style Transfer Using Convolutional Neural Networks", Gatys, Ecker and Bethge, 2016; layers count alike.

    Args:
      features: of each layer (..., y, x, channels), floating point.
      grams: of each layer (..., channels, channels), as `gram_matrix` has them of the other image.

    Returns:
      (...): a quarter of the mean squared difference of two matrices, mean over layers.

    Raises:
      TypeError: features or Gram matrices are not floating point.
      ValueError: there are not as many layers of each, or shapes do not fit.

    >>> image, other = jnp.ones((4, 4, 2)), jnp.zeros((9, 9, 2))
    >>> style_loss([image], [gram_matrix(image)]), style_loss([image], [gram_matrix(other)])
    (Array(0., dtype=float32), Array(0.25, dtype=float32))
    """
    if not len(features) == len(grams) > 0:
        raise ValueError(
            f"style_loss: expected features and Gram matrices of the same layers, found {len(features)} and "
            f"{len(grams)}."
        )
    layers = [_layer_difference(x, gram) for x, gram in zip(features, grams, strict=True)]
    return sum(layers[1:], start=layers[0]) / len(layers)


def _layer_difference(features: jax.Array, target: jax.Array) -> jax.Array:
    checks.floats("style_loss", features, ndim=3)
    checks.floats("style_loss", target, ndim=2)
    gram = gram_matrix(features)
    checks.same_shape("style_loss", gram=gram, target=target)
    return jnp.mean(jnp.square(gram - wide(target)), axis=(-2, -1)) / 4
