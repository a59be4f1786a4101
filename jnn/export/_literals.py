"""Numbers, sizes that may be symbolic, and dtypes in torch's words; and the error where it has none."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jnn.export._statements import expression

DTYPES = {
    *("bool", "uint8", "int8", "int16", "int32", "int64"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2"),
}
UNSIGNED = ("uint16", "uint32")  # torch cannot compute with them: they are int64, without the bits that are too many


class Unsupported(ValueError):
    """A primitive, or a use of it, that has no torch code."""


def number(x: Any, of: Any) -> str:
    """A Python number of a dtype; floats as short as float32 tells them apart, if they are no doubles."""
    x = x.item() if isinstance(x, np.generic) else x
    if isinstance(x, bool | int | complex):
        return repr(x)
    if not math.isfinite(x):
        return "torch.nan" if math.isnan(x) else ("torch.inf" if x > 0 else "(-torch.inf)")
    short = float(str(np.float32(x))) if abs(x) < 3e38 and of != np.float64 else x
    return repr(short if np.float32(short) == np.float32(x) == x else x)


def size(n: Any) -> str:
    """The size of an axis: a number, or an expression of free axes."""
    if isinstance(n, int | np.integer):
        return str(int(n))
    return ast.unparse(_Divided().visit(expression(str(n))))


def sizes(shape: Sequence[Any]) -> str:
    """Sizes as a tuple."""
    return f"({', '.join(map(size, shape))}{',' * (len(shape) == 1)})"


def each(shape: Sequence[Any]) -> str:
    """Sizes, or axes, as arguments."""
    return ", ".join(map(size, shape)) or "()"


class _Divided(ast.NodeTransformer):
    """JAX writes `floordiv(b, 2)` and `mod(b, 2)`."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        operators: dict[str, ast.operator] = {"floordiv": ast.FloorDiv(), "mod": ast.Mod()}
        if isinstance(node.func, ast.Name) and node.func.id in operators:
            return ast.BinOp(node.args[0], operators[node.func.id], node.args[1])
        return node


def dtype(x: Any) -> str:
    """A dtype of torch.

    Raises:
      Unsupported: torch has none such.
    """
    name = "int64" if x in UNSIGNED else str(x)
    if name not in DTYPES:
        raise Unsupported(f"torch has no dtype {name}.")
    return f"torch.{name}"
