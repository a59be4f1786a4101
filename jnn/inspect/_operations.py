"""How many FLOPs one equation takes: matrix products and convolutions, by their shapes.

    COSTS[primitive](equation) -> FLOPs
    multiply_adds(equation) -> FLOPs                 of elements, each with its addition

A multiply-add is two. The gradients of these are of the same primitives, with other dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.extend.core import JaxprEqn


def shapes(equation: JaxprEqn) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Of the two factors, and of the product."""
    variables = (*equation.invars[:2], *equation.outvars)
    lhs, rhs, out = (v.aval.shape for v in variables if isinstance(v.aval, jax.core.ShapedArray))
    return lhs, rhs, out


def _taps(equation: JaxprEqn) -> int:
    """Of `jnn.layers.kernels._taps`: each number that goes out, or comes back, meets every tap's filter."""
    lhs, rhs, out = shapes(equation)
    each = {"weighted_taps": (rhs, out), "taps_gradient": (out, rhs), "taps_spread": (rhs, lhs)}
    filters, numbers = each[equation.primitive.name]
    return 2 * math.prod(numbers) * filters[0]


def _by_group(equation: JaxprEqn) -> int:
    """Of `jnn.layers.kernels._group_loop`: every row (r, a) meets one matrix, or is a factor of an outer product."""
    lhs, rhs, out = shapes(equation)
    return 2 * math.prod(lhs) * (rhs if len(out) == 3 else out)[-1]


def multiply_adds(equation: JaxprEqn) -> int:
    """Two operations for each number of the result."""
    return 2 * math.prod(shapes(equation)[2])


def _dot(equation: JaxprEqn) -> int:
    lhs, _, out = shapes(equation)
    contracted = equation.params["dimension_numbers"][0][0]
    return 2 * math.prod(out) * math.prod(lhs[axis] for axis in contracted)


def _scaled_matmul(equation: JaxprEqn) -> int:
    """(b, m, k) by (b, n, k), in eight bits or fewer with a scale for each block."""
    lhs, _, out = shapes(equation)
    return 2 * math.prod(out) * lhs[-1]


def _ragged_dot(equation: JaxprEqn) -> int:
    """A group of rows for each matrix: every row meets one of them, where the groups hold all rows."""
    lhs, _, out = shapes(equation)
    numbers = equation.params["ragged_dot_dimension_numbers"]
    contracted = numbers.dot_dimension_numbers[0][0]
    cost = 2 * math.prod(out) * math.prod(lhs[axis] for axis in contracted)
    if set(numbers.lhs_ragged_dimensions) <= set(contracted):  # the gradient by the matrices: out has an axis of groups
        return cost // out[0]
    return cost


def _conv(equation: JaxprEqn) -> int:
    """Each output feature sums over the kernel's inputs, where the window stands on true elements."""
    lhs, rhs, out = shapes(equation)
    params = equation.params
    numbers = params["dimension_numbers"]
    pairs = 1
    for i, (lhs_axis, rhs_axis, out_axis) in enumerate(
        zip(numbers.lhs_spec[2:], numbers.rhs_spec[2:], numbers.out_spec[2:], strict=True)
    ):
        pairs *= products(
            lhs[lhs_axis],
            rhs[rhs_axis],
            out[out_axis],
            stride=params["window_strides"][i],
            before=params["padding"][i][0],
            spread=params["lhs_dilation"][i],
            dilation=params["rhs_dilation"][i],
        )
    batch, features = (out[axis] for axis in numbers.out_spec[:2])
    return 2 * batch * features * rhs[numbers.rhs_spec[1]] * pairs


def products(size: int, kernel: int, out: int, *, stride: int, before: int, spread: int, dilation: int) -> int:
    """Along one axis: at how many (output, kernel) positions the window stands on an element of the input.

    >>> products(5, 3, 5, stride=1, before=1, spread=1, dilation=1)      # "SAME": two of fifteen fall on padding
    13
    """
    few, many = sorted([(out, stride), (kernel, dilation)])
    columns = np.arange(many[0], dtype=np.int64) * many[1] - before
    count = 0
    for row in range(few[0]):
        at = columns + row * few[1]
        count += int(np.count_nonzero((at >= 0) & (at <= (size - 1) * spread) & (at % spread == 0)))
    return count


COSTS: dict[str, Callable[[Any], int]] = {
    "dot_general": _dot,
    "scaled_dot": _dot,
    "scaled_matmul_wrapper": _scaled_matmul,
    "ragged_dot_general": _ragged_dot,
    "ragged_dot": _ragged_dot,
    "conv_general_dilated": _conv,
    "weighted_taps": _taps,
    "taps_gradient": _taps,
    "taps_spread": _taps,
    "grouped_product": _by_group,
    "grouped_outer": _by_group,
}
