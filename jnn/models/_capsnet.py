"""CapsNet: two convolutions, capsules with routing between them, and a decoder that draws the image of one capsule.

    capsnet(p, x) -> (..., classes, d)                     one capsule a class; its length says how sure it is
    capsnet_reconstruct(p, capsules, labels) -> images     of the label's capsule alone

Laws: lengths are in [0, 1); an image drawn depends on the label's capsule alone.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import gather
from jnn.initializers import normal
from jnn.layers import capsules, capsules_spec, conv, conv_spec, one_hot, squash
from jnn.models._mlp import mlp, mlp_spec
from jnn.param import Params, Spec


def capsnet_spec(
    classes: int = 10,
    *,
    image: tuple[int, int, int] = (28, 28, 1),
    width: int = 256,
    kernel: int = 9,
    maps: int = 32,
    below: int = 8,
    above: int = 16,
    decoder: tuple[int, ...] = (512, 1024),
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a CapsNet; as it stands, the paper's for MNIST.

    Args:
      classes: capsules above.
      image: height, width and channels of the images.
      width: channels of the first convolution.
      kernel: height and width of both; the second has stride 2.
      maps: how many capsules there are at a place.
      below: features of a capsule at a place.
      above: features of a class's capsule.
      decoder: features of the layers that draw; () for none, without "decoder".
      dtype: of all.

    Returns:
      {"conv", "primary", "capsules", "decoder": as `mlp_spec`}

    Raises:
      ValueError: the image is too small.

    >>> capsnet_spec()["capsules"]["w"].shape
    (1152, 8, 10, 16)
    """
    *sides, channels = image
    places = [(side - 2 * kernel + 1) // 2 + 1 for side in sides]
    if min(places) < 1:
        raise ValueError(f"capsnet_spec: expected images of {2 * kernel - 1} pixels a side or more, found {image}.")
    spec: Spec = {
        "conv": conv_spec(channels, width, (kernel, kernel), dtype=dtype),
        "primary": conv_spec(width, maps * below, (kernel, kernel), dtype=dtype),
        # hundreds of votes add up: with larger ones all capsules are long at first, and all are pushed to nothing
        "capsules": capsules_spec(math.prod(places) * maps, below, classes, above, init=normal(0.1), dtype=dtype),
    }
    if not decoder:
        return spec
    return spec | {"decoder": mlp_spec((classes * above, *decoder, math.prod(image)), dtype=dtype)}


def capsnet(p: Params, x: jax.Array, *, iterations: int = 3) -> jax.Array:
    """CapsNet: convolution, capsules at places, and capsules of classes by dynamic routing.

    See "Dynamic Routing Between Capsules", Sabour, Frosst and Hinton, 2017.

    Args:
      p: as declared by `capsnet_spec`.
      x: (..., y, x, c), floating point.
      iterations: of the routing.

    Returns:
      (..., classes, d), in x's dtype; the class is the longest one's.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has another shape than p was declared for.

    >>> from jnn.param import abstract
    >>> p = abstract(capsnet_spec(3, image=(5, 5, 1), width=2, kernel=3, maps=2, below=2, above=4))
    >>> jax.eval_shape(capsnet, p, jax.ShapeDtypeStruct((7, 5, 5, 1), jnp.float32)).shape
    (7, 3, 4)
    """
    checks.params("capsnet", p, "conv", "primary", "capsules", may=("decoder",))
    checks.floats("capsnet", x, ndim=3)
    h = jax.nn.relu(conv(gather(p["conv"], "conv"), x, padding="VALID"))
    h = conv(gather(p["primary"], "primary"), h, stride=2, padding="VALID")
    w = gather(p["capsules"], "capsules")
    h = h.reshape(*h.shape[:-3], -1, w["w"].shape[1])
    return capsules(w, squash(h), iterations=iterations)


def capsnet_reconstruct(p: Params, capsules: jax.Array, labels: jax.Array) -> jax.Array:
    """CapsNet's decoder: the image of the label's capsule, all others set to zero, in [0, 1].

    See "Dynamic Routing Between Capsules", Sabour, Frosst and Hinton, 2017.

    Args:
      p: as declared by `capsnet_spec`, with "decoder".
      capsules: (..., classes, d), as `capsnet` returns.
      labels: (...), integers: the true classes, or those of the longest capsules.

    Returns:
      (..., pixels), in the capsules' dtype: rows of the image one behind the other. The paper adds 0.0005 of the sum of
      squared differences to `jnn.losses.capsule_margin_loss`.

    Raises:
      TypeError: capsules are not floating point, or labels not integers.

    >>> from jnn.param import abstract
    >>> p = abstract(capsnet_spec(3, image=(5, 5, 1), width=2, kernel=3, maps=2, below=2, above=4))
    >>> jax.eval_shape(lambda p: capsnet_reconstruct(p, jnp.ones((7, 3, 4)), jnp.zeros(7, int)), p).shape
    (7, 25)
    """
    checks.params("capsnet_reconstruct", p, "decoder", may=("conv", "primary", "capsules"))
    checks.floats("capsnet_reconstruct", capsules, ndim=2)
    checks.integers("capsnet_reconstruct", labels, name="labels")
    if labels.shape != capsules.shape[:-2]:
        raise ValueError(
            f"capsnet_reconstruct: expected a label for each example of {checks.describe(capsules)}, found "
            f"{checks.describe(labels)}."
        )
    chosen = one_hot(labels, capsules.shape[-2], dtype=capsules.dtype)
    h = (capsules * chosen[..., None]).reshape(*labels.shape, -1)
    return jax.nn.sigmoid(mlp(p["decoder"], h, key=None))
