"""Flax: Linen and NNX modules as `(spec, function)`, and functions of jnn as their modules.

    from_linen(module, *inputs) -> Imported         spec, function, stats, memory
    from_nnx(module) -> Imported                    with the params that it holds
    to_linen(spec, f) -> module                     f(params, *inputs) inside of Linen
    to_nnx(spec, f, rngs=rngs) -> module            and inside of NNX

Law: outputs and gradients are those of the module's own `apply`, and the parameters its own tree.
"""

from jnn.interop.flax._linen import from_linen
from jnn.interop.flax._nnx import from_nnx
from jnn.interop.flax._to_linen import to_linen
from jnn.interop.flax._to_nnx import to_nnx

__all__ = ["from_linen", "from_nnx", "to_linen", "to_nnx"]
