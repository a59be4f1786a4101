"""Layers: one concept a file, each a `*_spec` that declares parameters beside a pure function.

What lives here acts on arrays and takes its parameters, noise (`key`), statistics (`stats`) and
memory (`cache`, `carry`) as arguments. What does not: losses, whole architectures, anything that
knows about training.

Axis letters, in einsum strings, comments and docstrings: `b` batch, `t` query time, `s` key time,
`d` embed, `h` heads, `k` head size, `f` hidden, `v` vocabulary; images are `b y x c`.
"""

from jnn.layers.dropout import dropout
from jnn.layers.linear import linear, linear_spec

__all__ = ["dropout", "linear", "linear_spec"]
