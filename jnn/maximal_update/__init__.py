"""Maximal update parametrization (muP): what is tuned at a small width holds at a large one.

    scaled = jnn.mup(spec, base_spec)                   a map over two declarations
    params = jnn.init(scaled.spec, key)                 initial values, scaled
    f(multiplied(params, scaled.multipliers), x)        the function, as it is
    optax.chain(optax.scale_by_adam(), scale_by_rates(scaled.rates), ...)
    coordinate_check(build, widths)                     the sizes of activations over a few steps, by width

Letters: `m` how many times a fan is the base's, `l` how many times the layers are.

Laws: with the base's own spec every multiplier and rate is 1, and initial values are its own; which function the
parameters are for does not matter. What does not live here: schedules, optimizers (Optax has them).
"""

from jnn.maximal_update._coordinates import Coordinates, coordinate_check, growth
from jnn.maximal_update._mup import MaximalUpdate, mup
from jnn.maximal_update._rates import multiplied, scale_by_rates

__all__ = ["Coordinates", "MaximalUpdate", "coordinate_check", "growth", "multiplied", "mup", "scale_by_rates"]
