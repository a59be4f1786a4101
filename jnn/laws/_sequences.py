"""Laws of sequences: the past does not see the future, and parts one after another are the whole."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from jnn.laws._block import Block, direction
from jnn.laws._close import assert_close


def the_past_sees_no_future(block: Block) -> None:
    """Causality: by gradient, an output at time t depends on no input after t."""
    if not block.causal:
        return
    params, inputs = block.params, block.inputs(1)

    def at_time(x: tuple[jax.Array, ...], t: jax.Array) -> jax.Array:
        out = jax.tree.leaves(block.apply(params, *x, key=None))[0]
        at = jnp.arange(out.shape[1]).reshape(1, -1, *[1] * (out.ndim - 2)) == t
        return jnp.sum(jnp.where(at, out * direction(out), 0))

    x, *rest = inputs
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return _past_of_integers(block)
    gradient = jax.jit(jax.grad(lambda x, t: at_time((x, *rest), t)))
    for t in range(x.shape[1] - 1):
        if np.any(late := np.asarray(gradient(x, t))[:, t + 1 :]):
            when = t + 1 + int(np.argmax(np.abs(late).reshape(late.shape[1], -1).sum(-1) > 0))
            raise AssertionError(f"the output at time {t} depends on the input at time {when}")


def _past_of_integers(block: Block) -> None:
    """The same of tokens, which have no gradient: another last token changes the last output alone."""
    x, *rest = block.inputs(1)
    other = x.at[:, -1].set((x[:, -1] + 1) % (int(x.max()) + 1))
    run = lambda x: jax.tree.leaves(block.compiled(block.params, x, *rest, key=None))[0][:, :-1]
    assert_close(run(other), run(x), tolerance=0, what="before and after another last token")


def parts_are_the_whole(block: Block) -> None:
    """Law 9: however a sequence is cut, one part after another gives the whole; one compilation a size of parts."""
    if block.chunk is None:
        return
    params, inputs = block.params, tuple(np.asarray(x) for x in block.inputs(2, 3))
    length, chunk = inputs[0].shape[2], jax.jit(block.chunk)
    whole = jax.tree.leaves(block.compiled(params, *inputs, key=None))[0]
    for cuts in ((), (length // 2,), tuple(range(1, length)), (1, length - 1)):
        memory, found = block.begin(params, length, (2, 3)), []
        for start, end in itertools.pairwise((0, *cuts, length)):
            y, memory = chunk(params, *(x[:, :, start:end] for x in inputs), memory)
            found.append(y)
        assert_close(np.concatenate(found, axis=2), np.asarray(whole), what=f"cut at {list(cuts)}, and whole")
