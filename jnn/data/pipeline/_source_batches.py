"""Batches of examples that are read one by one, as a pure function of the step.

    SourceBatches(examples, batch_size, seed=0)[step] -> {"x": ..., "y": ..., "weight": ...}

Laws, as of `Batches`: a batch depends on (examples, batch size, seed, step) and nothing else; every epoch holds
every example once, in its own order; all batches have one shape, and a row without an example (of an epoch's last
batch, or one that is missing) has weight 0. The parts of several processes, one after another, are the batch of one.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Protocol

import jax
import numpy as np

from jnn import checks
from jnn.data._checked import check_batch_size, check_numeric, check_seed, check_step
from jnn.data._endless import Endless
from jnn.optional import optional

Example = Mapping[str, Any]  # name -> number or array


class Examples(Protocol):
    """A list, an `ImageFolder`, a `Packed`, a `grain.MapDataset`: None stands for an example that is missing."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> Any: ...


class SourceBatches(Endless):
    """Batches of examples that are read one by one, without an end, indexed by the step.

    The order is Grain's global shuffle: a permutation that is computed index by index, so that it takes no memory
    however many examples there are. A `grain.MapDataset` brings its own transformations; those of its `random_map`
    are drawn anew in every epoch.

    Args:
      examples: what is indexed by 0..n-1 and gives {name: number or array}, of the same shapes for every example; a
        `weight` is kept, without one an example weighs 1. Where it gives None, the row has weight 0.
      batch_size: rows of a batch, over all processes together.
      seed: of all shuffles, 0 to 2**32 - 1; every epoch has its own. None for the order of the examples.
      drop_last: leave out what does not fill a batch (other examples every epoch), instead of filling up.
      part: (i, n) gives rows i * batch_size / n and following, batch_size / n of them; by default those of this
        process among all of them.

    Raises:
      TypeError: what has no length and no index, or is a dict of arrays.
      ValueError: no examples; a batch size that has nothing left after `drop_last`, or that n does not divide; a seed
        for examples without an end, such as a `mixture`, which have an order of their own.
      ValueError, when a batch is read: examples of unequal names or shapes, or not of numbers, or whose 64-bit values
        JAX cannot hold; none that is not None.

    Warns:
      UserWarning: a batch size above the number of examples.

    >>> batches = SourceBatches([{"x": i} for i in range(5)], 2, seed=0)
    >>> batches.steps_per_epoch, batches[2]["weight"]
    (3, array([1., 0.], dtype=float32))
    >>> sorted(x for step in range(3) for x in batches[step]["x"].tolist())
    [0, 0, 1, 2, 3, 4]
    """

    def __init__(
        self,
        examples: Examples,
        batch_size: int,
        *,
        seed: int | None,
        drop_last: bool = False,
        part: tuple[int, int] | None = None,
    ) -> None:
        grain = optional("grain", "pipelines")
        if not hasattr(examples, "__len__") or not hasattr(examples, "__getitem__") or isinstance(examples, Mapping):
            raise TypeError(
                "SourceBatches: expected examples with len and [i], such as a list of {'x': ..., 'y': ...}, found "
                f"{type(examples).__name__}. Arrays by name are for Batches, an iterator is for IteratorBatches."
            )
        self.examples = len(examples)
        self.batch_size, self.endless = batch_size, self.examples == sys.maxsize
        index, count = (jax.process_index(), jax.process_count()) if part is None else part
        if not self.examples:
            raise ValueError(f"SourceBatches: expected at least one example, found 0 examples in {examples!r:.60}.")
        check_batch_size("SourceBatches", batch_size, self.examples, drop_last=drop_last, what="examples")
        if seed is not None:
            check_seed("SourceBatches", seed, bits=32)
        if not 0 <= index < count:
            raise ValueError(f"SourceBatches: part (i, n) needs 0 <= i < n, found {(index, count)}.")
        checks.divides("SourceBatches", batch_size, parts=count)
        if self.endless and seed is not None:
            raise ValueError(f"SourceBatches: examples without an end have their own order; seed=None, found {seed}.")
        rows = self.examples
        self.steps_per_epoch = None if self.endless else rows // batch_size if drop_last else -(-rows // batch_size)
        share = batch_size // count
        self._rows = range(index * share, (index + 1) * share)
        dataset = examples if isinstance(examples, grain.MapDataset) else grain.MapDataset.source(examples)
        self._dataset = dataset if seed is None else dataset.seed(int(seed)).shuffle()

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        """The batch of a step, counted from 0 over all epochs."""
        check_step("SourceBatches", step)
        examples = [None if i is None else self._dataset[i] for i in self._indices(step)]
        return collate(f"batch {step}", examples, self._any)

    def stack(self, step: int, k: int) -> dict[str, np.ndarray]:
        """The batches of steps `step` to `step + k - 1` along a new leading axis."""
        check_step("SourceBatches", step, k)
        return stacked([self[s] for s in range(step, step + k)])

    def _indices(self, step: int) -> list[int | None]:
        """Where each row lies in the order of all epochs; None for what fills up."""
        if self.steps_per_epoch is None:
            return [step * self.batch_size + row for row in self._rows]
        epoch, index = divmod(step, self.steps_per_epoch)
        within = [index * self.batch_size + row for row in self._rows]
        return [epoch * self.examples + i if i < self.examples else None for i in within]

    def _any(self) -> Example:
        """Some example, for the shapes of a batch that has none."""
        among = min(self.examples, 1000)
        for example in (self._dataset[i] for i in range(among)):
            if example is not None:
                return example
        raise ValueError(f"SourceBatches: none of the first {among} examples is there.")


