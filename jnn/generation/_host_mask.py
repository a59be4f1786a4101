"""Constraints that are no JAX functions: a grammar's automaton, a trie, whatever says which token may come next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jnn.generation._decode import Allow


def host_mask(f: Callable[[list[int]], np.ndarray], vocab: int) -> Allow:
    """Constrained decoding by a function of Python: the device asks the host at every step.

    Args:
      f: (the tokens of one text, its prompt among them) -> bool (vocab,), which tokens may come next. In NumPy: JAX may
        be at work meanwhile.
      vocab: how many tokens there are.

    Returns:
      What `generate` takes as `allow`. Make it once: another one is another program. What f raises, or a mask of
      another shape, ends it with an error of JAX's that says so.

    >>> import jax.numpy as jnp
    >>> upward = host_mask(lambda tokens: np.arange(5) > tokens[-1], 5)
    >>> jax.jit(upward)(jnp.array([[1, 2, 0]]), jnp.array([2])).astype(int).tolist()
    [[0, 0, 0, 1, 1]]
    """

    def ask(tokens: jax.Array, lengths: jax.Array) -> np.ndarray:
        texts, counts = np.asarray(tokens), np.asarray(lengths)
        found = np.zeros((*counts.shape, vocab), bool)
        for row in np.ndindex(counts.shape):
            found[row] = _mask(f(texts[row][: counts[row]].tolist()), vocab)
        return found

    def allow(tokens: jax.Array, lengths: jax.Array) -> jax.Array:
        shape = jax.ShapeDtypeStruct((*lengths.shape, vocab), np.bool_)
        return jax.pure_callback(ask, shape, tokens, lengths, vmap_method="broadcast_all")

    return allow


def _mask(found: Any, vocab: int) -> np.ndarray:
    """What the function of Python gave, if it is a mask."""
    mask = np.asarray(found)
    if mask.shape != (vocab,) or mask.dtype != np.bool_:
        raise ValueError(
            f"host_mask: expected a boolean for each of {vocab} tokens, found {mask.dtype}{list(mask.shape)}. Of a "
            f"list of tokens make one: np.isin(np.arange({vocab}), tokens)."
        )
    return mask
