"""Hypernetwork: a linear map whose weights another linear map makes of a code, each example's of its own.

Laws: it is `linear` with the weights that `hyper_weights` gives.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, lecun_normal
from jnn.layers._linear import linear, linear_spec
from jnn.param import Params, Spec


def hyper_linear_spec(
    d_in: int, d_out: int, d_code: int, *, init: Init = lecun_normal, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares a hypernetwork of a linear map (`hyper_linear`).

    Args:
      d_in: the size of the last axis of the input.
      d_out: the same of the output.
      d_code: features of the code.
      init: initial values of the weights that make weights.
      dtype: of all parameters.

    Returns:
      {"weights": {"w": (d_code, d_in, d_out), "b": (d_in, d_out)}, "offset": {"w": (d_code, d_out), "b": (d_out,)}}

    >>> hyper_linear_spec(3, 5, 2)["weights"]["w"].shape
    (2, 3, 5)
    """
    weights = linear_spec(d_code, (d_in, d_out), axes=("code", "embed", "hidden"), init=init, dtype=dtype)
    return {"weights": weights, "offset": linear_spec(d_code, d_out, axes=("code", "hidden"), init=init, dtype=dtype)}


def hyper_weights(p: Params, code: jax.Array) -> dict[str, jax.Array]:
    """Weights of a hypernetwork, for `linear`: {"w": (..., d_in, d_out), "b": (..., d_out)} of a code (..., d_code).

    See "HyperNetworks", Ha, Dai and Le, 2017.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), hyper_linear_spec(3, 5, 2))
    >>> hyper_weights(p, jnp.ones(2))["w"].shape
    (3, 5)
    """
    checks.params("hyper_linear", p, "weights", "offset")
    return {"w": linear(p["weights"], code), "b": linear(p["offset"], code)}


def hyper_linear(p: Params, x: jax.Array, code: jax.Array) -> jax.Array:
    """Hypernetwork layer: `x W + b` with W and b linear in a code.

    See "HyperNetworks", Ha, Dai and Le, 2017.

    Args:
      p: as declared by `hyper_linear_spec`.
      x: (..., t, d_in), floating point; all t rows of an example have its weights.
      code: (..., d_code), the leading axes those of x.

    Returns:
      (..., t, d_out), in x's dtype.

    Raises:
      TypeError: x or code are not floating point.
      ValueError: they do not fit p, or each other.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), hyper_linear_spec(3, 5, 2))
    >>> hyper_linear(p, jnp.ones((7, 4, 3)), jnp.ones((7, 2))).shape
    (7, 4, 5)
    """
    made = hyper_weights(p, code)
    checks.floats("hyper_linear", x, ndim=2)
    checks.trailing("hyper_linear", x, made["w"].shape[-2:-1])
    if x.shape[:-2] != code.shape[:-1]:
        raise ValueError(
            f"hyper_linear: expected a code for each example of x, of leading axes {x.shape[:-2]}, found "
            f"{checks.describe(code)}."
        )
    y = jnp.einsum("...ti,...io->...to", x, made["w"].astype(x.dtype))
    return y + made["b"].astype(x.dtype)[..., None, :]
