"""PyTorch: a state dict as the parameters of a spec, by a table of names.

    load_state_dict(spec, state_dict, names, ignore) -> params
    load_with_stats(spec, stats, state_dict, names, ignore) -> (params, stats)
    lora_names(lora, names) -> names                of PEFT's files

Laws: nothing is guessed from sizes: the declaration says which axes a weight sums over and makes, so that a square
matrix is transposed like any other; every array of the spec comes from one of the state dict, and what is left over is
named.
"""

from jnn.interop.torch._load import load_state_dict
from jnn.interop.torch._lora_names import lora_names
from jnn.interop.torch._names import Names
from jnn.interop.torch._state_dict import state_dict
from jnn.interop.torch._stats import load_with_stats

__all__ = [
    "Names",
    "load_state_dict",
    "load_with_stats",
    "lora_names",
    "state_dict",
]
