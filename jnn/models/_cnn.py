"""A small convolutional classifier: convolutions with 2x2 max pooling and ReLU, one dense layer, dropout, logits.

Laws: as many convolutions as p holds, their kernels and channels read off the weights; leading axes are free;
`key=None` is silent.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.initializers import Init, he_normal
from jnn.layers import conv, conv_spec, max_pool
from jnn.models._dense_head import dense_head
from jnn.models._mlp import mlp_spec
from jnn.param import Params, Spec

POOL = 2


def cnn_spec(
    image: Sequence[int],
    channels: Sequence[int],
    dense: int,
    classes: int,
    *,
    kernel: Sequence[int] = (3, 3),
    init: Init = he_normal,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a convolutional classifier for images of one size.

    Args:
      image: (y, x, c), the shape of one image; y and x divide by 2 for each convolution (or lose a border).
      channels: of each convolution.
      dense: width of the hidden dense layer.
      classes: how many logits.
      kernel: of every convolution.
      init: initial values of all weights but the last, which follow `mlp_spec`.
      dtype: of all of it.

    Returns:
      {"conv0": {"w", "b"}, ..., "head": {"fc0": {"w", "b"}, "fc1": {"w", "b"}}}

    Raises:
      ValueError: image is not (y, x, c), or too small to be halved that often.

    >>> cnn_spec((32, 32, 3), (32, 64), 512, 10)["head"]["fc0"]["w"].shape
    (4096, 512)
    """
    shrink = POOL ** len(channels)
    if len(image) != 3 or min(image[:2]) < shrink:
        raise ValueError(f"cnn_spec: expected image (y, x, c), y and x at least {shrink}; found {tuple(image)}.")
    rows, columns, c_in = image
    widths = (c_in, *channels)
    spec = {
        f"conv{i}": conv_spec(widths[i], widths[i + 1], kernel, init=init, dtype=dtype) for i in range(len(channels))
    }
    features = (rows // shrink) * (columns // shrink) * widths[-1]
    return spec | {"head": mlp_spec((features, dense, classes), init=init, dtype=dtype)}


def cnn(p: Params, x: jax.Array, *, key: jax.Array | None, rate: float = 0.5) -> jax.Array:
    """Convolutional classifier: convolutions that halve the image, then a dense layer with dropout.

    See "Gradient-Based Learning Applied to Document Recognition", LeCun et al., 1998.

    Args:
      p: from `cnn_spec`.
      x: (..., y, x, c), floating point.
      key: a PRNG key for dropout, or None for none.
      rate: of dropout behind the dense layer.

    Returns:
      (..., classes) logits, in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x is not of the size or channels that p was declared for, or empty.

    >>> import jnn
    >>> p = jnn.init(cnn_spec((8, 8, 1), (8, 16), 32, 10), jax.random.key(0))
    >>> cnn(p, jnp.ones((4, 8, 8, 1)), key=None).shape
    (4, 10)
    """
    checks.params("cnn", p, "conv0", "head")
    checks.floats("cnn", x, ndim=3)
    maps = x
    for i in range(len(p) - 1):
        # the maximum and ReLU commute; in this order ReLU and its gradient touch a quarter of the memory
        maps = jax.nn.relu(max_pool(conv(gather(p[f"conv{i}"], f"conv{i}"), maps), (POOL, POOL)))
        maps = constrain(maps, "y", "x", "channels")
    return dense_head("cnn", p["head"], maps, x, key=key, rate=rate)
