"""LiteRT, by litert-converter: a model for phones and microcontrollers, made of its StableHLO."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
from jax import lax

from jnn.export._complex import with_pairs
from jnn.export._litert_loops import outline
from jnn.export._primitives import Rule, evaluated, first
from jnn.export._stablehlo import without_places
from jnn.export._terms_elements import by_signed, ordered, shifted_left, unsigned_quotient
from jnn.export._terms_indices import scattered, scattered_of_batches
from jnn.export._terms_layout import padded, running_sum, sorted_by_top_k
from jnn.export._terms_products import convolved_apart, product_of_bytes, product_of_matrices, solved_by_substitution
from jnn.export._traced import anywhere, argument_names, check_arguments, input_shapes
from jnn.param import Params

OWN: dict[str, Rule] = {  # what LiteRT has no operator for
    "lt_to": ordered(lax.lt),
    "le_to": ordered(lax.le),
    "pad": padded,
    "shift_left": shifted_left,
    "dot_general": first(product_of_bytes, product_of_matrices),
    "div": unsigned_quotient,
    **dict.fromkeys(("add", "sub", "mul"), by_signed),
    "triangular_solve": solved_by_substitution,
    "conv_general_dilated": convolved_apart,
    "cumsum": running_sum,
    "sort": sorted_by_top_k,
    "scatter": scattered_of_batches,
    **dict.fromkeys(("scatter-add", "scatter-sub", "scatter-mul", "scatter-min", "scatter-max"), scattered),
}
RULES = with_pairs(OWN)
MODULES = ("ir", "passmanager", "_mlir_libs.converter_api_ext")
PASSES = """builtin.module(
  vhlo-legalize-stablehlo, reconcile-unrealized-casts, func.func(stablehlo-legalize-composite-to-call), inline,
  symbol-dce, strip-debuginfo
)"""


def litert(f: Callable[..., Any], p: Params, *inputs: Any, path: str | Path) -> Path:
    """LiteRT (TensorFlow Lite) export: a model as one file, converted by litert-converter, with the weights inside.

    See "LiteRT", Google, 2024 (ai.google.dev/edge/litert). The file is for the sizes that the inputs have. Its inputs
    have the names of the function's arguments, its outputs are output_0, output_1, ... in their order.

    Args:
      f: `(p, *inputs) -> outputs`, such as `partial(jnn.models.mlp, key=None)`.
      p: parameters.
      inputs: arrays, or what has their shape and dtype.
      path: of the file, such as `model.tflite`.

    Returns:
      The path.

    Raises:
      TypeError: p is a spec, or an input no array.
      ValueError: an axis of no fixed size, or what litert-converter cannot convert, in its own words.
      ImportError: litert-converter is missing.
    """
    check_arguments("export.litert", f, p)
    specs = input_shapes("export.litert", inputs, None)
    if free := [str(n) for x in specs for n in x.shape if jax.export.is_symbolic_dim(n)]:
        raise ValueError(
            f"export.litert: the file is for the sizes that are given: expected numbers, found {free[0]!r}."
        )
    converter = _converter()
    program = jax.make_jaxpr(anywhere(lambda *x: f(p, *x)))(*specs)
    whole = jax.jit(partial(evaluated, program, RULES), keep_unused=True)
    with without_places():
        exported = jax.export.export(whole, platforms=["cpu"])(*specs)
    names = argument_names(f, len(specs)), [f"output_{i}" for i in range(len(exported.out_avals))]
    try:
        _convert(*converter, exported.mlir_module_serialized, *names, str(path))
    except Exception as error:  # MLIR has many kinds
        words = " ".join(str(error).split())[:500]
        raise ValueError(f"export.litert: litert-converter does not convert this function: {words}") from error
    return Path(path)


def _converter() -> tuple[Any, Any, Any]:
    """litert-converter: its programs, its passes, and the conversion."""
    try:
        ir, passes, conversion = (importlib.import_module(f"litert_converter.mlir.{name}") for name in MODULES)
    except ImportError as error:
        raise ImportError(
            "export.litert: litert-converter is not installed. Make it an environment of its own "
            "(python -m venv litert; pip install litert-converter; pip install jnn[export])."
        ) from error
    return ir, passes.PassManager, conversion


def _convert(
    ir: Any, passes: Any, conversion: Any, program: bytes, inputs: Sequence[str], outputs: Sequence[str], path: str
) -> None:
    """Writes the file of a StableHLO program."""
    context, config = ir.Context(), conversion.ConvertToTFLConfig()
    config.model_origin_framework, config.canonicalizing_inf_as_min_max_float = "JAX", False
    conversion.prepare_mlir_context(context)
    with context, ir.Location.unknown():
        module = ir.Module.parse(program)
        passes.parse(PASSES).run(module.operation)
        conversion.set_signature(
            module.operation, signature_name="serving_default", input_names=inputs, output_names=outputs
        )
        conversion.run_convert_to_tfl_passes(module, passes(), config)
        outline(module)
        conversion.export_flatbuffer_to_file(module.operation, path)
