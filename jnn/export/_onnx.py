"""ONNX, by jax2onnx: a model for ONNX Runtime, on a phone, in a browser or behind a server."""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
from jax import lax

from jnn.export._complex import with_pairs
from jnn.export._primitives import Rules, evaluated, first, unrolled
from jnn.export._terms_elements import ordered, quotient, remainder, shifted_left, shifted_right
from jnn.export._terms_indices import gathered_of_one, scattered_by_all_indices, scattered_of_functions
from jnn.export._terms_layout import padded, sorted_by_rank
from jnn.export._terms_products import convolved_by_planes, product_of_bytes, product_over_axes
from jnn.export._traced import ONNX, Shapes, any_sizes, anywhere, check_arguments, input_shapes
from jnn.param import Params

OPSET = 23


def onnx(
    f: Callable[..., Any], p: Params, *inputs: Any, path: str | Path, shapes: Shapes = "b, ...", opset: int = OPSET
) -> Path:
    """ONNX export: a model as one file for ONNX Runtime, converted by jax2onnx, with the weights inside.

    See "ONNX", Linux Foundation, 2017 (onnx.ai). jax2onnx asks for another Orbax than jnn: it lives in an environment
    of its own, where this function, or `python -m jnn.export onnx`, runs (docs/export.md).

    Args:
      f: `(p, *inputs) -> outputs`, such as `partial(jnn.models.mlp, key=None)`.
      p: parameters.
      inputs: arrays, or what has their shape and dtype, of any batch size.
      path: of the file, such as `model.onnx`.
      shapes: of all inputs, or of each one: letters are axes of any size; None for the sizes that inputs have.
      opset: the version of ONNX's operators.

    Returns:
      The path.

    Raises:
      ValueError: shapes that do not fit, or what jax2onnx cannot convert, in its own words.
      ImportError: jax2onnx is missing.
    """
    check_arguments("export.onnx", f, p)
    specs = input_shapes("export.onnx", inputs, shapes)
    with any_sizes("export.onnx", f, p, inputs, specs):
        program = jax.make_jaxpr(anywhere(lambda *x: f(p, *x), ONNX))(*specs)
        program = jax.make_jaxpr(partial(evaluated, program, RULES))(*specs)
    with _as_it_was(jax.numpy):
        convert = _converter()
        try:
            whole = partial(evaluated, program, {})  # of primitives alone: functions of jnp are jax2onnx's meanwhile
            convert(whole, specs, opset=opset, return_mode="file", export_mode="web", output_path=str(path))
        except Exception as error:  # it has many kinds
            words = " ".join(str(error).split())[:500]
            raise ValueError(f"export.onnx: jax2onnx does not convert this function: {words}") from error
    return Path(path)


def _converter() -> Callable[..., Any]:
    try:
        convert: Callable[..., Any] = importlib.import_module("jax2onnx").to_onnx
    except ImportError as error:
        raise ImportError(
            "export.onnx: jax2onnx is not installed. It asks for another Orbax than jnn: make it an environment "
            "(python -m venv onnx; pip install jax2onnx onnxruntime; pip install --no-deps jnn)."
        ) from error
    return convert


@contextlib.contextmanager
def _as_it_was(module: ModuleType) -> Iterator[None]:
    """Gives a module's names back what they were: jax2onnx leaves some of its own behind, such as `cumsum`."""
    before = dict(vars(module))
    try:
        yield
    finally:
        vars(module).update(before)


def _grown(eqn: Any, x: Any) -> Any:
    """`broadcast_in_dim` to sizes such as 4*b, of which jax2onnx knows b alone: to b and 4, which are joined."""
    shape, axes = eqn.params["shape"], eqn.params["broadcast_dimensions"]
    parts = [(n,) if i in axes else _factors(n) for i, n in enumerate(shape)]
    if all(len(part) == 1 for part in parts):
        return None
    places = [sum(map(len, parts[:axis])) for axis in axes]
    return lax.reshape(lax.broadcast_in_dim(x, [n for part in parts for n in part], places), shape)


def _factors(n: Any) -> tuple[Any, ...]:
    """A size as that of a free axis and a number, if it is their product."""
    found = re.fullmatch(r"(\d+)\*([a-z]\w*)", str(n))
    return (*jax.export.symbolic_shape(found[2], scope=n.scope), int(found[1])) if found else (n,)


def _written_out(eqn: Any, *given: Any) -> list[Any] | None:
    """`scan` of a body that has sizes such as 4*b, which ONNX Runtime loses in loops: turn after turn."""
    body, turns = str(eqn.params["jaxpr"]), eqn.params["length"]
    return unrolled(eqn, given, RULES) if turns and re.search(r"\[[^\]]*\d\*[a-z]", body) else None


RULES: Rules = with_pairs(  # what jax2onnx lacks
    {
        "lt_to": ordered(lax.lt),
        "le_to": ordered(lax.le),
        "pad": padded,
        "shift_left": shifted_left,
        "shift_right_arithmetic": shifted_right,
        "dot_general": first(product_of_bytes, product_over_axes),
        "div": quotient,
        "rem": remainder,
        "gather": gathered_of_one,
        "scatter": first(scattered_of_functions, scattered_by_all_indices),
        "scan": _written_out,
        "sort": sorted_by_rank,
        "broadcast_in_dim": _grown,
        "conv_general_dilated": convolved_by_planes,
    }
)
