"""Haiku: transformed functions as `(spec, function)`, and functions of jnn inside of them. The extra `haiku`.

    from_haiku(transformed, *inputs) -> Imported    spec, function, stats, memory
    to_haiku(spec, f) -> f(*inputs)                 to be called where a Haiku module is

Law: outputs and gradients are those of the transformed function's own `apply`, and the parameters its own tree.
"""

from jnn.interop.haiku._from_haiku import from_haiku
from jnn.interop.haiku._to_haiku import to_haiku

__all__ = ["from_haiku", "to_haiku"]
