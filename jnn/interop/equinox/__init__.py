"""Equinox: modules as `(spec, function)` of a batch, and functions of jnn as their modules.

    from_equinox(module, state) -> Imported         spec, function, the params that it holds, stats, memory
    to_equinox(spec, f, key=key) -> module          f(params, *inputs) inside of Equinox

Law: outputs and gradients are those of the module itself under `jax.vmap`, and the parameters its own, by path.
"""

from jnn.interop.equinox._from_equinox import from_equinox
from jnn.interop.equinox._to_equinox import to_equinox

__all__ = ["from_equinox", "to_equinox"]
