"""Quantization-aware training: a map over parameters inside of a loss, by which they are as they will be quantized.

    fake_quantized(p, spec, bits=4) -> p                       floats, rounded; the gradient goes straight through
    step_sizes(p, spec, bits=4) -> {path: scales}              of LSQ, to be trained beside p

Law: `quantize`d by the same arguments, a trained model gives the outputs that the loss has seen, to rounding.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jnn.layers import block_sizes, fake_quantize, reduce_blocks, weight_scales
from jnn.param import Param, Params, Spec, Where, flatten
from jnn.precision import wide
from jnn.quantization._input_scales import check_input_scales
from jnn.quantization._weights import Scales, change_weights, check_scales, chosen_weights, summed_axes


def fake_quantized(
    p: Params,
    spec: Spec,
    *,
    bits: int = 8,
    group: int | None = None,
    where: Where = "*",
    scales: Scales | None = None,
    input_scales: Scales | None = None,
) -> Params:
    """Fake-quantized parameters, for quantization-aware training (QAT): floats that `quantize` would not change.

    See "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", Jacob et al.,
    2018. Type it in the loss; the parameters that are trained stay what they are.

    Args:
      p, spec, group, where: as of `quantize`.
      bits: 8 or 4.
      scales: by path, those of `step_sizes` as they are trained; of others, by which the greatest is 127, or 7.
      input_scales: by path, of linear maps whose inputs are rounded to 8 bits, too, as by `quantize_activations`.

    Returns:
      A tree like p. A weight's gradient is that of the rounded one, where it is in range; a step size's is LSQ's.

    Raises:
      ValueError: as `quantize`.

    >>> from jnn.layers import linear_spec
    >>> p, spec = {"w": jnp.array([[7.0, 14.0], [1.4, 1.4]])}, linear_spec(2, 2, bias=False)
    >>> value, slope = jax.vjp(lambda p: fake_quantized(p, spec, bits=4)["w"], p)
    >>> value.tolist(), slope(jnp.ones((2, 2)))[0]["w"].tolist()
    ([[7.0, 14.0], [1.0, 2.0]], [[1.0, 1.0], [1.0, 1.0]])
    """
    chosen = chosen_weights("fake_quantized", spec, where)
    steps = check_scales("fake_quantized", spec, scales)
    of_inputs = check_input_scales("fake_quantized", spec, input_scales)

    def one(path: str, param: Param, w: jax.Array) -> Any:
        axis = summed_axes(path, param)
        scale = weight_scales(jax.lax.stop_gradient(w), axis=axis, bits=bits, group=group)
        rounded = fake_quantize(w, learned_steps(steps[path], w, bits) if path in steps else scale, bits)
        return {"float": rounded, "input_scale": of_inputs[path]} if path in of_inputs else rounded

    return change_weights("fake_quantized", p, spec, chosen, one)


def step_sizes(
    p: Params, spec: Spec, *, bits: int = 8, group: int | None = None, where: Where = "*"
) -> dict[str, jax.Array]:
    """Step sizes of LSQ (learned step size quantization), as they begin: twice the mean magnitude over sqrt(127), or 7.

    See "Learned Step Size Quantization", Esser et al., 2020. They are trained: by `fake_quantized(p, spec,
    scales=...)` in the loss; and then are the `scales` of `quantize`.

    Args:
      p, spec, bits, group, where: as of `quantize`.

    Returns:
      By path, as many axes as each weight that fits, in its dtype.

    Raises:
      ValueError: as `quantize`.

    >>> from jnn.layers import linear_spec
    >>> step_sizes({"w": jnp.full((4, 2), 0.5 * 7**0.5)}, linear_spec(4, 2, bias=False), bits=4)["w"].tolist()
    [[1.0, 1.0]]
    """
    chosen = chosen_weights("step_sizes", spec, where)

    def one(path: str, param: Param, w: jax.Array) -> jax.Array:
        blocks = block_sizes("step_sizes", w.shape, summed_axes(path, param), bits, group)
        mean = reduce_blocks(jnp.mean, jnp.abs(wide(w)), blocks)
        least = jnp.finfo(w.dtype).tiny  # of weights that are all 0
        return jnp.maximum(2 * mean / jnp.sqrt(2.0 ** (bits - 1) - 1), least).astype(w.dtype)

    changed = flatten(change_weights("step_sizes", p, spec, chosen, one))
    return {path: changed[path] for path in chosen}


def learned_steps(steps: jax.Array, w: jax.Array, bits: int) -> jax.Array:
    """Steps, whose gradient is made as small as LSQ has it: 1 / sqrt(weights of one * the greatest integer)."""
    less = float((w.size / steps.size * (2 ** (bits - 1) - 1)) ** -0.5)
    return steps * less + jax.lax.stop_gradient(steps - steps * less)
