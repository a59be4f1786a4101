"""Windows of time series, for forecasts: what is known before an origin, and what comes after it.

    SeriesWindows(series, length, batch_size, seed=0)[step] -> {name: (b, length, ...), "weight": (b,)}   at random
    rolling_origins(series, context, horizon, first=..., every=...) -> {name: (n, context + horizon, ...)}

Laws: a batch depends on (series, length, batch size, seed, step) and nothing else; a window is what the series hold,
in order, and nothing from outside it.
"""

from __future__ import annotations

import numpy as np

from jnn.data._checked import Arrays, check_arrays, check_batch_size, check_count, check_seed, check_step
from jnn.data._endless import Endless


class SeriesWindows(Endless):
    """Windows of time series that start anywhere, without an end, indexed by the step.

    Args:
      series: name -> (time, ...), all of the same steps: a target and, say, its calendar. For training, those before
        the first origin that validates.
      length: steps of a window, context and horizon together.
      batch_size: windows of a batch.
      seed: step s draws its starts by (seed, s); 0 or more.

    Raises:
      TypeError: what is not a dict of arrays.
      ValueError: series that are empty, of unequal lengths, not finite or shorter than a window; sizes below 1; a
        negative seed.

    >>> batch = SeriesWindows({"y": np.arange(100.0)}, 8, 4, seed=0)[0]
    >>> batch["y"].shape, bool((np.diff(batch["y"]) == 1).all())
    ((4, 8), True)
    """

    def __init__(self, series: Arrays, length: int, batch_size: int, *, seed: int) -> None:
        self.starts = _starts("SeriesWindows", series, length, "a length")
        check_batch_size("SeriesWindows", batch_size, None)
        check_seed("SeriesWindows", seed)
        self.series, self.length, self.batch_size, self.seed = dict(series), length, batch_size, seed

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        """The batch of a step, counted from 0."""
        check_step("SeriesWindows", step)
        return {name: array[0] for name, array in self.stack(step, 1).items()}

    def stack(self, step: int, k: int) -> dict[str, np.ndarray]:
        """The batches of steps `step` to `step + k - 1` along a new leading axis."""
        check_step("SeriesWindows", step, k)
        draws = [np.random.default_rng((self.seed, s)) for s in range(step, step + k)]
        at = np.stack([draw.integers(0, self.starts, self.batch_size) for draw in draws])[..., None]
        batch = {name: array[at + np.arange(self.length)] for name, array in self.series.items()}
        return batch | {"weight": np.ones((k, self.batch_size), np.float32)}


def rolling_origins(series: Arrays, context: int, horizon: int, *, first: int, every: int = 1) -> dict[str, np.ndarray]:
    """Rolling-origin evaluation: the windows of forecasts that are made again and again as time goes on.

    See "Out-of-sample tests of forecasting accuracy: an analysis and review", Tashman, 2000.

    Args:
      series: name -> (time, ...), all of the same steps.
      context: steps before an origin, that a forecast may know.
      horizon: steps from an origin on, that it is measured on.
      first: the first origin, a step of the series, at least `context`.
      every: steps from one origin to the next; `horizon` for forecasts that do not overlap.

    Returns:
      name -> (origins, context + horizon, ...): as many as have their whole horizon in the series.

    Raises:
      TypeError: what is not a dict of arrays.
      ValueError: series that are empty, of unequal lengths or not finite; sizes below 1; an origin without its context
        or its horizon.

    >>> rolling_origins({"y": np.arange(9)}, 3, 2, first=4, every=2)["y"].tolist()
    [[1, 2, 3, 4, 5], [3, 4, 5, 6, 7]]
    """
    for what, size in (("context", context), ("horizon", horizon), ("every", every)):
        check_count("rolling_origins", what, size)
    starts = _starts("rolling_origins", series, context + horizon, "context + horizon")
    if not context <= first < context + starts:
        raise ValueError(
            f"rolling_origins: expected a first origin in {context}..{context + starts - 1}, which has its context and "
            f"its horizon in the series, found {first}."
        )
    at = np.arange(first - context, starts, every)[:, None] + np.arange(context + horizon)
    return {name: array[at] for name, array in series.items()}


def _starts(where: str, series: Arrays, length: int, what: str) -> int:
    """How many windows of this length there are; what is its name."""
    steps = check_arrays(where, series)
    check_count(where, "length", length)
    if length > steps:
        raise ValueError(
            f"{where}: expected series of at least the {length} steps of a window, found {steps}. "
            f"Give {what} of {steps} or less."
        )
    return steps - length + 1
