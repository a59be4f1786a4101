"""python -m jnn.export onnx jnn.models.mlp --weights model.safetensors --input float32[b,64] --output model.onnx"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
from flax.traverse_util import unflatten_dict

from jnn.data import read_safetensors
from jnn.export._litert import litert
from jnn.export._onnx import onnx
from jnn.export._stablehlo import stablehlo
from jnn.export._torch import torch

FORMATS: dict[str, Callable[..., Path]] = {
    "stablehlo": partial(stablehlo, shapes=None),
    "torch": partial(torch, shapes=None),
    "onnx": partial(onnx, shapes=None),
    "litert": litert,
}
INPUT = re.compile(r"(\w+)\[([\w, ]*)\]")


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the files; returns the process's exit code: 2 where a model cannot leave so."""
    parser = argparse.ArgumentParser("python -m jnn.export", description="A model as files that need no jnn.")
    parser.add_argument("format", choices=FORMATS)
    parser.add_argument("function", help="of (p, *inputs), such as jnn.models.mlp or my.module:network; a key is None")
    parser.add_argument(
        "--weights", type=Path, help="safetensors by path, as write_safetensors(path, jnn.flatten(p)) makes"
    )
    parser.add_argument("--input", action="append", required=True, help="such as float32[b,8,8,1], once an input")
    parser.add_argument("--output", type=Path, required=True, help="the file to write")
    given = parser.parse_args(arguments)
    try:
        p = unflatten_dict(dict(read_safetensors(given.weights)), sep="/") if given.weights else {}
        f, inputs = function(given.function), input_specs(given.input)
        print(FORMATS[given.format](f, p, *inputs, path=given.output))
    except (TypeError, ValueError, ImportError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyError as error:
        lacking = f"is not in {given.weights}" if given.weights else "--weights would hold: give them"
        print(f"error: the function reads {error}, which {lacking}.", file=sys.stderr)
        return 2
    return 0


def function(name: str) -> Callable[..., Any]:
    """The function of a name, without noise.

    Raises:
      ValueError: there is none.
    """
    module, colon, own = name.partition(":")
    if not colon:
        module, _, own = name.rpartition(".")
    found = getattr(importlib.import_module(module), own, None) if module else None
    if not callable(found):
        raise ValueError(f"expected a function such as jnn.models.mlp or my.module:network, found {name!r}.")
    return partial(found, key=None) if "key" in inspect.signature(found).parameters else found


def input_specs(texts: Sequence[str]) -> list[jax.ShapeDtypeStruct]:
    """Shapes and dtypes as JAX prints them; letters are free axes, and the same in all of them.

    Raises:
      ValueError: one is none.
    """
    matches = [INPUT.fullmatch(text) for text in texts]
    if strange := [text for text, match in zip(texts, matches, strict=True) if not match or not _is_dtype(match[1])]:
        raise ValueError(f"expected inputs such as float32[b,8,8,1], found {strange[0]!r}.")
    scope = jax.export.SymbolicScope()
    shape = lambda axes: jax.export.symbolic_shape(axes, scope=scope)
    return [jax.ShapeDtypeStruct(shape(match[2]), match[1]) for match in matches if match]


def _is_dtype(name: str) -> bool:
    """Whether it is the name of a dtype."""
    try:
        jax.numpy.dtype(name)
    except TypeError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
