"""Quantization: a model's weights, and what they meet, in 8 or 4 bits, as maps over its spec and its parameters.

    quantize, quantize_spec, dequantize    the nearest integers: weights of linear maps, convolutions, tables

Here are trees of integers and scales, and how they are found; what is computed with them is where it is computed
(`jnn.layers.linear`, `conv`, `embed`), iff the parameters have them.
"""

from jnn.quantization._quantize import dequantize, quantize, quantize_spec

__all__ = ["dequantize", "quantize", "quantize_spec"]
