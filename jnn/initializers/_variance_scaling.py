"""Initial values of a variance that is scaled by fans.

Law: an axis that is in no fan (experts, layers, places) changes no variance.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax

from jnn.initializers._linear_maps import beside
from jnn.param import Initializer, Param


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
            batch_axis=index(beside(param)),
        )
        return lambda key, shape, dtype: draw(key, (*shape, 1), dtype)[..., 0]


Init = Initializer | VarianceScaling  # what a spec takes for a parameter's initial values

lecun_normal = VarianceScaling(1.0, "fan_in", "truncated_normal")
lecun_uniform = VarianceScaling(1.0, "fan_in", "uniform")
glorot_normal = VarianceScaling(1.0, "fan_avg", "truncated_normal")
glorot_uniform = VarianceScaling(1.0, "fan_avg", "uniform")
he_normal = VarianceScaling(2.0, "fan_in", "truncated_normal")
he_uniform = VarianceScaling(2.0, "fan_in", "uniform")
