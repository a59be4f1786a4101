"""How many FLOPs a fused attention takes: kernels that no one else counts, by name.

    attention_flops(equation, scope) -> (hardware, model), or None where it is none of them

A forward pass is two products of queries by keys by the size of a head, and the gradient four. A kernel that keeps no
scores computes some again: that is the hardware's, not the model's.
"""

from __future__ import annotations

import math
import re

import jax
import jax.numpy as jnp
from jax.extend.core import JaxprEqn

# name in the scope of a Pallas kernel, or of the primitive -> products that it computes, and those of the model
_PRODUCTS = {
    "splash_mha_fwd": (2, 2),
    "splash_mha_dq": (3, 1),  # scores and their gradient again, then the queries'
    "splash_mha_dkv": (4, 3),  # scores again, then the gradients of values, scores and keys
    "dot_product_attention_fwd_wrapper": (2, 2),  # cuDNN's
    "dot_product_attention_bwd_wrapper": (5, 4),
}
_NAME = re.compile("|".join(_PRODUCTS))


def attention_flops(equation: JaxprEqn, scope: str) -> tuple[int, int] | None:
    """Of all pairs of query and key, whatever a mask leaves of them."""
    name = equation.primitive.name
    found = _NAME.findall(scope if name == "pallas_call" else name)
    if not found:
        return None
    arrays = [v.aval for v in equation.invars if isinstance(v.aval, jax.core.ShapedArray)]
    q, k, *_ = (a.shape for a in arrays if jnp.issubdtype(a.dtype, jnp.floating))
    keys = k[-2] if name == "pallas_call" else k[-3]  # (..., g, s, k), or (..., s, g, k)
    one = 2 * math.prod(q) * keys
    hardware, model = _PRODUCTS[found[-1]]
    return hardware * one, model * one
