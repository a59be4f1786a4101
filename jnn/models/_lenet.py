"""LeNet-5 as it was in 1998: trainable subsampling, partial connections, scaled tanh, distances to codes.

Layers go by their names in the paper. Laws: p has 60,000 parameters at the paper's size, and each is used; the output
is a squared distance, so it is 0 or more; leading axes are free.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import gather
from jnn.initializers import constant, lecun_uniform
from jnn.layers import avg_pool, conv, conv_spec, dequantize_weight, layer_norm_spec, linear, linear_spec
from jnn.param import Params, Spec
from jnn.precision import add_bias, over_last_axes, wide

# table I: which of S2's maps each map of C3 reads, for those that read three, four and all six
CONNECTIONS = {
    "three": ((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    "four": (
        *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
        *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    ),
    "six": ((0, 1, 2, 3, 4, 5),),
}


def lenet5_spec(*, features: int = 84, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares LeNet-5.

    Args:
      features: how many units F6 has: the pixels of a code, 7 * 12.
      dtype: of all.

    Returns:
      {"c1", "s2": {"scale", "bias"}, "c3": {"three", "four", "six"}, "s4", "c5", "f6"}; of the others each {"w", "b"}.

    >>> from jnn.param import count_params
    >>> count_params(lenet5_spec())
    60000
    """
    kernel = lambda c_in, c_out, groups=1: conv_spec(
        c_in, c_out, (5, 5), groups=groups, init=lecun_uniform, dtype=dtype
    )
    subsampling = lambda c: layer_norm_spec(c, axes=("channels",), init=constant(0.25), dtype=dtype)
    c3 = {name: kernel(sum(map(len, maps)), len(maps), len(maps)) for name, maps in CONNECTIONS.items()}
    f6 = linear_spec(120, features, axes=("channels", "features"), init=lecun_uniform, dtype=dtype)
    return {"c1": kernel(1, 6), "s2": subsampling(6), "c3": c3, "s4": subsampling(16), "c5": kernel(16, 120), "f6": f6}


def lenet5(p: Params, x: jax.Array, codes: jax.Array) -> jax.Array:
    """LeNet-5: convolutions and subsampling in turn, and how far what comes out is from the code of each class.

    See "Gradient-Based Learning Applied to Document Recognition", LeCun, Bottou, Bengio and Haffner, 1998. Its loss,
    that of the maximum a posteriori, takes the outputs as energies: `cross_entropy(-distances, labels)`, but for one
    more class of a constant.

    Args:
      p: as `lenet5_spec` declares.
      x: (..., 32, 32, 1), floating point; in the paper -0.1 is white and 1.175 black.
      codes: (classes, features), what F6 shall say of each class, of -1 and 1: there a picture of the character. At
        random: `jax.random.rademacher(key, (10, 84), float)`.

    Returns:
      (..., classes), in x's dtype: squared distances.

    Raises:
      TypeError: x is not floating point.
      ValueError: x is not of this size, or empty.

    >>> from jnn.param import abstract
    >>> p, images = abstract(lenet5_spec()), jax.ShapeDtypeStruct((8, 32, 32, 1), jnp.float32)
    >>> jax.eval_shape(lenet5, p, images, jnp.ones((10, 84))).shape
    (8, 10)
    """
    checks.params("lenet5", p, "c1", "s2", "c3", "s4", "c5", "f6")
    checks.floats("lenet5", x, ndim=3)
    checks.trailing("lenet5", x, (32, 32, 1))
    p = gather(p)
    x = _subsample(p["s2"], _squash(conv(p["c1"], x, padding="VALID")))
    x = _subsample(p["s4"], _squash(_partial_conv(p["c3"], x)))
    x = _squash(conv(p["c5"], x, padding="VALID"))[..., 0, 0, :]
    return _distances(_squash(linear(p["f6"], x)), codes)


def _squash(x: jax.Array) -> jax.Array:
    """The scaled hyperbolic tangent, which is 1 at 1 and -1 at -1."""
    return (1.7159 * jnp.tanh(2 / 3 * wide(x))).astype(x.dtype)


def _subsample(p: Params, x: jax.Array) -> jax.Array:
    """The sum of each 2x2 square times a trainable scale, plus a bias, squashed."""
    h = 4 * wide(avg_pool(x, (2, 2)))
    h = h * over_last_axes(p["scale"], h) if "scale" in p else h
    return _squash(add_bias(h, p["bias"]) if "bias" in p else h).astype(x.dtype)


def _partial_conv(p: Params, x: jax.Array) -> jax.Array:
    """Each map of C3 from its own maps of S2: one convolution whose other weights are zero."""
    w, b, first = jnp.zeros((5, 5, 6, 16), dequantize_weight(p["six"]["w"]).dtype), [], 0
    for name, maps in CONNECTIONS.items():
        reads, made = jnp.asarray(maps).T, first + jnp.arange(len(maps))[None]
        w = w.at[:, :, reads, made].set(dequantize_weight(p[name]["w"]))
        b += [p[name]["b"]] if "b" in p[name] else []
        first += len(maps)
    whole = {"w": w} | ({"b": jnp.concatenate(b)} if b else {})
    return conv(whole, x, padding="VALID")


def _distances(x: jax.Array, codes: jax.Array) -> jax.Array:
    """Squared Euclidean distances of x (..., f) from each code (classes, f): radial basis functions."""
    checks.array("lenet5", codes, "codes")
    if codes.ndim != 2 or codes.shape[1] != x.shape[-1]:
        raise ValueError(
            f"lenet5: expected codes (classes, {x.shape[-1]}), as F6 has features; found {checks.describe(codes)}."
        )
    h = wide(x)[..., None, :]
    return jnp.sum(jnp.square(h - over_last_axes(codes, h)), axis=-1).astype(x.dtype)
