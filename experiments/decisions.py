"""Decisions on people of two groups, for `experiments.fairness`: tables, folds, and measures with intervals.

table(name, data_dir) -> Table          Boston's mortgages, or made ones of which the truth is known
splits(table, repeats)                  the rows as each split sees them, and which split tests a row
out_of_fold(scores, tested)             what is said of each row by the split that has not seen it
measured(scores, table), summary(...)   accuracy, AUC and gaps, and what chance there is in them
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn import data, metrics
from jnn.data import fit_standard

FOLDS = 5
ROWS = 1989  # of a table that is made: as many as there are of Boston
RESAMPLES = 400
TOLD = ("accuracy", "parity_gap", "odds_gap", "true_accuracy")

Column = Callable[[np.ndarray], np.ndarray]
plain: Column = np.asarray
share: Column = lambda x: x / 100
amount: Column = lambda x: np.log1p(np.clip(x, 0, 9e5))
# what a bank knew, less race, sex, age, marriage, and whether a neighbourhood's people are of minorities
FEATURES: dict[str, Column] = {
    **dict.fromkeys(("loanamt", "price", "atotinc", "cototinc", "liq", "netw"), amount),
    **dict.fromkeys(("hrat", "obrat"), share),
    **dict.fromkeys(("loanprc", "dep", "self", "unem", "rep", "sch", "gift", "cosign", "unver", "multi"), plain),
    **dict.fromkeys(("pubrec", "chist", "mortno", "mortlat1", "mortlat2"), plain),  # debts as they were paid
    **dict.fromkeys(("bd", "mi", "vr"), plain),  # of the neighbourhood: boarded up, income, vacant
}


class Table(NamedTuple):
    """Rows of people.

    x (n, features), what is known of them; y (n,), what was decided, 1 is yes; group (n,), 1 for who is in the smaller
    group; truth (n,), what would have been right, where anybody knows; names of the features.
    """

    x: np.ndarray
    y: np.ndarray
    group: np.ndarray
    truth: np.ndarray | None
    names: tuple[str, ...]


def table(name: str, data_dir: str | None = None) -> Table:
    """ "mortgage", of banks; "biased" and "unequal", made."""
    return mortgages(data_dir) if name == "mortgage" else made(name)


def mortgages(data_dir: str | None) -> Table:
    """Boston's, 1990: the smaller group are Black and Hispanic applicants. What is missing is as it mostly is."""
    rows = data.boston_mortgages(data_dir)
    columns = [change(np.nan_to_num(rows[name], nan=np.nanmedian(rows[name]))) for name, change in FEATURES.items()]
    group = np.maximum(rows["black"], rows["hispan"]).astype(np.int32)
    return Table(np.stack(columns, 1), rows["approve"].astype(np.int32), group, None, tuple(FEATURES))


def made(name: str, n: int = ROWS) -> Table:
    """Decisions of which it is known what would have been right.

    Who deserves yes depends on merit alone, of which two features tell with noise; a third tells the group, with noise.
    "biased": merit is alike in both groups, but of the smaller one 0.6 who deserve yes were told no. "unequal":
    decisions were right, but the smaller group has less merit, by one deviation.
    """
    rng = np.random.default_rng(0)
    group = (rng.random(n) < 0.3).astype(np.int32)
    merit = rng.normal(size=n) - (group if name == "unequal" else 0)
    truth = (rng.random(n) < 1 / (1 + np.exp(-3 * merit - 1))).astype(np.int32)
    withheld = (rng.random(n) < 0.6) & (group == 1) & (name == "biased")
    x = np.stack([*(merit + rng.normal(scale=0.7, size=n) for _ in range(2)), group + rng.normal(scale=0.5, size=n)], 1)
    return Table(x, truth * ~withheld, group, truth, ("merit, with noise", "the same again", "group, with noise"))


def splits(found: Table, repeats: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Five folds, dealt anew so many times: what each split trains on, and the split (n, repeats) that tests a row.

    Of the first, "x" (n, splits, features), in units of what the split trains on, and "counts" (n, splits): 0 for rows
    that test, and of mean 1.
    """
    n, rng = len(found.y), np.random.default_rng(0)
    fold = np.stack([rng.permutation(n) % FOLDS for _ in range(repeats)], 1)
    tests = fold[:, :, None] == np.arange(FOLDS)
    trains = ~tests.reshape(n, -1)
    x = np.stack([fit_standard(found.x[rows]).apply(found.x) for rows in trains.T], 1)
    counts = (trains / trains.mean(0)).astype(np.float32)
    rows = {"x": x, "y": found.y, "group": found.group, "counts": counts}
    return rows, fold + FOLDS * np.arange(repeats)


def out_of_fold(scores: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """Of scores (n, splits, strengths) those of the splits (n, repeats) that test each row: (n, repeats, strengths)."""
    return np.take_along_axis(scores, tested[:, :, None], 1)


@jax.jit
def counted(scores: jax.Array, labels: jax.Array, group: jax.Array, weights: jax.Array) -> metrics.GroupCounts:
    """Counts (resamples, repeats, strengths, groups, labels, answers) of logits, in each weighting of the rows."""
    one = lambda scores, weight: metrics.group_counts(scores, labels, group, weight, num_groups=2, threshold=0.0)
    of_all = jax.vmap(jax.vmap(one, (1, None)), (1, None))
    return jax.vmap(of_all, (None, 0))(scores, weights)


def measured(scores: np.ndarray, found: Table) -> dict[str, np.ndarray]:
    """Measures (1 + RESAMPLES, strengths) of logits out of fold, the mean of the repeats; AUC (strengths,) alone.

    The first row is of all people as they are, the others of as many drawn from them with repetition.
    """
    n = len(found.y)
    weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES)
    weights = np.concatenate([np.ones((1, n)), weights]).astype(np.float32)
    counts = counted(scores, found.y, found.group, weights)
    right = lambda counts: jnp.trace(counts.counts.sum(-3), axis1=-2, axis2=-1) / n
    of = {
        "accuracy": right(counts),
        "yes": counts.counts[..., 1].sum((-2, -1)) / n,
        "parity_gap": counts.demographic_parity_difference(),
        "odds_gap": counts.equalized_odds_difference(),
    }
    if found.truth is not None:
        truly = counted(scores, found.truth, found.group, weights)
        of |= {"true_accuracy": right(truly), "true_odds_gap": truly.equalized_odds_difference()}
    return {name: np.asarray(value).mean(1) for name, value in of.items()} | {"auc": auc(scores, found.y)}


def auc(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The mean over repeats (strengths,) of the chance that a row of label 1 has the higher logit."""
    return np.array([[metrics.roc_auc(one, labels) for one in own.T] for own in scores.swapaxes(0, 1)]).mean(0)


def summary(name: str, measures: dict[str, np.ndarray]) -> dict[str, list[float]]:
    """Of each measure its values by strength, and what the last strength changes, with its interval."""
    rounded = lambda values: np.round(values, 4).tolist()
    values = {f"{name}_{what}": rounded(found[0] if found.ndim == 2 else found) for what, found in measures.items()}
    return values | {f"{name}_{what}_change": rounded(change(measures[what])) for what in TOLD if what in measures}


def change(values: np.ndarray) -> np.ndarray:
    """From the first strength to the last: as measured, and the 0.025 and 0.975 quantiles of the resamples."""
    moved = values[:, -1] - values[:, 0]
    return np.array([moved[0], *np.quantile(moved[1:], (0.025, 0.975))])
