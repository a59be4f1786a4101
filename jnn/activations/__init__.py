"""One door to every activation: `jax.nn`'s, and what it lacks.

Laws: elementwise ones keep x's shape; all keep its dtype; a value or gradient is infinite only where the dtype cannot
hold the right one (those of `jax.nn` that fail this are here anew); noise (`rrelu`, `gumbel_softmax`) is an
argument. Defaults are those of `jax.nn`. The one that surprises users of torch: `gelu` is the tanh approximation unless
`approximate=False`.

What lives here has no weights but a slope (`prelu`). What does not: normalization, attention.
"""

from jax.nn import (
    celu,
    elu,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    identity,
    leaky_relu,
    log_sigmoid,
    relu,
    relu6,
    selu,
    sigmoid,
    soft_sign,
    softplus,
    sparse_sigmoid,
    tanh,
)

from jnn.activations._gated import crelu, geglu, maxout, reglu, swiglu
from jnn.activations._pointwise import hard_shrink, heaviside, quick_gelu, snake, soft_shrink, tanh_shrink, threshold
from jnn.activations._rectified import prelu, prelu_spec, rrelu
from jnn.activations._saturating import gelu, glu, log_softmax, mish, silu, softmax, sparse_plus, squareplus, swish
from jnn.activations._simplex import gumbel_softmax, softmin, sparsemax

__all__ = [
    "celu",
    "crelu",
    "elu",
    "geglu",
    "gelu",
    "glu",
    "gumbel_softmax",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "heaviside",
    "identity",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "maxout",
    "mish",
    "prelu",
    "prelu_spec",
    "quick_gelu",
    "reglu",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "sigmoid",
    "silu",
    "snake",
    "soft_shrink",
    "soft_sign",
    "softmax",
    "softmin",
    "softplus",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "swiglu",
    "swish",
    "tanh",
    "tanh_shrink",
    "threshold",
]
