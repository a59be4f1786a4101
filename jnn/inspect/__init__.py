"""What a compiled program really is: what it computes, by which kernels, what it holds, and what it moves.

    flops(f, *args)                  FLOPs of the model and of the hardware, by source line, from the jaxpr
    kernels(program, *args)          the ledger of products: kernel, dtypes, precision; strict=True refuses fallbacks
    memory(compiled), largest(...)   bytes per device, and the largest values by source line
    not_aliased(compiled)            donations in vain
    collectives(compiled, mesh)      what moves between devices, along which axis, how often

Nothing here runs a program, and nothing needs the machine that a program is for: a program that was compiled ahead
of time, for a TPU or a GPU, is read like any other. The room knows JAX alone, and no layer.
"""

from jnn.inspect.collectives import Collective, axes_of, collectives, report
from jnn.inspect.executions import Execution, executions
from jnn.inspect.expect import Expect, SilentFallback, fallbacks
from jnn.inspect.flops import Flops, Operation, flops, flops_of
from jnn.inspect.hlo import Instruction, Module, parse
from jnn.inspect.kernel import Kernel
from jnn.inspect.kernels import Kernels, kernels, platform_of, read
from jnn.inspect.memory import Buffer, Memory, largest, memory, not_aliased
from jnn.inspect.place import Place

__all__ = [
    "Buffer",
    "Collective",
    "Execution",
    "Expect",
    "Flops",
    "Instruction",
    "Kernel",
    "Kernels",
    "Memory",
    "Module",
    "Operation",
    "Place",
    "SilentFallback",
    "axes_of",
    "collectives",
    "executions",
    "fallbacks",
    "flops",
    "flops_of",
    "kernels",
    "largest",
    "memory",
    "not_aliased",
    "parse",
    "platform_of",
    "read",
    "report",
]
