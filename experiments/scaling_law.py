"""A scaling law, L(N, D) = E + A / N^alpha + B / D^beta: fitted to runs, with its interval, and its optimum.

fit_law(runs) -> Law                        of parameters, tokens and losses
law_of(runs) -> Law or None                 the same, where the runs determine it
bootstrap(runs, draws) -> [Law, ...]        of the same runs, drawn again
optimum(law, compute) -> (n, d)             where 6 n d is all that there is

The third approach of "Training Compute-Optimal Large Language Models", Hoffmann et al., 2022.

Law: of points that follow a law, this law is found.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

HUBER = 1e-3  # of logarithms: what is further off pulls no harder


class Law(NamedTuple):
    """Loss of N parameters after D tokens: what is left at the end of all, and what either lacks."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float

    def loss(self, n: np.ndarray | float, d: np.ndarray | float) -> np.ndarray:
        """Nats a token."""
        return np.asarray(self.E + self.A / np.power(n, self.alpha) + self.B / np.power(d, self.beta))


class Runs(NamedTuple):
    """Parameters, tokens and losses (runs,) of what was trained."""

    n: np.ndarray
    d: np.ndarray
    losses: np.ndarray


def fit_law(runs: Runs, start: Law | None = None) -> Law:
    """Fits a law by the Huber loss of logarithms, by BFGS from a grid of beginnings, of which the best end counts.

    Args:
      runs: five at least, of several sizes and lengths.
      start: the only beginning, where one is known.

    >>> n, d = (x.ravel() for x in np.meshgrid([1e4, 3e4, 1e5], [1e6, 3e6, 1e7]))
    >>> law = Law(E=1.2, A=30.0, B=200.0, alpha=0.35, beta=0.4)
    >>> found = fit_law(Runs(n, d, law.loss(n, d)))
    >>> round(found.alpha, 2), round(found.beta, 2), round(found.E, 2)
    (0.35, 0.4, 1.2)
    """
    starts = list(itertools.product((0, 5), (0, 5), (-1, 0), (0.2, 0.6), (0.2, 0.6)))
    if start is not None:
        starts = [(np.log(start.A), np.log(start.B), np.log(start.E), start.alpha, start.beta)]
    logs = np.log(np.stack(runs))
    ends = [_minimum(begin, logs, 100) for begin in starts]  # far enough to see which is best
    a, b, e, alpha, beta = _minimum(min(ends, key=lambda end: end.fun).x, logs, 2000).x
    return Law(*map(float, (np.exp(e), np.exp(a), np.exp(b), alpha, beta)))


def _minimum(start: Any, logs: np.ndarray, steps: int) -> Any:
    """Theirs is L-BFGS; with five parameters there is nothing to forget, and SciPy's has LAPACK start threads."""
    how = {"maxiter": steps, "gtol": 1e-8}
    return minimize(_huber, start, args=(logs,), jac=True, method="BFGS", options=how)


def _huber(x: np.ndarray, logs: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean Huber loss of a law (log A, log B, log E, alpha, beta) in units of HUBER, and its gradient."""
    found, slopes = _curve(x, logs)
    error = (found - logs[2]) / HUBER
    pull = np.clip(error, -1, 1)
    return float((pull * (error - pull / 2)).mean()), (pull * slopes).mean(1) / HUBER


def _curve(x: np.ndarray, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The logarithm of the loss that a law says of each run (runs,), and its slopes by the law's numbers (5, runs)."""
    (a, b, e, alpha, beta), (n, d, _) = x, logs
    terms = np.stack([a - alpha * n, b - beta * d, np.full_like(n, e)])
    most = terms.max(0)
    parts = np.exp(terms - most)
    share = parts / parts.sum(0)
    return most + np.log(parts.sum(0)), np.stack([*share, -share[0] * n, -share[1] * d])


def law_of(runs: Runs) -> Law | None:
    """The fitted law; None where runs do not determine it, or their loss does not fall with size and length.

    Fewer than five runs do not, nor do runs of two sizes or of two lengths: the law's slopes by its five numbers then
    depend on one another linearly.

    >>> n, d = (x.ravel() for x in np.meshgrid([1e4, 3e4], [1e6, 3e6, 1e7]))
    >>> print(law_of(Runs(n, d, Law(E=1.2, A=30.0, B=200.0, alpha=0.35, beta=0.4).loss(n, d))))
    None
    """
    if len(runs.losses) < len(Law._fields):
        return None
    law = fit_law(runs)
    if not (np.isfinite(law).all() and min(law) > 0):
        return None
    x = np.array([np.log(law.A), np.log(law.B), np.log(law.E), law.alpha, law.beta])
    slopes = _curve(x, np.log(np.stack(runs)))[1]
    return law if np.linalg.matrix_rank(slopes, tol=1e-6) == len(law) else None


def bootstrap(runs: Runs, draws: int, *, seed: int) -> list[Law]:
    """Laws of the runs, drawn with replacement, by "Bootstrap Methods: Another Look at the Jackknife", Efron, 1979."""
    whole, n = fit_law(runs), len(runs.losses)
    rows = np.random.default_rng(seed).integers(0, n, (draws, n))
    return [fit_law(Runs(*(x[chosen] for x in runs)), start=whole) for chosen in rows]


def interval(values: np.ndarray) -> list[float]:
    """The middle 95 % of values (draws,)."""
    return np.percentile(values, (2.5, 97.5)).tolist()


def exponent(law: Law) -> float:
    """How the best N grows: as compute to the power of this.

    >>> exponent(Law(E=1.0, A=1.0, B=1.0, alpha=0.5, beta=0.5))
    0.5
    """
    return law.beta / (law.alpha + law.beta)


def optimum(law: Law, compute: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """The parameters and tokens of least loss by so many FLOPs, 6 for each parameter and token.

    >>> n, d = optimum(Law(E=1.0, A=10.0, B=10.0, alpha=0.5, beta=0.5), 6e12)
    >>> round(float(n)), round(float(d))
    (1000000, 1000000)
    """
    balance = (law.alpha * law.A / (law.beta * law.B)) ** (1 / (law.alpha + law.beta))
    n = balance * np.power(np.asarray(compute) / 6, exponent(law))
    return n, np.asarray(compute) / 6 / n
