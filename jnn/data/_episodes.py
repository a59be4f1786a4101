"""Episodes of few-shot learning: of some classes drawn at random, a few examples of each, and others to be told apart.

    Episodes(arrays, batch_size, ways=5, shots=1, queries=5, seed=0)[step]
      -> {"support": (b, ways, shots, ...), "query": (b, ways, queries, ...), "y": (b, ways), "weight": (b,)}

A row of the batch is a whole episode: micro-batches, lanes and devices, which share out rows, leave each as it is.

Laws: a batch depends on (arrays, sizes, seed, step) and nothing else; the classes of an episode differ, and so do its
examples: none is both in the support and a query.
"""

from __future__ import annotations

import numpy as np

from jnn import checks
from jnn.data._checked import Arrays, check_arrays, check_batch_size, check_count, check_seed, check_step
from jnn.data._endless import Endless


class Episodes(Endless):
    """Episodes: N-way, K-shot tasks without an end, indexed by the step.

    See "Matching Networks for One Shot Learning", Vinyals et al., 2016. Without queries an episode is P classes of K
    examples, as losses want them that mine pairs or triplets: "In Defense of the Triplet Loss for Person
    Re-Identification", Hermans, Beyer and Leibe, 2017.

    Args:
      arrays: {"x": (n, ...), "y": (n,)}, examples and the integer of each one's class.
      batch_size: episodes of a batch.
      ways: classes of an episode.
      shots: examples of each class in the support.
      queries: other examples of each class; 0 for none, and no "query" in the batch.
      seed: step s draws by (seed, s); 0 or more.

    Raises:
      TypeError: what is not a dict of arrays.
      ValueError: arrays as of `Batches`, other names than x and y, labels that are not (n,) integers, sizes out of
        range, fewer than `ways` classes, or a class without `shots + queries` examples.

    >>> arrays = {"x": np.arange(12.0), "y": np.arange(12) // 4}
    >>> batch = Episodes(arrays, 2, ways=3, shots=1, queries=2, seed=0)[0]
    >>> batch["support"].shape, batch["query"].shape, bool((batch["query"] // 4 == batch["y"][..., None]).all())
    ((2, 3, 1), (2, 3, 2), True)
    """

    def __init__(self, arrays: Arrays, batch_size: int, *, ways: int, shots: int, queries: int, seed: int) -> None:
        check_arrays("Episodes", arrays)
        for name, array in arrays.items():
            checks.held("Episodes", name, array)
        check_batch_size("Episodes", batch_size, None)
        for name, count in {"ways": ways, "shots": shots, **({"queries": queries} if queries else {})}.items():
            check_count("Episodes", name, count)
        check_seed("Episodes", seed)
        self.x, self.batch_size, self.seed = arrays["x"], batch_size, seed
        self.ways, self.shots, self.queries = ways, shots, queries
        self.classes, self.rows = _by_class(arrays, ways, shots + queries)

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        """The batch of a step, counted from 0."""
        check_step("Episodes", step)
        rng = np.random.default_rng((self.seed, step))
        drawn = [self._draw(rng) for _ in range(self.batch_size)]
        y, rows = (np.stack(parts) for parts in zip(*drawn, strict=True))
        batch = {"support": self.x[rows[..., : self.shots]], "y": y}
        if self.queries:
            batch["query"] = self.x[rows[..., self.shots :]]
        return batch | {"weight": np.ones(self.batch_size, np.float32)}

    def stack(self, step: int, k: int) -> dict[str, np.ndarray]:
        """The batches of steps `step` to `step + k - 1` along a new leading axis."""
        check_step("Episodes", step, k)
        batches = [self[s] for s in range(step, step + k)]
        return {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The classes of one episode (ways,), and the rows of their examples (ways, shots + queries)."""
        chosen = rng.choice(len(self.classes), self.ways, replace=False)
        rows = [rng.choice(self.rows[i], self.shots + self.queries, replace=False) for i in chosen]
        return self.classes[chosen], np.stack(rows)


def _by_class(arrays: Arrays, ways: int, examples: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """The classes, int32, and the rows of each."""
    y = arrays.get("y")
    if set(arrays) != {"x", "y"} or y is None or y.ndim != 1 or y.dtype.kind not in "iu":
        found = {name: f"{array.dtype}{list(array.shape)}" for name, array in arrays.items()}
        raise ValueError(
            f"Episodes: expected x (n, ...) and y (n,), integers, alone; found {found}. "
            "Give {'x': examples, 'y': the integer of each one's class}."
        )
    classes, place, counts = np.unique(y, return_inverse=True, return_counts=True)
    if len(classes) < ways or counts.min() < examples:
        few = f"Give ways={len(classes)} or less"
        small = f"Give shots and queries that are {counts.min()} together or less, or leave smaller classes out"
        raise ValueError(
            f"Episodes: expected {ways} classes or more and {examples} examples of each (shots + queries), found "
            f"{len(classes)} classes and {counts.min()} examples of class {classes[counts.argmin()]}. "
            f"{few if len(classes) < ways else small}."
        )
    return classes.astype(np.int32), np.split(np.argsort(place, kind="stable"), np.cumsum(counts)[:-1])
