"""Locally connected layers: a convolution whose kernel is another at each place.

Laws: with the same kernel everywhere it is `conv`; a bias, one for each place, is added iff `"b" in p`.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, he_normal, zeros
from jnn.layers._conv import SPATIAL_AXES
from jnn.layers._unfold import unfold
from jnn.layers._window import Padding, sliding
from jnn.param import Param, Spec
from jnn.precision import add_bias, narrow


def locally_connected_spec(
    spatial: Sequence[int],
    c_in: int,
    c_out: int,
    kernel: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    bias: bool = True,
    init: Init = he_normal,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a locally connected layer for images of one size.

    Args:
      spatial: the shape of the image, 1 to 3 axes.
      c_in: channels of the input.
      c_out: channels of the output.
      kernel: its size along each spatial axis.
      stride, padding, dilation: as in `locally_connected`, which is to be given the same.
      bias: whether there is a "b", initially zero.
      init: initial values of w; each place's kernel is drawn as one of its own.
      dtype: of w and b.

    Returns:
      {"w": (*out, *kernel, c_in, c_out), "b": (*out, c_out)}

    >>> locally_connected_spec((8, 8), 3, 4, (3, 3), stride=2)["w"].shape
    (4, 4, 3, 3, 3, 4)
    """
    window = sliding("locally_connected_spec", kernel, stride=stride, padding=padding, dilation=dilation)
    out, inner = window.out(spatial), SPATIAL_AXES[len(window.size)]
    places = tuple(f"place_{axis}" for axis in inner)
    names = (*places, *inner, "channels_in", "channels_out")
    w = Param((*out, *window.size, c_in, c_out), init, names, dtype, names[-2:-1], names[-1:], receptive=inner)
    return {"w": w} | ({"b": Param((*out, c_out), zeros, (*places, names[-1]), dtype)} if bias else {})


def locally_connected(
    p: dict[str, jax.Array],
    x: jax.Array,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
) -> jax.Array:
    """Locally connected layer, or unshared convolution: each place has its own kernel and bias.

    See "Backpropagation Applied to Handwritten Zip Code Recognition", LeCun et al., 1989, and "DeepFace", Taigman et
    al., 2014.

    Args:
      p: {"w": (*out, *kernel, c_in, c_out), "b": (*out, c_out)}, the bias optional.
      x: (..., *spatial, c_in), floating point.
      stride, padding, dilation: as in `conv`; padding of zeros only.

    Returns:
      (..., *out, c_out), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels, or another size than the declared one; or as `conv`.

    >>> locally_connected({"w": jnp.ones((4, 3, 2, 5))}, jnp.ones((4, 2))).shape
    (4, 5)
    """
    checks.params("locally_connected", p, "w", may=("b",))
    checks.array("locally_connected", x)
    x = narrow(x)
    n = (p["w"].ndim - 2) // 2
    out, kernel = p["w"].shape[:n], p["w"].shape[n : 2 * n]
    checks.trailing("locally_connected", x, p["w"].shape[-2:-1])
    windows = unfold(x, kernel, stride=stride, padding=padding, dilation=dilation)
    if (found := windows.shape[-1 - 2 * n : -1 - n]) != out:
        raise ValueError(
            f"locally_connected: its parameters are for {out} places, found {found} in {checks.describe(x)}. Give "
            "stride, padding and dilation as to locally_connected_spec."
        )
    of_places = "ZYX"[-n:]
    inner = of_places.lower()
    y = jnp.einsum(f"...{of_places}{inner}i,{of_places}{inner}io->...{of_places}o", windows, p["w"].astype(x.dtype))
    return add_bias(y, p["b"]) if "b" in p else y
