"""Initial values: `jax.nn.initializers`, plus the fan-scaled families chosen by axis *name*.

A weight of shape (embed, heads, head) has fan-in `embed` and fan-out `heads * head`. Positions
cannot say that; the names in `Param.fan_in` and `Param.fan_out` do. So `he_normal` here is not a
function of a shape but a `VarianceScaling` rule that a `Param` resolves. Everything from
`jax.nn.initializers` that needs no fan is re-exported and may be used as it is.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
from jax.nn.initializers import constant, normal, ones, orthogonal, truncated_normal, uniform, zeros

from jnn.param import Initializer, Param

__all__ = [
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
    """Initial values of variance `scale / fan`.

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
        if not (param.fan_in and param.fan_out):
            raise ValueError(
                f"{self} needs fans, but the Param with axes {param.axes} declares none: "
                "give fan_in=(...) and fan_out=(...), or an initializer that needs no fan."
            )
        return jax.nn.initializers.variance_scaling(
            self.scale,
            self.mode,
            self.distribution,
            in_axis=[param.axes.index(name) for name in param.fan_in],
            out_axis=[param.axes.index(name) for name in param.fan_out],
        )


lecun_normal = VarianceScaling(1.0, "fan_in", "truncated_normal")
lecun_uniform = VarianceScaling(1.0, "fan_in", "uniform")
glorot_normal = VarianceScaling(1.0, "fan_avg", "truncated_normal")
glorot_uniform = VarianceScaling(1.0, "fan_avg", "uniform")
he_normal = VarianceScaling(2.0, "fan_in", "truncated_normal")
he_uniform = VarianceScaling(2.0, "fan_in", "uniform")
