"""Rules of primitives that act on each element, and of reductions: JAX's name -> torch's words."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np

from jnn.export._literals import UNSIGNED, dtype
from jnn.export._writer import Call, Rule

OPERATORS = {
    "add": "{} + {}",
    "add_any": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "eq": "{} == {}",
    "ne": "{} != {}",
    "lt": "{} < {}",
    "le": "{} <= {}",
    "lt_to": "{} < {}",
    "le_to": "{} <= {}",
    "gt": "{} > {}",
    "ge": "{} >= {}",
    "and": "{} & {}",
    "or": "{} | {}",
    "xor": "{} ^ {}",
    "shift_left": "{} << {}",
    "shift_right_arithmetic": "{} >> {}",
    "shift_right_logical": "{} >> {}",
    "pow": "({}) ** {}",  # of a base that may be negative
    "neg": "-{}",
    "not": "~{}",
    "stop_gradient": "{}.detach()",
}
FUNCTIONS = {
    "rem": "fmod",
    "atan2": "atan2",
    "nextafter": "nextafter",
    "logistic": "sigmoid",
    "is_finite": "isfinite",
    "complex": "complex",
    "erf_inv": "erfinv",
    "real": "real",
    "imag": "imag",
    "conj": "conj",
    "cholesky": "linalg.cholesky",
    **{name: name for name in ("abs", "floor", "ceil", "sqrt", "rsqrt", "square")},
    **{name: name for name in ("exp", "exp2", "expm1", "log", "log1p", "erf", "erfc", "lgamma", "digamma")},
    **{name: name for name in ("sin", "cos", "tan", "asin", "acos", "atan")},
    **{name: name for name in ("sinh", "cosh", "tanh", "asinh", "acosh", "atanh")},
}
REDUCTIONS = {"reduce_max": "amax", "reduce_min": "amin", "reduce_and": "all", "reduce_or": "any"}
CUMULATIVE = {"cumsum": "cumsum", "cumprod": "cumprod", "cumlogsumexp": "logcumsumexp"}
ENDS = {"max": ("relu", "clamp(min={})", "maximum"), "min": ("", "clamp(max={})", "minimum")}


def operator(c: Call) -> str:
    if c.equation.name == "shift_right_logical" and c.out.dtype.kind != "u":
        return f"shifted({c.x}, {c.tensor(1)}, {8 * c.out.dtype.itemsize})"
    texts = c.args if not all(value.is_number for value in c.inputs) else [c.tensor(0), *c.args[1:]]
    return OPERATORS[c.equation.name].format(*texts)


def function(c: Call) -> str:
    return f"torch.{FUNCTIONS[c.equation.name]}({', '.join(map(c.tensor, range(len(c.inputs))))})"


def division(c: Call) -> str:
    if np.issubdtype(c.out.dtype, np.integer):
        return f"torch.div({c.tensor(0)}, {c[1]}, rounding_mode='trunc')"
    return f"{c.x if c.inputs[1].is_number else c[0]} / {c[1]}"  # of two numbers one is a tensor


def extremum(c: Call) -> str:
    """The greater or the lesser of two, of which one may be a number."""
    relu, clamp, both = ENDS[c.equation.name]
    numbers = [i for i, value in enumerate(c.inputs) if value.is_number]
    if c.out.dtype == bool:
        return f"{c.tensor(0)} {'|' if relu else '&'} {c[1]}"
    if not numbers:
        return f"torch.{both}({c[0]}, {c[1]})"
    i = numbers[-1]
    if c.inputs[i].number == (-math.inf if relu else math.inf):
        return c.tensor(1 - i)
    if relu and c.inputs[i].number == 0:
        return f"torch.{relu}({c.tensor(1 - i)})"
    return f"{c.tensor(1 - i)}.{clamp.format(c[i])}"


def clamp(c: Call) -> str:
    low, x, high = c[0], c.tensor(1), c[2]
    if c.inputs[0].is_number == c.inputs[2].is_number:
        return f"{x}.clamp({low}, {high})"
    return f"torch.clamp({x}, {c.tensor(0)}, {c.tensor(2)})"


def select(c: Call) -> str:
    """`select_n` counts from false, or is among more than two cases."""
    if len(c.inputs) != 3 or c.inputs[0].dtype != bool:
        raise c.refuse("more than two cases")
    numbers = c.inputs[1].is_number and c.inputs[2].is_number
    return f"torch.where({c.tensor(0)}, {c.tensor(2) if numbers else c[2]}, {c[1]})"


def integer_power(c: Call) -> str:
    n = c.params["y"]
    return f"torch.square({c.x})" if n == 2 else f"{c.x} ** {n}"


def rounded(c: Call) -> str:
    if int(c.params["rounding_method"]) == 1:
        return f"torch.round({c.x})"
    return f"away_from_zero({c.x})"


def sign(c: Call) -> str:
    return f"sign({c.x})" if jnp.issubdtype(c.out.dtype, jnp.floating) else f"torch.sign({c.x})"


def converted(c: Call) -> str | None:
    if c.inputs[0].is_number:
        c.out.number = np.asarray(c.inputs[0].number).astype(c.out.dtype).item()
        return None
    before, after = c.inputs[0].dtype, c.out.dtype
    x = f"{c.x}.real" if before.kind == "c" and after.kind != "c" else c.x
    if after.kind in "iu" and after.itemsize < 4 and jnp.issubdtype(before, jnp.floating):
        x = f"{x}.clamp({np.iinfo(after).min}, {np.iinfo(after).max})"  # torch begins anew at the other end
    return x if before == after else f"{x}.to({dtype(after)})"


def bits(c: Call) -> str:
    """The same bits; what torch has only in a wider dtype has them in a signed one of its size."""
    before, after = c.inputs[0].dtype, c.out.dtype
    if before.itemsize != after.itemsize:
        raise c.refuse("dtypes of different sizes")
    signed = f"torch.int{8 * after.itemsize}"
    x = f"{c.x}.to({signed})" if before in UNSIGNED else c.x
    return f"{x}.view({signed}).to(torch.int64)" if after in UNSIGNED else f"{x}.view({dtype(after)})"


def counted(c: Call) -> str:
    """How many bits are 1, or are 0 before the first 1."""
    name = {"population_count": "population_count", "clz": "leading_zeros"}[c.equation.name]
    return f"{name}({c.x}, {8 * c.out.dtype.itemsize}).to({dtype(c.out.dtype)})"


def reduction(c: Call) -> str:
    axes, name = tuple(c.params["axes"]), c.equation.name
    if name in ("reduce_and", "reduce_or") and c.out.dtype != bool:
        raise c.refuse("integers")
    return f"{c.x}.{REDUCTIONS[name]}({_axes(axes)})" if axes else c.x


def total(c: Call) -> str:
    axes = tuple(c.params["axes"])
    return f"{c.x}.sum({_axes(axes)}{c.own_dtype})" if axes else c.x


def product(c: Call) -> str:
    """torch multiplies along one axis at a time."""
    return c.x + "".join(f".prod({axis}{c.own_dtype})" for axis in sorted(c.params["axes"], reverse=True))


def extreme_index(c: Call) -> str:
    (axis,) = c.params["axes"]
    x = f"{c.x}.int()" if c.inputs[0].dtype == bool else c.x
    return f"{x}.{c.equation.name}({axis}).to({dtype(c.out.dtype)})"


def cumulative(c: Call) -> str:
    axis, name = c.params["axis"], c.equation.name
    turned = lambda text: f"{text}.flip({axis})" if c.params["reverse"] else text
    if name in ("cummax", "cummin"):
        return turned(f"torch.{name}({turned(c.x)}, {axis}).values")
    return turned(f"torch.{CUMULATIVE[name]}({turned(c.x)}, {axis}{c.own_dtype})")


def _axes(axes: tuple[int, ...]) -> str:
    return str(axes[0] if len(axes) == 1 else axes)


TWO_OR_MORE = {
    "div": division,
    "max": extremum,
    "min": extremum,
    "clamp": clamp,
    "select_n": select,
    **dict.fromkeys(OPERATORS, operator),
    **dict.fromkeys(("rem", "atan2", "nextafter", "complex"), function),
}
RULES: dict[str, Rule] = {
    **dict.fromkeys(FUNCTIONS, function),
    **TWO_OR_MORE,
    "integer_pow": integer_power,
    "round": rounded,
    "sign": sign,
    "convert_element_type": converted,
    "bitcast_convert_type": bits,
    **dict.fromkeys(("population_count", "clz"), counted),
    **dict.fromkeys(REDUCTIONS, reduction),
    "reduce_sum": total,
    "reduce_prod": product,
    **dict.fromkeys(("argmax", "argmin"), extreme_index),
    **dict.fromkeys((*CUMULATIVE, "cummax", "cummin"), cumulative),
}
ELEMENTWISE = frozenset(TWO_OR_MORE) - {"neg", "not", "stop_gradient"}
