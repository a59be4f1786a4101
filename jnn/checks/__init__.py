"""Errors that teach: what a layer was given, what it expected, what to do. Trace-time only.

    params(layer, p, "w", may=("b",))               the parameters that a layer reads
    maps(layer, p, "up", "down")                    the linear maps among them
    map_parts(layer, p, "q", "k")                   the same of parts, whatever else there is
    drawn(layer, p)                                 arrays, and no declarations
    declared(where, path, x, param), by_path        what stands at a path of a spec; what is given by path
    is_quantized(w), is_factored(w)                 whether a weight is in integers, or a product of two
    array, floats, rank, trailing                   one array: what it is, its dtype and its shape
    integers(layer, x) -> x                         the same, and x in a dtype in which nothing wraps around
    same_shape, pair(layer, predictions, targets)   arrays of one shape; two of one shape, in one dtype
    describe(x) -> "float32[8,128]"                 what was found, as errors say it
    in_range, lengths, in_unit_interval             the values of arrays, where they are known
    held, held_all                                  arrays of NumPy of which JAX makes the same numbers
    number(layer, name, value, fits, expected)      a number that may be traced: a rate, a temperature
    noise(layer, rate, key) -> key                  a key that is said, wherever there is a rate
    count, size                                     an integer of 1 or more; the size of an axis
    divides(where, rows, devices=8)                 the parts of a batch divide its rows

Shapes and dtypes are static under `jit`, so these checks cost nothing when a compiled step runs. What lives here is
what several rooms ask of what they are given. What does not: what one function alone asks.
"""

from jnn.checks._arrays import array, describe, floats, integers, pair, rank, same_shape, trailing
from jnn.checks._numbers import count, divides, noise, number, size
from jnn.checks._params import ELSEWHERE, by_path, declared, drawn, map_parts, maps, params
from jnn.checks._values import held, held_all, in_range, in_unit_interval, lengths
from jnn.checks._weights import KEPT, is_factored, is_quantized

__all__ = [
    "ELSEWHERE",
    "KEPT",
    "array",
    "by_path",
    "count",
    "declared",
    "describe",
    "divides",
    "drawn",
    "floats",
    "held",
    "held_all",
    "in_range",
    "in_unit_interval",
    "integers",
    "is_factored",
    "is_quantized",
    "lengths",
    "map_parts",
    "maps",
    "noise",
    "number",
    "pair",
    "params",
    "rank",
    "same_shape",
    "size",
    "trailing",
]
