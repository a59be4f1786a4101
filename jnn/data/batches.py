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
from collections.abc import Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]


class Batches:
    """An endless source of shuffled batches, indexed by the step.

    Args:
      arrays: name -> (n, ...). A `weight` (n,) is kept; without one every row weighs 1.
      batch_size: rows of a batch.
      seed: of all shuffles; epoch e is shuffled by (seed, e).
      drop_last: leave out what does not fill a batch (other rows every epoch), instead of filling up.
      classes: if given, `y` must hold integers in 0..classes-1.

    Raises:
      ValueError: arrays that are empty, of unequal lengths, not numeric or not finite; labels out
        of range; a batch size below 1, or with nothing left after `drop_last`.

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
        if batch_size < 1 or (drop_last and batch_size > self.rows):
            raise ValueError(
                f"Batches: batch_size must be at least 1 and leave a batch; found {batch_size} for {self.rows} rows."
            )
        self.arrays, self.batch_size, self.seed = _weighted(arrays), batch_size, seed
        self.steps_per_epoch = self.rows // batch_size if drop_last else -(-self.rows // batch_size)
        # a cache of a pure function: two epochs, since a stack of steps may straddle them
        self._order = functools.lru_cache(2)(self._shuffle)

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        """The batch of a step, counted from 0 over all epochs."""
        return {name: array[0] for name, array in self.stack(step, 1).items()}

    def stack(self, step: int, k: int) -> dict[str, np.ndarray]:
        """The batches of steps `step` to `step + k - 1` along a new leading axis."""
        if step < 0 or k < 1:
            raise ValueError(f"Batches: a step counts from 0 and a stack from 1; found step {step}, k {k}.")
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
    """Every row once and in order, for evaluation; arguments and errors as `Batches`.

    Whole batches are views of the arrays: the list costs no memory.

    >>> [batch["x"].tolist() for batch in in_order({"x": np.arange(3)}, 2)]
    [[0, 1], [2, 2]]
    """
    n = check_arrays("in_order", arrays, classes)
    if batch_size < 1:
        raise ValueError(f"in_order: batch_size must be at least 1, found {batch_size}.")
    arrays, whole = _weighted(arrays), n // batch_size
    pieces = [slice(i * batch_size, (i + 1) * batch_size) for i in range(whole)]
    batches = [{name: array[piece] for name, array in arrays.items()} for piece in pieces]
    if n % batch_size:
        rows, real = _cut(np.arange(n), whole, batch_size)
        last = {name: array[rows] for name, array in arrays.items()}
        batches.append(last | {"weight": last["weight"] * real})
    return batches


def check_arrays(where: str, arrays: Arrays, classes: int | None = None) -> int:
    """The common length of arrays that can be batched.

    Raises:
      ValueError: see `Batches`; it names the array and the first bad row.
    """
    lengths = {name: len(array) if array.ndim else None for name, array in arrays.items()}
    if len(set(lengths.values())) != 1 or not all(lengths.values()):
        raise ValueError(f"{where}: expected arrays with one common length of at least 1, found {lengths}.")
    for name, array in arrays.items():
        if array.dtype.kind in "OSUMm":
            raise ValueError(f"{where}: {name!r} must be numeric, found {array.dtype}. Encode it first.")
        if array.dtype.kind in "biu":
            continue
        finite = np.isfinite(array).reshape(len(array), -1).all(1)
        if not finite.all():
            raise ValueError(f"{where}: {name!r} holds NaN or infinity, first in row {int(np.argmin(finite))}.")
    if classes is not None:
        _check_labels(where, arrays, classes)
    return next(len(array) for array in arrays.values())


def _check_labels(where: str, arrays: Arrays, classes: int) -> None:
    if "y" not in arrays or arrays["y"].dtype.kind not in "iu":
        found = arrays["y"].dtype if "y" in arrays else f"only {sorted(arrays)}"
        raise ValueError(f"{where}: classes={classes} expects integer labels in 'y', found {found}.")
    labels = arrays["y"].reshape(len(arrays["y"]), -1)
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        row = int(np.argmax(outside.any(1)))
        label = int(labels[row][outside[row]][0])
        raise ValueError(
            f"{where}: 'y' must lie in 0..{classes - 1} ({classes} classes), found {label}, first in row {row}."
        )


def _weighted(arrays: Arrays) -> Arrays:
    n = next(len(array) for array in arrays.values())
    weight = np.asarray(arrays.get("weight", np.ones(n)), np.float32)
    if weight.shape != (n,) or (weight < 0).any():
        raise ValueError(f"batches: 'weight' must be one number >= 0 per row, ({n},); found shape {weight.shape}.")
    return {**arrays, "weight": weight}


def _cut(order: np.ndarray, index: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Piece `index` of an order, filled up by its own last row to `size`; 1 for real rows, 0 for filled-up."""
    rows = order[index * size : (index + 1) * size]
    missing = size - len(rows)
    real = np.concatenate([np.ones(len(rows), np.float32), np.zeros(missing, np.float32)])
    return np.concatenate([rows, np.repeat(rows[-1:], missing)]), real
