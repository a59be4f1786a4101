"""LiteRT, by litert-torch: a model for phones and microcontrollers, made of its torch module."""

from __future__ import annotations

import runpy
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jnn.export._torch import torch
from jnn.param import Params


def litert(f: Callable[..., Any], p: Params, *inputs: Any, path: str | Path) -> Path:
    """LiteRT (TensorFlow Lite) export: a model as one file, converted by litert-torch from its torch module.

    See "LiteRT", Google, 2024 (ai.google.dev/edge/litert). litert-torch pins much that others pin otherwise: this
    function runs in an environment of its own (docs/export.md). The file is for the sizes that the inputs have.

    Args:
      f: `(p, *inputs) -> outputs`, such as `partial(jnn.models.mlp, key=None)`.
      p: parameters.
      inputs: arrays, or what has their shape and dtype.
      path: of the file, such as `model.tflite`.

    Returns:
      The path.

    Raises:
      ValueError: a primitive that has no torch code, or what litert-torch cannot convert, in its own words.
      ImportError: litert-torch is missing.
    """
    try:
        import litert_torch  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise ImportError(
            "export.litert: litert-torch is not installed. Make it an environment of its own "
            "(python -m venv litert; pip install litert-torch; pip install jnn[export])."
        ) from error
    import torch as library

    with tempfile.TemporaryDirectory() as folder:
        file = torch(f, p, *inputs, path=Path(folder) / "model.py", shapes=None)
        module = runpy.run_path(str(file))["load"]()
    examples = tuple(library.tensor(np.zeros(x.shape, x.dtype)) for x in inputs)
    try:
        litert_torch.convert(module.requires_grad_(False), examples).export(str(path))
    except Exception as error:  # torch.export and MLIR have many kinds
        words = " ".join(str(error).split())[:500]
        raise ValueError(f"export.litert: litert-torch does not convert this function: {words}") from error
    return Path(path)
