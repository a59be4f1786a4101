"""Normalizing flows: maps that can be undone, with the logarithm of how much they stretch.

    affine_coupling(p, x) -> (y, log_det)          one half moves by what the other says; undone as fast
    autoregressive_flow(p, x) -> (y, log_det)      a feature moves by what those before it say; undone one by one
    inverse_...(p, y) -> (x, log_det)              the inverse and its own log_det

Laws: the inverse undoes the map; log_det is the logarithm of the determinant of the Jacobian, in float32 at least, one
number for each example, and that of the inverse is its negative. (`x[..., ::-1]` between two has them take turns.)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, glorot_uniform
from jnn.layers._linear import linear, linear_spec
from jnn.layers._quantized_weight import weight_shape
from jnn.param import Params, Spec
from jnn.precision import wide

BOUND = 5.0  # of a log-scale: e^5 stretches enough, and a product of many stays finite


def affine_coupling_spec(d: int, d_hidden: int, *, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares an affine coupling (`affine_coupling`): {"up": {"w": (d // 2, h)}, "down": {"w": (h, 2, d - d // 2)}}.

    >>> affine_coupling_spec(5, 8)["down"]["w"].shape
    (8, 2, 3)
    """
    if d < 2:
        raise ValueError(f"affine_coupling_spec: expected 2 features or more, of which half stays, found {d}.")
    return _networks(d // 2, d_hidden, d - d // 2, init, dtype)


def affine_coupling(p: Params, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Affine coupling, the normalizing flow RealNVP: `y2 = x2 exp(s(x1)) + t(x1)`, with x1 the first half, which stays.

    See "Density Estimation Using Real NVP", Dinh, Sohl-Dickstein and Bengio, 2017. s and t share a hidden tanh layer;
    s is within +-5.

    Args:
      p: as declared by `affine_coupling_spec`.
      x: (..., d), floating point.

    Returns:
      y (..., d), in x's dtype, and log_det (...), float32 at least: `log p(x) = log p(y) + log_det`.

    Raises:
      TypeError: x is not floating point.
      ValueError: x does not fit p.

    >>> p = jax.tree.map(lambda s: jnp.zeros(s.shape), affine_coupling_spec(3, 8))
    >>> affine_coupling(p, jnp.array([1.0, 2.0, 3.0]))
    (Array([1., 2., 3.], dtype=float32), Array(0., dtype=float32))
    """
    first, second, s, t = _halves("affine_coupling", p, x)
    moved = (wide(second) * jnp.exp(s) + t).astype(x.dtype)
    return jnp.concatenate([first, moved], -1), jnp.sum(s, -1)


def inverse_affine_coupling(p: Params, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Inverse affine coupling: x of y, and the log_det of this direction; as `affine_coupling`."""
    first, second, s, t = _halves("inverse_affine_coupling", p, y)
    moved = ((wide(second) - t) * jnp.exp(-s)).astype(y.dtype)
    return jnp.concatenate([first, moved], -1), -jnp.sum(s, -1)


def autoregressive_flow_spec(
    d: int, d_hidden: int, *, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares a masked autoregressive flow (`autoregressive_flow`): {"up": {"w": (d, h)}, "down": {"w": (h, 2, d)}}.

    >>> autoregressive_flow_spec(5, 8)["down"]["w"].shape
    (8, 2, 5)
    """
    return _networks(d, d_hidden, d, init, dtype)


def autoregressive_flow(p: Params, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Masked autoregressive flow, MAF: `y_i = (x_i - t_i) exp(-s_i)`, with s_i and t_i of the features before i.

    See "Masked Autoregressive Flow for Density Estimation", Papamakarios, Pavlakou and Murray, 2017, and for the masks
    of its weights "MADE", Germain et al., 2015. s is within +-5. The inverse takes d passes: where it is the one that
    has to be fast, use the two the other way round (inverse autoregressive flow).

    Args:
      p: as declared by `autoregressive_flow_spec`.
      x: (..., d), floating point.

    Returns:
      y (..., d), in x's dtype, and log_det (...), float32 at least.

    Raises:
      TypeError: x is not floating point.
      ValueError: x does not fit p.

    >>> p = jax.tree.map(lambda s: jnp.zeros(s.shape), autoregressive_flow_spec(3, 8))
    >>> autoregressive_flow(p, jnp.array([1.0, 2.0, 3.0]))
    (Array([1., 2., 3.], dtype=float32), Array(-0., dtype=float32))
    """
    s, t = _conditioned("autoregressive_flow", p, x)
    return ((wide(x) - t) * jnp.exp(-s)).astype(x.dtype), -jnp.sum(s, -1)


def inverse_autoregressive_flow(p: Params, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Inverse of `autoregressive_flow`: x of y, a feature a pass, and the log_det of this direction."""
    checks.floats("inverse_autoregressive_flow", y)

    def one(x: jax.Array, i: jax.Array) -> tuple[jax.Array, None]:
        s, t = _conditioned("inverse_autoregressive_flow", p, x)
        here = (jnp.arange(y.shape[-1]) == i).reshape((1,) * (y.ndim - 1) + (-1,))
        return jnp.where(here, (wide(y) * jnp.exp(s) + t).astype(y.dtype), x), None

    x = jax.lax.scan(one, jnp.zeros_like(y), jnp.arange(y.shape[-1]))[0]
    return x, jnp.sum(_conditioned("inverse_autoregressive_flow", p, x)[0], -1)


def _networks(d_in: int, d_hidden: int, d_out: int, init: Init, dtype: DTypeLike) -> Spec:
    axes = ("hidden", "affine", "embed")
    up = linear_spec(d_in, d_hidden, init=init, dtype=dtype)
    return {"up": up, "down": linear_spec(d_hidden, (2, d_out), axes=axes, init=init, dtype=dtype)}


def _affine(p: Params, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Log-scale and offset that a network makes of x."""
    both = wide(linear(p["down"], jnp.tanh(linear(p["up"], x))))
    return BOUND * jnp.tanh(both[..., 0, :] / BOUND), both[..., 1, :]


def _halves(layer: str, p: Params, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    checks.maps(layer, p, "up", "down")
    checks.floats(layer, x)
    first = weight_shape(p["up"]["w"])[0]
    checks.trailing(layer, x, (first + weight_shape(p["down"]["w"])[-1],))
    s, t = _affine(p, x[..., :first])
    return x[..., :first], x[..., first:], s, t


def _conditioned(layer: str, p: Params, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Log-scale and offset of each feature, by those before it alone."""
    checks.params(layer, p, "up", "down")
    checks.map_parts(layer, p, "up", "down", adapted=False)  # what stands beside a weight would not be masked
    checks.floats(layer, x)
    d, hidden = p["up"]["w"].shape
    checks.trailing(layer, x, (d,))
    seen = np.arange(hidden) % max(d - 1, 1)  # the last feature that a hidden unit sees
    into, out = np.arange(d)[:, None] <= seen, seen[:, None] < np.arange(d)
    up = p["up"] | {"w": jnp.where(into, p["up"]["w"], 0)}
    return _affine({"up": up, "down": p["down"] | {"w": jnp.where(out[:, None], p["down"]["w"], 0)}}, x)
