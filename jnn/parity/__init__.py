"""Parity: whether a function computes what a module of another library does, and the first layer where it does not.

    check(function, spec, module, example, names) -> Parity

Values and gradients in float32, values in bfloat16, from the other's weights (`jnn.interop`). The first layer that
differs is found without help of either side: it is the first of the module's layers whose output is no value that the
function computes. Not here: what must hold for every block by itself (`jnn.laws`).
"""

from jnn.parity._check import Parity, check

__all__ = ["Parity", "check"]
