"""Batches as a pure function of the step.

    Batches(arrays, batch_size, seed=0)[step] -> {"x": ..., "y": ..., "weight": ...}
    Batches(...).stack(step, k)                  k steps at once, for `steps_per_call`
    in_order(arrays, batch_size)                 a list of batches, for evaluation

Laws: a batch depends on (arrays, batch size, seed, step) and nothing else, so that resuming at
step n is `batches[n]`; every epoch holds every row once, in its own order; all batches have one
shape, and what fills up the last one of an epoch has weight 0.
"""

from __future__ import annotations

import functools

import numpy as np

from jnn import checks
from jnn.data._checked import Arrays, check_arrays, check_batch_size, check_seed, check_step
from jnn.data._endless import Endless


class Batches(Endless):
    """Shuffled batches without an end, indexed by the step.

    Args:
      arrays: name -> (n, ...), of NumPy or JAX. A `weight` (n,) is kept; without one every row weighs 1.
      batch_size: rows of a batch. More than n is said, since what is missing is filled up in every batch.
      seed: of all shuffles, 0 or more; epoch e is shuffled by (seed, e).
      drop_last: leave out what does not fill a batch (other rows every epoch), instead of filling up.
      classes: if given, `y` must hold integers in 0..classes-1.

    Raises:
      TypeError: what is not a dict of arrays, such as lists or tensors of torch.
      ValueError: arrays that are empty, of unequal lengths, not numeric or not finite, or whose 64-bit values JAX
        cannot hold; labels out of range; a negative seed; a batch size below 1, or with nothing left after `drop_last`.

    Warns:
      UserWarning: a batch size above n.

    >>> batches = Batches({"x": np.arange(5)}, 2, seed=0)
    >>> batches.steps_per_epoch, batches[2]["weight"]
    (3, array([1., 0.], dtype=float32))
    >>> batches.stack(0, 3)["x"].shape
    (3, 2)
    """

    def __init__(
        self, arrays: Arrays, batch_size: int, *, seed: int, drop_last: bool = False, classes: int | None = None
    ) -> None:
        self.rows = check_arrays("Batches", arrays, classes)
        check_batch_size("Batches", batch_size, self.rows, drop_last=drop_last)
        check_seed("Batches", seed)
        self.arrays, self.batch_size, self.seed = _weighted("Batches", arrays), batch_size, seed
        self.steps_per_epoch = self.rows // batch_size if drop_last else -(-self.rows // batch_size)
        # a cache of a pure function: two epochs, since a stack of steps may straddle them
        self._order = functools.lru_cache(2)(self._shuffle)

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        """The batch of a step, counted from 0 over all epochs."""
        check_step("Batches", step)
        return {name: array[0] for name, array in self.stack(step, 1).items()}

    def stack(self, step: int, k: int) -> dict[str, np.ndarray]:
        """The batches of steps `step` to `step + k - 1` along a new leading axis."""
        check_step("Batches", step, k)
        parts = [self._rows_of(s) for s in range(step, step + k)]
        rows = np.stack([rows for rows, _ in parts])
        batch = {name: array[rows] for name, array in self.arrays.items()}
        return batch | {"weight": batch["weight"] * np.stack([real for _, real in parts])}

    def _rows_of(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """The row numbers of a step, and 1 where they are real, 0 where they fill up."""
        epoch, index = divmod(step, self.steps_per_epoch)
        return _cut(self._order(epoch), index, self.batch_size)

    def _shuffle(self, epoch: int) -> np.ndarray:
        return np.random.default_rng((self.seed, epoch)).permutation(self.rows)


def in_order(arrays: Arrays, batch_size: int, *, classes: int | None = None) -> list[dict[str, np.ndarray]]:
    """Batches in order, for evaluation: every row once.

    Whole batches are views of the arrays: the list costs no memory.

    Args:
      arrays: name -> (n, ...), of NumPy or JAX. A `weight` (n,) is kept; without one every row weighs 1.
      batch_size: rows of a batch; what fills up the last one has weight 0.
      classes: if given, `y` must hold integers in 0..classes-1.

    Raises:
      TypeError: what is not a dict of arrays, such as lists or tensors of torch.
      ValueError: arrays that are empty, of unequal lengths, not numeric or not finite, or whose 64-bit values JAX
        cannot hold; labels out of range; a batch size below 1.

    >>> [batch["x"].tolist() for batch in in_order({"x": np.arange(3)}, 2)]
    [[0, 1], [2, 2]]
    """
    n = check_arrays("in_order", arrays, classes)
    check_batch_size("in_order", batch_size, None)  # one batch may hold all, and more
    arrays, whole = _weighted("in_order", arrays), n // batch_size
    pieces = [slice(i * batch_size, (i + 1) * batch_size) for i in range(whole)]
    batches = [{name: array[piece] for name, array in arrays.items()} for piece in pieces]
    if n % batch_size:
        rows, real = _cut(np.arange(n), whole, batch_size)
        last = {name: array[rows] for name, array in arrays.items()}
        batches.append(last | {"weight": last["weight"] * real})
    return batches


def _weighted(where: str, arrays: Arrays) -> Arrays:
    """The arrays with a weight for each row, once none of them would change on its way to the device."""
    for name, array in arrays.items():
        checks.held(where, name, array)
    n = next(len(array) for array in arrays.values())
    given = np.asarray(arrays.get("weight", np.ones(n)))
    if given.shape != (n,) or given.dtype.kind not in "biuf" or (given < 0).any():
        raise ValueError(
            f"{where}: 'weight' must be one number >= 0 per row, ({n},); found {given.dtype}{list(given.shape)}."
        )
    weight = given.astype(np.float32)
    if ((weight == 0) != (given == 0)).any():
        raise ValueError(f"{where}: 'weight' holds {given[(weight == 0) != (given == 0)][0]}, which is 0 in float32.")
    return {**arrays, "weight": weight}


def _cut(order: np.ndarray, index: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Piece `index` of an order, filled up by its own last row to `size`; 1 for real rows, 0 for filled-up."""
    rows = order[index * size : (index + 1) * size]
    missing = size - len(rows)
    real = np.concatenate([np.ones(len(rows), np.float32), np.zeros(missing, np.float32)])
    return np.concatenate([rows, np.repeat(rows[-1:], missing)]), real
