"""Initial values of another scale, and how the scale that an initializer chooses itself goes with the fans."""

from __future__ import annotations

import dataclasses
from typing import Any

from jnn.initializers import Dirac, Orthogonal, VarianceScaling
from jnn.param import Initializer, Param

_OF_A_SHAPE = ("variance_scaling.<locals>", "orthogonal.<locals>", "delta_orthogonal.<locals>")


@dataclasses.dataclass(frozen=True)
class Rescaled:
    """Rescaled initial values: `factor` times those of `init`, an initializer, which may read axis names.

    >>> import jax
    >>> Param((2,), Rescaled(jax.nn.initializers.ones, 0.5), ("embed",)).draw(jax.random.key(0)).tolist()
    [0.5, 0.5]
    """

    init: Any
    factor: float

    def resolve(self, param: Param) -> Initializer:
        """The draw of this Param."""
        draw = self.init.resolve(param) if hasattr(self.init, "resolve") else self.init
        return lambda key, shape, dtype: self.factor * draw(key, shape, dtype)


def rescaled(param: Param, base: Param, wanted: float) -> Param:
    """The parameter whose initial values are `wanted` times as large as those of base, by whatever is declared."""
    factor = wanted / own_growth(param, base)
    if abs(factor - 1) < 1e-12 or isinstance(param.init, Dirac):  # an identity has the norm 1 at every width
        return param
    before = param.init if isinstance(param.init, Rescaled) else Rescaled(param.init, 1.0)
    return dataclasses.replace(param, init=Rescaled(before.init, before.factor * factor))


def own_growth(param: Param, base: Param) -> float:
    """How many times as large as base's the initial values of a parameter are, by its initializer alone.

    One that is a function of a shape is taken not to look at it, as `normal(0.02)` and `zeros` do not.

    Raises:
      ValueError: it is one of JAX's that does.
    """
    init = param.init
    if isinstance(init, Rescaled):  # by an earlier call
        inner = own_growth(dataclasses.replace(param, init=init.init), base)
        return inner * init.factor / (base.init.factor if isinstance(base.init, Rescaled) else 1.0)
    if param.shape != base.shape and getattr(init, "__qualname__", "").startswith(_OF_A_SHAPE):
        raise ValueError(
            f"mup: the parameter of axes {param.axes} is drawn by a function of jax.nn.initializers that scales by the "
            "shape itself. Give one of jnn.initializers, such as he_normal or orthogonal(), which says by which fans."
        )
    if isinstance(init, VarianceScaling):
        return (_fan(init.mode, base) / _fan(init.mode, param)) ** 0.5
    if isinstance(init, Orthogonal):
        return float((max(base.fans) / max(param.fans)) ** 0.5)
    return 1.0


def _fan(mode: str, param: Param) -> float:
    fan_in, fan_out = param.fans
    return {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
