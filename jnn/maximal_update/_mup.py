"""Maximal update parametrization: initial scales, multipliers and rates of learning, from the sizes that differ.

| a parameter whose fans grow        | initial | multiplier | rate, Adam | rate, SGD |
|------------------------------------|---------|------------|------------|-----------|
| both: a hidden weight              | 1/sqrt(m_in) | 1     | 1/m_in     | m_out/m_in |
| what it makes: an input's, a bias, a scale | 1 | 1        | 1          | m_out     |
| what it sums over: an output's     | 1       | 1/m_in     | 1          | m_in      |
| the same in the spectral form      | 1/m_in  | 1          | 1/m_in     | 1/m_in    |
| neither                            | 1       | 1          | 1          | 1         |

Each is a factor to what the base has. (Table 8 of "Tensor Programs V", and its table 3, which is the spectral form.)
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from jnn.maximal_update._initial import rescaled
from jnn.param import Param, Spec, Where, check_spec, flatten, map_paths

Optimizer = Literal["adam", "sgd"]
Form = Literal["multipliers", "spectral"]
OPTIMIZERS: tuple[Optimizer, ...] = ("adam", "sgd")
FORMS: tuple[Form, ...] = ("multipliers", "spectral")


class MaximalUpdate(NamedTuple):
    """A declaration in maximal update parametrization.

    Attributes:
      spec: the same parameters, with other scales of their initial values.
      multipliers: a tree like it, of numbers: what each is multiplied with where it is used, by `multiplied`.
      rates: a tree like it, of numbers: how much faster than the base's each learns, by `scale_by_rates`.
    """

    spec: Spec
    multipliers: Any
    rates: Any


class _Factors(NamedTuple):
    initial: float
    multiplier: float
    rate: float


def mup(
    spec: Spec,
    base: Spec,
    *,
    optimizer: Optimizer = "adam",
    form: Form = "multipliers",
    readout: Where = (),
    branches: Where = (),
) -> MaximalUpdate:
    """Maximal update parametrization (muP) of a spec: what was tuned for a narrow base is best for it, too.

    See "Tensor Programs V: Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer", Yang et al., 2022;
    the spectral form: "A Spectral Condition for Feature Learning", Yang, Simon and Bernstein, 2023; depth: "Tensor
    Programs VI: Feature Learning in Infinite-Depth Neural Networks", Yang, Yu, Zhu and Hayou, 2023.

    Which axes are summed over and which are made is what the parameters declare; which of them are width is what
    differs. Let heads of attention grow in number, not in size.

    Args:
      spec: of the network that is to be trained.
      base: of the same network with other sizes, at which hyperparameters were found; of the same paths and axes.
      optimizer: "adam", for it and its like, whose updates do not go with the size of gradients; or "sgd".
      form: "multipliers", with multipliers of what sums over width and makes none; or "spectral", without.
      readout: paths, or patterns such as "norm/*", of what is multiplied with a table that also embeds (a tied
        read-out, whose table counts as an input): the scale, and offset, of the last norm.
      branches: patterns of what ends a residual branch, such as "blocks/*/o/*": where there are l times as many layers,
        it is multiplied by 1/sqrt(l), and under Adam stacked parameters learn at 1/sqrt(l) of the rate. () leaves depth
        alone.

    Returns:
      Its spec, multipliers and rates.

    Raises:
      TypeError: one of both is no spec.
      ValueError: paths or axes differ, sizes of heads do, a pattern fits nothing, optimizer or form is unknown, or
        initial values are JAX's own that go with the shape.

    >>> from jnn.models import mlp_spec
    >>> scaled = mup(mlp_spec((3, 32, 32, 2)), mlp_spec((3, 8, 8, 2)))
    >>> scaled.rates["fc1"], scaled.multipliers["fc2"]["w"]
    ({'b': 1.0, 'w': 0.25}, 0.25)
    """
    readout, branches = ((given,) if isinstance(given, str) else given for given in (readout, branches))
    _check(spec, base, optimizer, form, (*readout, *branches))
    bases = flatten(base)

    def of(path: str, param: Param) -> _Factors:
        fits = lambda patterns: any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)
        m_in, m_out, layers = _growth(param, bases[path])
        found = _factors(m_in, m_out, optimizer, form)
        if fits(readout):
            found = found._replace(multiplier=found.multiplier / m_out)
        deep = layers**-0.5 if branches else 1.0
        slower = deep if optimizer == "adam" else 1.0
        return _Factors(found.initial, found.multiplier * (deep if fits(branches) else 1.0), found.rate * slower)

    factors = {path: of(path, param) for path, param in flatten(spec).items()}
    return MaximalUpdate(
        spec=map_paths(lambda path, param: rescaled(param, bases[path], factors[path].initial), spec),
        multipliers=map_paths(lambda path, _: factors[path].multiplier, spec),
        rates=map_paths(lambda path, _: factors[path].rate, spec),
    )


def _growth(param: Param, base: Param) -> tuple[float, float, float]:
    """How many times as large as the base's what a parameter sums over is, what it makes, and the number of layers."""
    ratio = {name: n / max(b, 1) for name, n, b in zip(param.axes, param.shape, base.shape, strict=True)}
    product = lambda names: math.prod((ratio[name] for name in names), start=1.0)
    layers = product(param.axes[: param.stacked])
    if not param.fan_in and not param.fan_out:
        return 1.0, product(param.axes[param.stacked :]), layers
    return product((*param.fan_in, *param.receptive)), product((*param.fan_out, *param.receptive)), layers


def _factors(m_in: float, m_out: float, optimizer: Optimizer, form: Form) -> _Factors:
    """A row of the table."""
    rate = 1 / m_in if optimizer == "adam" else m_out / m_in
    if m_in == 1 or m_out != 1:
        return _Factors(m_in**-0.5, 1.0, rate)
    if form == "spectral":
        return _Factors(1 / m_in, 1.0, rate)
    return _Factors(1.0, 1 / m_in, 1.0 if optimizer == "adam" else m_in)


def _check(spec: Spec, base: Spec, optimizer: str, form: str, patterns: Sequence[str]) -> None:
    for tree in (spec, base):
        check_spec("mup", tree)
    for name, value, known in (("optimizer", optimizer, OPTIMIZERS), ("form", form, FORMS)):
        if value not in known:
            advice = (
                ' "adam" is for AdamW and its like, too; the optimizer itself is yours.' if name == "optimizer" else ""
            )
            raise ValueError(f"mup: expected {name} to be one of {known}, found {value!r}.{advice}")
    params, bases = flatten(spec), flatten(base)
    if alone := sorted(params.keys() ^ bases.keys()):
        raise ValueError(f"mup: expected two specs of the same paths, found in one alone {', '.join(alone)}.")
    for path, param in params.items():
        if (param.axes, param.stacked) != (bases[path].axes, bases[path].stacked):
            raise ValueError(f"mup: expected axes {bases[path].axes} at {path}, as the base has; found {param.axes}.")
        sizes = [dict(zip(p.axes, p.shape, strict=True)).get("head") for p in (param, bases[path])]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"mup: found heads of {sizes[0]} at {path}, and of {sizes[1]} in the base; scores of heads that grow "
                "need another scale than attention gives. Let their number grow: heads=..., of one size."
            )
    if idle := [pattern for pattern in patterns if not fnmatch.filter(params, pattern)]:
        raise ValueError(f"mup: no parameter has a path such as {idle[0]!r}; there are {', '.join(sorted(params))}.")
