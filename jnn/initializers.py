"""Initial values: `jax.nn.initializers`, plus those that are chosen by axis *name*.

A weight of shape (embed, heads, head) has fan-in `embed` and fan-out `heads * head`. Positions
cannot say that; the names in `Param.fan_in`, `Param.fan_out` and `Param.receptive` do. So `he_normal`
here is not a function of a shape but a `VarianceScaling` rule that a `Param` resolves. Everything from
`jax.nn.initializers` that needs no fan is re-exported and may be used as it is.

Laws: an axis that is in no fan (experts, layers, places) changes no variance; the draw of a narrow dtype is that of
float32, cast.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.nn.initializers import constant, normal, ones, truncated_normal, uniform, zeros

from jnn.param import Initializer, Param

__all__ = [
    "Init",
    "Orthogonal",
    "VarianceScaling",
    "constant",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "truncated_normal",
    "uniform",
    "zeros",
]


@dataclasses.dataclass(frozen=True)
class VarianceScaling:
    """Variance scaling: initial values of variance `scale / fan`.

    See "Delving Deep into Rectifiers", He, Zhang, Ren and Sun, 2015.

    Args:
      scale: the variance times the fan.
      mode: which fan: "fan_in", "fan_out" or their mean, "fan_avg".
      distribution: "truncated_normal" (at two standard deviations), "normal" or "uniform".

    >>> weight = Param((64, 4, 16), he_normal, ("embed", "heads", "head"), fan_in=("embed",), fan_out=("heads", "head"))
    >>> values = weight.draw(jax.random.key(0))
    >>> bool(abs(values.std() - (2 / 64) ** 0.5) < 0.01)
    True
    """

    scale: float
    mode: Literal["fan_in", "fan_out", "fan_avg"]
    distribution: Literal["truncated_normal", "normal", "uniform"]

    def resolve(self, param: Param) -> Initializer:
        """The `jax.nn.initializers` function with this Param's fans.

        Raises:
          ValueError: the Param declares no fans.
        """
        if not param.fan_in:
            raise ValueError(
                f"{self} needs fans, but the Param with axes {param.axes} declares none: "
                "give fan_in=(...) and fan_out=(...), or an initializer that needs no fan."
            )
        index = lambda names: [param.axes.index(name) for name in names]
        outs = [*index(param.fan_out), len(param.axes)]  # one more axis, of size 1: JAX wants two, a vector has none
        draw = jax.nn.initializers.variance_scaling(
            self.scale,
            self.mode,
            self.distribution,
            in_axis=index(param.fan_in),
            out_axis=outs,
            batch_axis=index(_beside(param)),
        )
        return lambda key, shape, dtype: draw(key, (*shape, 1), dtype)[..., 0]


Init = Initializer | VarianceScaling  # what a spec takes for a parameter's initial values


lecun_normal = VarianceScaling(1.0, "fan_in", "truncated_normal")
lecun_uniform = VarianceScaling(1.0, "fan_in", "uniform")
glorot_normal = VarianceScaling(1.0, "fan_avg", "truncated_normal")
glorot_uniform = VarianceScaling(1.0, "fan_avg", "uniform")
he_normal = VarianceScaling(2.0, "fan_in", "truncated_normal")
he_uniform = VarianceScaling(2.0, "fan_in", "uniform")


@dataclasses.dataclass(frozen=True)
class Orthogonal:
    """Orthogonal initial values: `scale` times a matrix of orthonormal rows or columns, whichever are fewer.

    See "Exact Solutions to the Nonlinear Dynamics of Learning in Deep Linear Neural Networks", Saxe, McClelland and
    Ganguli, 2014. The matrix of a `Param` with fans is the linear map that they name, from what is summed over to what
    is made; without fans its columns are the last axis.

    >>> fans = {"fan_in": ("embed",), "fan_out": ("heads", "head")}
    >>> weight = Param((6, 2, 3), orthogonal(), ("embed", "heads", "head"), **fans)
    >>> w = weight.draw(jax.random.key(0)).reshape(6, 6)
    >>> bool(jnp.allclose(w @ w.T, jnp.eye(6), atol=1e-5))
    True
    """

    scale: float = 1.0

    def __call__(self, key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        return jax.nn.initializers.orthogonal(self.scale)(key, tuple(shape), _decomposed(dtype)).astype(dtype)

    def resolve(self, param: Param) -> Initializer:
        """The draw of this Param's linear maps, one for each place on the axes that no fan names."""
        if not (param.fan_in and param.fan_out):
            return self
        beside, columns = _beside(param), param.fan_out
        rows = [name for name in param.axes if name in param.receptive + param.fan_in]
        order = [param.axes.index(name) for name in (*beside, *rows, *columns)]

        def draw(key: jax.Array, shape: Sequence[int], dtype: Any) -> jax.Array:
            sizes = [shape[i] for i in order]
            m = math.prod(sizes[len(order) - len(columns) :])
            n = math.prod(sizes[len(beside) :]) // m
            each = jax.random.orthogonal(key, n, tuple(sizes[: len(beside)]), _decomposed(dtype), m)
            return self.scale * each.reshape(sizes).transpose([order.index(i) for i in range(len(order))]).astype(dtype)

        return draw


def orthogonal(scale: float = 1.0) -> Orthogonal:
    """Orthogonal initial values: orthonormal rows or columns, times `scale`; see `Orthogonal`."""
    return Orthogonal(scale)


def _decomposed(dtype: Any) -> Any:
    """The dtype that a matrix is decomposed in."""
    return dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32


def _beside(param: Param) -> list[str]:
    """The axes that no fan names: along them one linear map lies beside another."""
    return [name for name in param.axes if name not in param.fan_in + param.fan_out + param.receptive]
