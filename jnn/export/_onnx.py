"""ONNX, by jax2onnx: a model for ONNX Runtime, on a phone, in a browser or behind a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jnn.export._traced import Shapes, anywhere, input_shapes
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
    specs = input_shapes("export.onnx", inputs, shapes)
    try:
        from jax2onnx import to_onnx  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise ImportError(
            "export.onnx: jax2onnx is not installed. It asks for another Orbax than jnn: make it an environment "
            "(python -m venv onnx; pip install jax2onnx onnxruntime; pip install --no-deps jnn)."
        ) from error
    whole = anywhere(lambda *x: f(p, *x))
    try:
        to_onnx(whole, specs, opset=opset, return_mode="file", export_mode="web", output_path=str(path))
    except (NotImplementedError, TypeError, ValueError, KeyError) as error:
        words = " ".join(str(error).split())[:500]
        raise ValueError(f"export.onnx: jax2onnx does not convert this function: {words}") from error
    return Path(path)
