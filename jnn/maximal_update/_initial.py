"""Initial values of another scale, and how the scale that an initializer chooses itself goes with the fans."""

from __future__ import annotations

import dataclasses
from typing import Any

from jnn.initializers import Dirac, Orthogonal, VarianceScaling
from jnn.param import Initializer, Param


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
    return dataclasses.replace(param, init=Rescaled(param.init, factor))


def own_growth(param: Param, base: Param) -> float:
    """How many times as large as base's the initial values of a parameter are, by its initializer alone.

    One that is a function of a shape is taken not to look at it, as `normal(0.02)` and `zeros` do not.
    """
    init = param.init
    if isinstance(init, VarianceScaling):
        return (_fan(init.mode, base) / _fan(init.mode, param)) ** 0.5
    if isinstance(init, Orthogonal):
        return float((max(base.fans) / max(param.fans)) ** 0.5)
    return 1.0


def _fan(mode: str, param: Param) -> float:
    fan_in, fan_out = param.fans
    return {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
