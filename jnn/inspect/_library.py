"""Which kernel runs a product: a library's, one that the compiler wrote with care, or a plain loop.

    library(module, execution, platform) -> name     or None, where the instruction is no product

One table of what libraries are called in optimized HLO, and the rules by which XLA:CPU, which has no such names for
Eigen and its own loops, decides between them (its `dot_op_emitter.cc` and `ir_emission_utils.cc`).
"""

from __future__ import annotations

import re

from jnn.inspect._executions import Execution
from jnn.inspect._hlo import Instruction, Module, array_types

LOOP = "loop"  # one element at a time, without a library
PRODUCTS = ("dot", "convolution", "ragged-dot")

# By the start of a fusion's kind, and of a custom call's target.
FUSIONS = {
    "__ynn": "YNNPACK",
    "__xnn": "XNNPACK",
    "__onednn": "oneDNN",
    "__triton": "Triton",
    "__cudnn": "cuDNN",
    "__cublas": "cuBLAS",
    "__cutlass": "CUTLASS",
}
CALLS = {
    "__onednn$": "oneDNN",
    "__cublas$lt": "cuBLASLt",
    "__cublas$": "cuBLAS",
    "__cudnn$fmha": "cuDNN attention",
    "__cudnn$conv": "cuDNN",
    "__gpu$xla.gpu.triton": "Pallas Triton",
    "mosaic_gpu": "Pallas Mosaic",
    "tpu_custom_call": "Pallas Mosaic",
}
# What Eigen has kernels for on XLA:CPU; products of any other dtype are loops.
_EIGEN = {"dot": {"f16", "f32", "f64", "c64", "c128", "s32"}, "convolution": {"f16", "f32"}}


def library(module: Module, execution: Execution, platform: str) -> str | None:
    """What runs an instruction on "cpu", "gpu" (or "cuda") or "tpu".

    A library's name; "XLA:TPU" for the compiler's own use of the matrix unit; "matrix-vector" for XLA:CPU's own tiled
    code; "loop"; None for what is no product.
    """
    instruction = execution.instruction
    if instruction.opcode == "custom-call":
        target = (instruction.attribute("custom_call_target") or "").strip('"')
        return next((name for start, name in CALLS.items() if target.startswith(start)), None)
    if instruction.opcode not in PRODUCTS:
        return None
    for caller in reversed(execution.callers):
        kind = re.search(r'"kind":\s*"(__\w+)"', caller.config)
        if kind and (name := next((name for start, name in FUSIONS.items() if kind[1].startswith(start)), None)):
            return name
    if platform == "tpu":
        return "XLA:TPU"
    return _cpu(module, execution) if platform == "cpu" else LOOP


def _cpu(module: Module, execution: Execution) -> str:
    """Eigen takes what stands alone, of a dtype that it knows; a matrix times a vector has code of its own."""
    instruction = execution.instruction
    (dtype, shape), *_ = array_types(instruction.type)
    if instruction.opcode == "dot" and dtype[0] in "fbsu" and (len(shape) <= 1 or (len(shape) == 2 and 1 in shape)):
        return "matrix-vector"
    if any(caller.opcode == "fusion" for caller in execution.callers):
        return LOOP
    dtypes = {dtype, *operand_dtypes(module, execution)}
    return "Eigen" if len(dtypes) == 1 and dtypes <= _EIGEN.get(instruction.opcode, set()) else LOOP


def operand_dtypes(module: Module, execution: Execution) -> tuple[str, ...]:
    """The dtypes of an instruction's factors: its first two operands, of a custom call its first two of floats."""
    made: dict[str, Instruction] = module.computations[execution.computation]
    dtypes = [array_types(made[name].type)[0][0] for name in execution.instruction.operands if name in made]
    floats = [dtype for dtype in dtypes if dtype[0] in "fb"]
    return tuple((floats if execution.instruction.opcode == "custom-call" and floats else dtypes)[:2])
