"""Dense layers behind the last maps of a convolutional network, which hold the size of the images they are for.

dense_head(model, p, maps, image, key=..., rate=...) -> logits
"""

from __future__ import annotations

import math

import jax

from jnn import checks
from jnn.layers import weight_shape
from jnn.models._mlp import mlp
from jnn.param import Params


def dense_head(
    model: str, p: Params, maps: jax.Array, image: jax.Array, *, key: jax.Array | None, rate: float
) -> jax.Array:
    """The logits of `mlp` for maps (..., y, x, c), one number after another, of images (..., y, x, c).

    Raises:
      ValueError: the images are not of the size that p was declared for.
    """
    checks.params(model, p, "fc0", what="params['head']")
    count, wanted = math.prod(maps.shape[-3:]), weight_shape(p["fc0"]["w"])[0]
    if count != wanted:
        raise ValueError(
            f"{model}: its first dense layer reads {wanted} numbers, found {count}, maps {maps.shape[-3:]} of images "
            f"{checks.describe(image)}. Give images of the size that {model}_spec was given, or declare it for these."
        )
    return mlp(p, maps.reshape(*maps.shape[:-3], count), key=key, rate=rate)
