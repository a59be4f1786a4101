"""Initial values: `jax.nn.initializers`, plus those that are chosen by axis *name*.

A weight of shape (embed, heads, head) has fan-in `embed` and fan-out `heads * head`. Positions
cannot say that; the names in `Param.fan_in`, `Param.fan_out` and `Param.receptive` do. So `he_normal`
here is not a function of a shape but a `VarianceScaling` rule that a `Param` resolves. Everything from
`jax.nn.initializers` that needs no fan is re-exported and may be used as it is.

Laws: an axis that is in no fan (experts, layers, places) changes no variance; the draw of a narrow dtype is that of
float32, cast.
"""

from jax.nn.initializers import constant, normal, ones, truncated_normal, uniform, zeros

from jnn.initializers._linear_maps import Dirac, Orthogonal, Sparse, dirac, orthogonal, sparse
from jnn.initializers._variance_scaling import (
    Init,
    VarianceScaling,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
)
from jnn.param import Initializer as Initializer

__all__ = [
    "Dirac",
    "Init",
    "Orthogonal",
    "Sparse",
    "VarianceScaling",
    "constant",
    "dirac",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "sparse",
    "truncated_normal",
    "uniform",
    "zeros",
]
