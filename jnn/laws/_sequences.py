"""Laws of sequences: the past does not see the future, and parts one after another are the whole."""

from __future__ import annotations

import itertools

import jax
import numpy as np

from jnn.laws._block import Block
from jnn.laws._close import assert_close


def the_past_sees_no_future(block: Block) -> None:
    """Causality: other inputs from time t on leave every output before t as it is."""
    params, inputs, others = block.params, block.inputs(2, 3), block.inputs(2, 3, seed=1)
    length = inputs[0].shape[2]
    if all(np.array_equal(x, y) for x, y in zip(inputs, others, strict=True)):
        raise AssertionError("the inputs are always the same; give an example that holds the greatest integer")
    run = lambda *x: [y for y in jax.tree.leaves(block.compiled(params, *x, key=None)) if y.shape[2:3] == (length,)]
    expected = run(*inputs)
    for t in range(1, length):
        changed = run(*(_from(t, length, x, y) for x, y in zip(inputs, others, strict=True)))
        for found, before in zip(changed, expected, strict=True):
            assert_close(
                found[:, :, :t], before[:, :, :t], what=f"an output before time {t}, with other inputs from then on"
            )


def _from(t: int, length: int, x: jax.Array, y: jax.Array) -> np.ndarray:
    """x before time t, and y from then on; what has no time stays."""
    if x.shape[2:3] != (length,):
        return np.asarray(x)
    return np.concatenate([np.asarray(x)[:, :, :t], np.asarray(y)[:, :, t:]], 2)


def parts_are_the_whole(block: Block) -> None:
    """Law 9: however a sequence is cut, one part after another gives the whole; one compilation a size of parts."""
    assert block.chunk is not None
    params, inputs = block.params, tuple(np.asarray(x) for x in block.inputs(2, 3))
    length, chunk = inputs[0].shape[2], jax.jit(block.chunk)
    whole = block.compiled(params, *inputs, key=None)  # a function may give its last memory besides
    for cuts in ((), range(1, length), range(2, length, 2), range(1, length, 2)):  # parts of one size: one program
        memory, found = block.begin(params, length, (2, 3)), []
        for start, end in itertools.pairwise((0, *cuts, length)):
            y, memory = chunk(params, *(x[:, :, start:end] for x in inputs), memory)
            found.append(y)
        together = jax.tree.map(lambda *parts: np.concatenate(parts, axis=2), *found)
        besides = isinstance(whole, tuple) and not isinstance(together, tuple)
        assert_close(together, whole[0] if besides else whole, what=f"cut at {list(cuts)}, and whole")
