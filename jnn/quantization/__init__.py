"""Quantization: a model's weights, and what they meet, in 8 or 4 bits, as maps over its spec and its parameters.

    quantize, quantize_spec, dequantize     the nearest integers: weights of linear maps, convolutions, tables
    gptq, awq                               4 bits fitted to inputs that were observed
    quantize_activations                    inputs in 8 bits, too: a scale for each token, or calibrated ones
    observe, histogram                      what a model's linear maps meet: a pure function of it and of examples
    absmax_scale, percentile_scale, mse_scale, entropy_scale
                                            a scale of inputs from their histogram
    fake_quantized, step_sizes              quantization-aware training, by fixed scales or learned ones (LSQ)

Here are trees of integers and scales, and how they are found; what is computed with them is where it is computed
(`jnn.layers.linear`, `conv`, `embed`), iff the parameters have them.
"""

from jnn.quantization._activations import quantize_activations
from jnn.quantization._awq import awq
from jnn.quantization._fake_quantized import fake_quantized, step_sizes
from jnn.quantization._gptq import gptq
from jnn.quantization._input_scales import absmax_scale, entropy_scale, mse_scale, percentile_scale
from jnn.quantization._observe import histogram, observe
from jnn.quantization._quantize import dequantize, quantize, quantize_spec

__all__ = [
    "absmax_scale",
    "awq",
    "dequantize",
    "entropy_scale",
    "fake_quantized",
    "gptq",
    "histogram",
    "mse_scale",
    "observe",
    "percentile_scale",
    "quantize",
    "quantize_activations",
    "quantize_spec",
    "step_sizes",
]
