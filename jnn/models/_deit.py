"""Distilled vision transformer (DeiT): a second token beside the class token learns what a teacher says."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn.activations import gelu
from jnn.axes import gather
from jnn.initializers import zeros
from jnn.layers import layer_norm, learned_positions_spec, linear
from jnn.models._arrange import Norm
from jnn.models._vit import vit_features, vit_spec
from jnn.param import Param, Params, Spec
from jnn.remat import Remat


def deit_spec(
    image: Sequence[int],
    patch: int,
    classes: int,
    *,
    layers: int,
    heads: int,
    embed: int,
    hidden: int | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a distilled vision transformer; those published have the sizes of `VITS`, up to "vit_base".

    Args:
      image, patch, classes, layers, heads, embed, hidden, dtype: as in `vit_spec`.

    Returns:
      As `vit_spec`, with "distill", a token, and "out_distill", a read-out of its own.

    Raises:
      ValueError: patch does not divide the image.

    >>> from jnn.models import VITS
    >>> deit_spec((224, 224, 3), 16, 1000, **VITS["vit_tiny"])["position"]["table"].shape
    (198, 192)
    """
    spec = vit_spec(image, patch, classes, layers=layers, heads=heads, embed=embed, hidden=hidden, dtype=dtype)
    tokens = spec["position"]["table"].shape[0] + 1
    return {
        **spec,
        "distill": Param((embed,), zeros, ("embed",), dtype),
        "position": learned_positions_spec(tokens, embed, dtype=dtype),
        "out_distill": spec["out"],
    }


def deit(
    p: Params,
    x: jax.Array,
    *,
    key: jax.Array | None,
    rate: float = 0.0,
    drop_path: float = 0.0,
    norm: Norm = layer_norm,
    activation: Callable[[jax.Array], jax.Array] = gelu,
    remat: Remat = None,
) -> tuple[jax.Array, jax.Array]:
    """Distilled vision transformer (DeiT): logits of the label, and logits of what a teacher says.

    See "Training data-efficient image transformers & distillation through attention", Touvron et al., 2021: what is
    predicted is the mean of both.

    Args:
      p: as `deit_spec` declares. (Of one read-out alone, with the second token nonetheless, `vit` gives the logits.)
      x, key, rate, drop_path, norm, activation, remat: as in `vit`.

    Returns:
      (..., classes) of the class token, and (..., classes) of the other, in x's dtype.

    Raises:
      TypeError, ValueError: as `vit`.

    >>> from jnn.param import abstract
    >>> p = abstract(deit_spec((8, 8, 3), 4, 10, layers=2, heads=2, embed=8))
    >>> label, teacher = jax.eval_shape(lambda p, x: deit(p, x, key=None), p, jnp.ones((5, 8, 8, 3)))
    >>> label.shape, teacher.shape
    ((5, 10), (5, 10))
    """
    h = vit_features(
        "deit", p, x, key=key, rate=rate, drop_path=drop_path, norm=norm, activation=activation, remat=remat
    )
    one, other = (linear(gather(p[name], name), h[..., i, :]) for i, name in enumerate(("out", "out_distill")))
    return one, other
