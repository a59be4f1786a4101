"""Windows of a long sequence of tokens, for language models: y is x one token later.

    Windows(tokens, context, batch_size, seed=0)[step] -> {"x": (b, t), "y": (b, t)}    at random
    windows_in_order(tokens, context) -> {"x": (n, t), "y": (n, t)}                     every token once

Law: a batch depends on (tokens, context, batch size, seed, step) and nothing else.
"""

from __future__ import annotations

import numpy as np

from jnn import checks
from jnn.data._checked import check_array, check_batch_size, check_seed, check_step
from jnn.data._endless import Endless


class Windows(Endless):
    """Windows of tokens that start anywhere, without an end, indexed by the step.

    Args:
      tokens: (n,) integers, n > context.
      context: tokens of a window.
      batch_size: windows of a batch.
      seed: step s draws its starts by (seed, s); 0 or more.

    Raises:
      TypeError: tokens that are no NumPy array.
      ValueError: tokens that are not a sequence of integers longer than the context; sizes below 1; a negative seed.
      ValueError, when a batch is read: 64-bit tokens that JAX cannot hold.

    >>> batch = Windows(np.arange(100), 8, 4, seed=0)[0]
    >>> batch["x"].shape, bool((batch["y"] == batch["x"] + 1).all())
    ((4, 8), True)
    """

    def __init__(self, tokens: np.ndarray, context: int, batch_size: int, *, seed: int) -> None:
        _check("Windows", tokens, context)
        check_batch_size("Windows", batch_size, None)
        check_seed("Windows", seed)
        self.tokens, self.context, self.batch_size, self.seed = tokens, context, batch_size, seed

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        """The batch of a step, counted from 0."""
        check_step("Windows", step)
        return {name: array[0] for name, array in self.stack(step, 1).items()}

    def stack(self, step: int, k: int) -> dict[str, np.ndarray]:
        """The batches of steps `step` to `step + k - 1` along a new leading axis."""
        check_step("Windows", step, k)
        last = len(self.tokens) - self.context
        starts = [
            np.random.default_rng((self.seed, s)).integers(0, last, self.batch_size) for s in range(step, step + k)
        ]
        at = np.stack(starts)[..., None] + np.arange(self.context)
        batch = {"x": self.tokens[at], "y": self.tokens[at + 1]}
        for name, tokens in batch.items():
            checks.held("Windows", name, tokens)  # here, since the tokens may be a file of any size
        return batch


def windows_in_order(tokens: np.ndarray, context: int) -> dict[str, np.ndarray]:
    """Adjacent windows from the start, for evaluation; what does not fill a window is left out.

    >>> windows_in_order(np.arange(8), 3)["y"].tolist()
    [[1, 2, 3], [4, 5, 6]]
    """
    _check("windows_in_order", tokens, context)
    n = (len(tokens) - 1) // context * context
    return {"x": tokens[:n].reshape(-1, context), "y": tokens[1 : n + 1].reshape(-1, context)}


def _check(where: str, tokens: np.ndarray, context: int) -> None:
    check_array(where, "tokens", tokens)
    if not isinstance(context, int | np.integer):
        raise ValueError(f"{where}: expected a context that is an integer, 1 or more, found {context!r}.")
    if tokens.ndim != 1 or tokens.dtype.kind not in "iu" or not 0 < context < len(tokens):
        raise ValueError(
            f"{where}: expected a sequence of integers longer than the context of {context} (at least 1), "
            f"found {tokens.dtype}{list(tokens.shape)}. Give a shorter context, or one long text."
        )
