"""Laws: what must hold for every building block, checked for one of your own from a test in one line.

    check(function, spec, example, causal=True, chunk=...)      raises, and names the law and the smallest input
    check_loss(loss, spec, batch)                               the same of a loss, as a train step meets it
    Block, laws_of, broken_by                                   for a table of blocks, as this project's own

The laws of `docs/concepts.md` over random inputs, values and gradients, on all devices that there are. Not here: what
a block should compute (`jnn.parity` compares it with another library's).
"""

from jnn.laws._block import Block, value_and_gradient
from jnn.laws._check import LAWS, broken_by, check, laws_of
from jnn.laws._close import assert_close
from jnn.laws._losses import LOSS_LAWS, check_loss

__all__ = [
    "LAWS",
    "LOSS_LAWS",
    "Block",
    "assert_close",
    "broken_by",
    "check",
    "check_loss",
    "laws_of",
    "value_and_gradient",
]
