"""ONNX, by jax2onnx: a model for ONNX Runtime, on a phone, in a browser or behind a server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
from jax.extend.core import Literal

from jnn.export._program import CALLS
from jnn.export._traced import ONNX, Shapes, any_sizes, anywhere, check_arguments, input_shapes
from jnn.inspect import scan_sizes
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
    with _as_it_was(jax.numpy):
        convert = _converter()
        try:
            whole = partial(_evaluated, program)  # of primitives alone: functions of jnp are jax2onnx's meanwhile
            convert(whole, specs, opset=opset, return_mode="file", export_mode="web", output_path=str(path))
        except Exception as error:  # it has many kinds
            words = " ".join(str(error).split())[:500]
            raise ValueError(f"export.onnx: jax2onnx does not convert this function: {words}") from error
    return Path(path)


def _converter() -> Callable[..., Any]:
    try:
        from jax2onnx import to_onnx  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise ImportError(
            "export.onnx: jax2onnx is not installed. It asks for another Orbax than jnn: make it an environment "
            "(python -m venv onnx; pip install jax2onnx onnxruntime; pip install --no-deps jnn)."
        ) from error
    convert: Callable[..., Any] = to_onnx
    return convert


@contextlib.contextmanager
def _as_it_was(module: ModuleType) -> Iterator[None]:
    """Gives a module's names back what they were: jax2onnx leaves some of its own behind, such as `cumsum`."""
    before = dict(vars(module))
    try:
        yield
    finally:
        vars(module).update(before)


def _evaluated(program: Any, *inputs: Any) -> list[Any]:
    """A jaxpr, primitive by primitive, calls inlined; what is put around an array is joined to it.

    jax2onnx's rule of `pad` asks for sizes that are known, and it has no scan from the end.
    """
    jaxpr, constants = getattr(program, "jaxpr", program), getattr(program, "consts", ())
    env = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *inputs], strict=True))
    read = lambda atom: atom.val if isinstance(atom, Literal) else env[atom]
    for eqn in jaxpr.eqns:
        given, name = [*map(read, eqn.invars)], eqn.primitive.name
        if name in CALLS:
            found = _evaluated(eqn.params[CALLS[name]], *given)
        elif name == "pad" and all(low >= 0 and high >= 0 and not inner for low, high, inner in _config(eqn)):
            found = [_joined(given[0], given[1], _config(eqn))]
        elif name == "scan":
            found = _scanned(eqn, given)
        else:
            out = eqn.primitive.bind(*given, **eqn.params)
            found = out if eqn.primitive.multiple_results else [out]
        env |= zip(eqn.outvars, found, strict=True)
    return [*map(read, jaxpr.outvars)]


def _scanned(eqn: Any, given: Sequence[Any]) -> list[Any]:
    """A scan, of rows turned round where it goes from the last to the first."""
    params, (first, carried) = eqn.params, scan_sizes(eqn.params)
    kept, carry, rows = given[:first], given[first : first + carried], given[first + carried :]
    turned = lambda values: [jax.lax.rev(x, (0,)) for x in values] if params["reverse"] else [*values]

    def step(carry: Sequence[Any], row: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        made = _evaluated(params["jaxpr"], *kept, *carry, *row)
        return made[:carried], made[carried:]

    last, made = jax.lax.scan(step, [*carry], turned(rows), length=params["length"])
    return [*last, *turned(made)]


def _config(eqn: Any) -> Sequence[tuple[int, int, int]]:
    config: Sequence[tuple[int, int, int]] = eqn.params["padding_config"]
    return config


def _joined(x: Any, value: Any, config: Sequence[tuple[int, int, int]]) -> Any:
    """x between blocks of a value, axis by axis."""
    for axis, (low, high, _) in enumerate(config):
        block = lambda n, x=x, axis=axis: jax.lax.full((*x.shape[:axis], n, *x.shape[axis + 1 :]), value, x.dtype)
        parts = [*([block(low)] if low else []), x, *([block(high)] if high else [])]
        x = jax.lax.concatenate(parts, axis) if len(parts) > 1 else x
    return x
