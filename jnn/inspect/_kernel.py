"""One product of a compiled program: what runs it, in which dtype and precision, and what the program asked for.

row_of(module, execution, platform, operations, choices) -> Kernel, or None where it is no product
"""

from __future__ import annotations

import dataclasses
import re

from jnn import backend
from jnn.inspect._executions import Execution
from jnn.inspect._flops import Operation
from jnn.inspect._hlo import Module, array_types, hlo_dtype
from jnn.inspect._library import library, operand_dtypes
from jnn.inspect._source import Place, between

_ATTENTION = re.compile(r"splash|flash|fmha|attention", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Kernel:
    """Kernel of one product of a compiled program."""

    op: str  # "matmul", "convolution", "attention" (fused), or "kernel" (a custom call that could be anything)
    runs: str  # the library: see `jnn.inspect._library`
    operands: tuple[str, ...]  # dtypes as HLO writes them
    result: str
    accumulates: str  # the dtype of the sum
    precision: str  # "default", "high", "highest", or an algorithm's name
    times: int | None  # how often it runs; None: within a loop of unknown length
    place: Place
    scope: str
    name: str  # of the instruction
    asked: tuple[tuple[tuple[str, ...], str], ...]  # (dtypes, precision) of what the program has on this line
    chosen: tuple[backend.Choice, ...]

    @property
    def in_attention(self) -> bool:
        """Whether it is part of `jnn.layers.dot_product_attention`, or is a fused attention."""
        return self.op == "attention" or "dot_product_attention" in self.scope.split("/")


def row_of(
    module: Module,
    execution: Execution,
    platform: str,
    operations: tuple[Operation, ...],
    choices: tuple[backend.Choice, ...],
) -> Kernel | None:
    """The row of an instruction, with the operations of the jaxpr and the choices of formulations on its line."""
    runs = library(module, execution, platform)
    if runs is None:
        return None
    instruction = execution.instruction
    here = [o for o in operations if o.place.line == instruction.place.line] if instruction.place.line else []
    result = array_types(instruction.type)[0][0]
    return Kernel(
        op=_op(execution, runs, here),
        runs=runs,
        operands=operand_dtypes(module, execution),
        result=result,
        accumulates=_accumulates(precision := _precision(execution), result),
        precision=precision,
        times=execution.times,
        place=instruction.place,
        scope=instruction.scope,
        name=instruction.name,
        asked=tuple(dict.fromkeys((_dtypes(o), o.precision) for o in here)),
        chosen=tuple(choice for choice in choices if _made_there(choice, instruction.place)),
    )


def _made_there(choice: backend.Choice, place: Place) -> bool:
    """Whether the function that chose is on an instruction's stack, called by the same lines."""
    callers = [caller for caller in choice.callers if not between(caller[0])]
    for i, (file, _, function) in enumerate(place.frames):
        if (file, function) == (choice.file, choice.function):
            lines = [frame[:2] for frame in place.frames[i + 1 :]]
            # where a line comes again, the stack of an enclosing loop has begun: JAX puts it behind
            end = next((n for n, line in enumerate(lines) if line in lines[:n]), len(lines))
            return all(a == b for a, b in zip(lines[:end], callers, strict=False))
    return False


def _op(execution: Execution, runs: str, here: list[Operation]) -> str:
    """What a row computes; on a TPU a matrix product is a convolution too, so the jaxpr and the scope are asked."""
    instruction = execution.instruction
    if instruction.opcode == "custom-call":
        if runs.startswith("Pallas"):
            return "attention" if _ATTENTION.search(instruction.scope + instruction.name) else "kernel"
        return {"cuDNN attention": "attention", "cuDNN": "convolution"}.get(runs, "matmul")
    if instruction.opcode != "convolution":
        return "matmul"
    primitives = {o.primitive for o in here}
    return "matmul" if primitives == {"dot_general"} or "dot_general" in instruction.scope else "convolution"


def _accumulates(precision: str, result: str) -> str:
    """The dtype of the sum: a named algorithm says it, and libraries sum narrow floats in float32.

    >>> _accumulates("dot_f16_f16_f16", "f16"), _accumulates("dot_bf16_bf16_f32_x3", "f32")
    ('f16', 'f32')
    """
    if named := re.search(r"^dot_.*_(b?f\d+)(_x\d+|_fast_accum)?$", precision):
        return named[1]
    return "f32" if result in ("bf16", "f16") or result.startswith("f8") else result


def _precision(execution: Execution) -> str:
    instruction = execution.instruction
    if algorithm := instruction.attribute("algorithm"):
        return algorithm
    if noted := re.search(r'"algorithm":"ALG_(?!UNSET)(\w+)"', instruction.config):
        return noted[1].lower()
    found = re.search(r'"operand_precision":\["(\w+)"', instruction.config)
    asked = found[1] if found else (instruction.attribute("operand_precision") or "{default").strip("{}").split(",")[0]
    return asked.lower().strip("{}")


def _dtypes(operation: Operation) -> tuple[str, ...]:
    return tuple(hlo_dtype(shape.partition("[")[0]) for shape in operation.shapes[:2])
