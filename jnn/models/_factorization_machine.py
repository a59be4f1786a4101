"""Factorization machine: a score that is linear in features, and in the products of any two of them.

Laws: the order of features is no matter, and one of value 0 is not there; with two features of value 1, a user and an
item, it is matrix factorization with biases: `b + w_user + w_item + v_user @ v_item`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, normal, zeros
from jnn.layers import embed, embed_spec
from jnn.param import Param, Params, Spec
from jnn.precision import add_bias, wide

SMALL = normal(0.02)


def factorization_machine_spec(features: int, d: int, *, init: Init = SMALL, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a factorization machine.

    Args:
      features: how many there are in all, such as users, items and what is known of them.
      d: the size of the factors.
      init: initial values of the factors; the others begin at zero.
      dtype: of all.

    Returns:
      {"b": (), "linear": {"table": (features, 1)}, "factors": {"table": (features, d)}}

    >>> factorization_machine_spec(100, 8)["factors"]["table"].shape
    (100, 8)
    """
    return {
        "b": Param((), zeros, (), dtype),
        "linear": embed_spec(features, 1, axes=("vocab", "out"), init=zeros, dtype=dtype),
        "factors": embed_spec(features, d, init=init, dtype=dtype),
    }


def factorization_machine(p: Params, features: jax.Array, values: jax.Array | None = None) -> jax.Array:
    """Factorization machine (FM): `b + sum_i w_i x_i + sum_{i<j} (v_i @ v_j) x_i x_j`.

    See "Factorization Machines", Rendle, 2010; of a user and an item alone, "Matrix Factorization Techniques for
    Recommender Systems", Koren, Bell and Volinsky, 2009. Its pairs are summed in time linear in n.

    Args:
      p: as `factorization_machine_spec` declares; without "b" none is added.
      features: (..., n), integers: those of an example that are not 0.
      values: (..., n), floating point, x; None for 1 each. Of padding, 0.

    Returns:
      (...), in the parameters' dtype.

    Raises:
      TypeError: features are not integers, or values are not floating point.
      ValueError: features are known to be out of range, or values are not one of each.

    >>> p = {"b": jnp.array(3.0), "linear": {"table": jnp.ones((2, 1))}, "factors": {"table": jnp.full((2, 4), 0.5)}}
    >>> factorization_machine(p, jnp.array([0, 1])).item()
    6.0
    """
    checks.params("factorization_machine", p, "linear", "factors", may=("b",))
    checks.integers("factorization_machine", features, ndim=1, name="features")
    w, v = (wide(embed(p[name], features)) for name in ("linear", "factors"))
    if values is not None:
        checks.floats("factorization_machine", values)
        checks.same_shape("factorization_machine", features=features, values=values)
        w, v = (x * values[..., None].astype(x.dtype) for x in (w, v))
    pairs = jnp.square(v.sum(-2)) - jnp.square(v).sum(-2)
    y = w.sum((-2, -1)) + pairs.sum(-1) / 2
    return (add_bias(y, p["b"]) if "b" in p else y).astype(p["factors"]["table"].dtype)
