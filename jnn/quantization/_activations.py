"""Linear maps with 8-bit inputs: products of integers, summed as integers.

quantize_activations(p, spec) -> p                         each row's scale is its own (dynamic, per token)
quantize_activations(p, spec, input_scales) -> p           scales that were calibrated (static)
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jnn.layers import integer_weight, weight_scales
from jnn.param import Param, Params, Spec, Where, linear_maps, matching
from jnn.quantization._input_scales import check_input_scales
from jnn.quantization._weights import Scales, change_weights, check_scales, inputs_of, summed_axes


def quantize_activations(
    p: Params, spec: Spec, input_scales: Scales | None = None, *, where: Where = "*", scales: Scales | None = None
) -> Params:
    """Quantized activations (W8A8): linear maps whose weights and inputs are in 8 bits, and whose sums in int32.

    Dynamic, a scale for each token, as "LLM.int8()", Dettmers et al., 2022; static, as "Quantization and Training of
    Neural Networks for Efficient Integer-Arithmetic-Only Inference", Jacob et al., 2018.

    Args:
      p, spec: a model's parameters, and what declares them.
      input_scales: by path, of `absmax_scale` say; where there is none, each row of inputs is scaled by its greatest.
      where: patterns of paths, "*" for all linear maps.
      scales: as of `quantize`.

    Returns:
      A tree like p, with {"w8a8": int8, "scales", "input_scale" where it is static} for each map, as `linear` reads it.

    Raises:
      TypeError: spec is none, such as params.
      ValueError: no map fits or is quantized already, or an input scale is for none.

    >>> from jnn.layers import linear, linear_spec
    >>> p, spec = {"w": jnp.array([[0.5], [1.0]])}, linear_spec(2, 1, bias=False)
    >>> linear(quantize_activations(p, spec), jnp.array([2.0, 254.0])).round(1).tolist()
    [255.0]
    """
    name = "quantize_activations"
    chosen = matching(name, linear_maps(name, spec), where, "linear map")
    of_inputs, given = check_input_scales(name, spec, input_scales), check_scales(name, spec, scales)

    def one(path: str, param: Param, w: jax.Array) -> Any:
        own = given[path] if path in given else weight_scales(w, axis=summed_axes(path, param))
        if own.size * inputs_of(param) != w.size:
            raise ValueError(f"{name}: expected a scale for each output, found {own.shape} of {w.shape}: no groups.")
        q = integer_weight(w, own)
        static = {"input_scale": jnp.asarray(of_inputs[path])} if path in of_inputs else {}
        return {"w8a8": q["int8"], "scales": q["scales"]} | static

    return change_weights(name, p, spec, chosen, one)