def collate(where: str, examples: list[Example | None], some: Any) -> dict[str, np.ndarray]:
    """One batch: examples along a new leading axis, zeros of weight 0 for those that are missing.

    Args:
      where: what an error is about.
      examples: of the same names and shapes, or None.
      some: gives an example if all are None.
    """
    whole = [_numbers(where, i, example) for i, example in enumerate(examples) if example is not None]
    blank = jax.tree.map(np.zeros_like, whole[0] if whole else _numbers(where, 0, some()))
    shape = lambda example: {name: (value.shape, str(value.dtype)) for name, value in example.items()}
    for example in whole:
        if shape(example) != shape(blank):
            raise ValueError(
                f"{where}: expected examples of the same names, shapes and dtypes, found {shape(blank)} and "
                f"{shape(example)}. Crop, pad or pack them first."
            )
    real = iter(whole)
    rows = [blank if example is None else next(real) for example in examples]
    return {name: np.stack([row[name] for row in rows]) for name in blank}


def stacked(batches: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Batches along a new leading axis."""
    return {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}


def _numbers(where: str, row: int, example: Example) -> dict[str, np.ndarray]:
    if not isinstance(example, Mapping):
        raise TypeError(
            f"{where}, row {row}: expected an example by name, {{'x': ..., 'y': ...}}, found {type(example).__name__}."
        )
    arrays = {name: _array(where, row, name, value) for name, value in ({"weight": 1.0} | dict(example)).items()}
    if not (arrays["weight"] >= 0).all():
        raise ValueError(f"{where}, row {row}: 'weight' must be 0 or more, found {arrays['weight'].min()}.")
    return arrays | {"weight": arrays["weight"].astype(np.float32)}


def _array(where: str, row: int, name: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (
        ValueError,
        TypeError,
        RuntimeError,
    ) as error:  # ragged lists; tensors with a gradient
        raise ValueError(f"{where}, row {row}: {name!r} is no array ({error}). Pad lists: jnn.data.pad.") from error
    if array.dtype == object:
        raise ValueError(
            f"{where}, row {row}: {name!r} must be numeric, found {type(value).__name__}. Encode it first."
        )
    check_numeric(f"{where}, row {row}", name, array.dtype)
    checks.held(f"{where}, row {row}", name, array)
    return array
