"""Deep sets: a function of a sum over the elements. Laws: as in `_set_transformer`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, glorot_uniform
from jnn.layers._linear import linear, linear_spec
from jnn.layers._set_transformer import check_elements
from jnn.param import Params, Spec
from jnn.precision import wide


def deep_sets_spec(
    d_in: int, d_hidden: int, d_out: int, *, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares deep sets (`deep_sets`): linear maps "up" and "down" of "each" element, and of "all".

    >>> deep_sets_spec(3, 8, 2)["each"]["up"]["w"].shape
    (3, 8)
    """
    one = lambda a, b, *axes: linear_spec(a, b, axes=axes, init=init, dtype=dtype)
    hidden = one(d_hidden, d_hidden, "hidden_in", "hidden")
    return {
        "each": {"up": one(d_in, d_hidden, "embed", "hidden"), "down": hidden},
        "all": {"up": hidden, "down": one(d_hidden, d_out, "hidden", "embed")},
    }


def deep_sets(p: Params, x: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
    """Deep sets: `rho(sum of phi(x_i))`, both networks with one hidden ReLU layer.

    See "Deep Sets", Zaheer et al., 2017.

    Args:
      p: as declared by `deep_sets_spec`.
      x: (..., t, d_in), floating point: sets of t elements.
      mask: (..., t), bool: which elements there are; None for all.

    Returns:
      (..., d_out), in x's dtype.

    Raises:
      TypeError: x is not floating point, or mask is not bool.
      ValueError: x does not fit p, or there is not a mask for each element.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), deep_sets_spec(3, 8, 2))
    >>> deep_sets(p, jnp.ones((5, 4, 3))).shape
    (5, 2)
    """
    checks.params("deep_sets", p, "each", "all")
    checks.floats("deep_sets", x, ndim=2)
    said = _two(p["each"], x)
    if mask is not None:
        said = jnp.where(check_elements("deep_sets", x, mask)[..., None], said, 0)
    return _two(p["all"], jnp.sum(wide(said), -2).astype(x.dtype))


def _two(p: Params, x: jax.Array) -> jax.Array:
    return linear(p["down"], jax.nn.relu(linear(p["up"], x)))
