"""ONNX: a file as `(spec, function, params)` by a table of operators. The extra `onnx`.

    from_onnx(path) -> Imported         spec, function, params
    OPERATORS                           name -> function of the operator's inputs and, by name, its attributes

Law: outputs are those of ONNX Runtime; what a graph computes of shapes is known when the function is traced.
"""

from jnn.interop.onnx._from_onnx import from_onnx
from jnn.interop.onnx._run import OPERATORS

__all__ = ["OPERATORS", "from_onnx"]
