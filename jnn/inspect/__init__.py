"""What a compiled program really is: what it computes, by which kernels, what it holds, and what it moves.

    flops(f, *args)                  FLOPs of the model and of the hardware, by source line, from the jaxpr
    kernels(program, *args)          the ledger of products: kernel, dtypes, precision; strict=True refuses fallbacks
    memory(compiled), largest(...)   bytes per device, and the largest values by source line
    not_aliased(compiled)            donations in vain
    collectives(compiled, mesh)      what moves between devices, along which axis, how often

Nothing here runs a program, and nothing needs the machine that a program is for: a program that was compiled ahead
of time, for a TPU or a GPU, is read like any other. Where JAX's persistent cache of compiled programs is on, compile
what is to be read within `own_source_lines()`. The room knows JAX alone, and no layer.
"""

from jnn.inspect._bodies import loop_parts, scan_sizes
from jnn.inspect._collectives import Collective, axes_of, by_line, collectives, report
from jnn.inspect._executions import Execution, executions
from jnn.inspect._expect import Expect, SilentFallback, fallbacks
from jnn.inspect._flops import Flops, Operation, flops, flops_of
from jnn.inspect._hlo import Instruction, Module, array_types, held_bytes, parse, type_bytes
from jnn.inspect._kernel import Kernel
from jnn.inspect._kernels import Kernels, kernels, platform_of, read
from jnn.inspect._memory import Buffer, Memory, largest, memory, not_aliased
from jnn.inspect._slices import collectives_of_slices
from jnn.inspect._source import Place, own_source_lines, place_of
from jnn.inspect._table import format_bytes, format_table

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
    "array_types",
    "axes_of",
    "by_line",
    "collectives",
    "collectives_of_slices",
    "executions",
    "fallbacks",
    "flops",
    "flops_of",
    "format_bytes",
    "format_table",
    "held_bytes",
    "kernels",
    "largest",
    "loop_parts",
    "memory",
    "not_aliased",
    "own_source_lines",
    "parse",
    "place_of",
    "platform_of",
    "read",
    "report",
    "scan_sizes",
    "type_bytes",
]
