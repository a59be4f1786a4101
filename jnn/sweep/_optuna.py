"""Optuna's samplers, asked and told as any other: TPE, Gaussian processes, CMA-ES; and its importances.

Law: by one seed, the same scores give the same points: nothing is drawn but by Optuna's own seeded generators.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from jnn import checks
from jnn.optional import optional
from jnn.sweep._space import Dimension, LogUniform, Space, Uniform, Values, check_space

Kind = Literal["tpe", "gp", "cmaes"]


class OptunaSampler:
    """Optuna sampler: TPE, a Gaussian process or CMA-ES, by its ask-and-tell interface; the extra `sweeps`.

    See "Optuna: A Next-generation Hyperparameter Optimization Framework", Akiba et al., 2019.

    Args:
      space: what may be chosen.
      kind: "tpe", the tree-structured Parzen estimator ("Algorithms for Hyper-Parameter Optimization", Bergstra et al.,
        2011), which takes members that are not told yet for bad ones, so that many are asked at once; "gp", a Gaussian
        process, which needs torch; "cmaes", which needs the package of that name, and draws choices evenly.
      seed: of the draws.

    Raises:
      ImportError: Optuna is not installed; says how to get it.
      TypeError: the space is none.
      ValueError: the kind is unknown.
    """

    def __init__(self, space: Space, kind: Kind = "tpe", *, seed: int) -> None:
        check_space("OptunaSampler", space)
        optuna = optional("optuna", "sweeps")
        kinds: dict[str, Callable[[], Any]] = {
            "tpe": lambda: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
            "gp": lambda: optuna.samplers.GPSampler(seed=seed, deterministic_objective=False),
            "cmaes": lambda: optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False),
        }
        if kind not in kinds:
            raise ValueError(f"OptunaSampler: expected a kind of {', '.join(kinds)}, found {kind!r}.")
        with _quiet(optuna):
            self.study = optuna.create_study(sampler=kinds[kind]())
        self.distributions = {name: distribution(x) for name, x in space.items()}
        self._asked: list[Any] = []  # trials in the order in which they were asked for
        self._told: set[int] = set()

    def ask(self, n: int) -> list[Values]:
        """The next n points."""
        checks.count("OptunaSampler", "how many are asked for", n)
        with _quiet(optional("optuna", "sweeps")):
            trials = [self.study.ask(self.distributions) for _ in range(n)]
        self._asked += trials
        return [trial.params for trial in trials]

    def tell(self, number: int, score: float, step: int, final: bool) -> None:
        """How a member ended: completed, pruned at this step, or failed.

        Optuna's trials end once: what is told once more of a member is another trial of the same point.
        """
        of, trial = optional("optuna.trial", "sweeps"), self._asked[number]
        kinds = of.TrialState
        how = kinds.FAIL if math.isnan(score) else kinds.COMPLETE if final else kinds.PRUNED
        value = score if how == kinds.COMPLETE else None
        seen = {step: score} if how == kinds.PRUNED else {}
        with _quiet(optional("optuna", "sweeps")):
            if number in self._told:
                point = {"params": trial.params, "distributions": self.distributions}
                self.study.add_trial(of.create_trial(state=how, value=value, intermediate_values=seen, **point))
            else:
                if seen:
                    trial.report(score, step)
                self.study.tell(trial, value, how)
        self._told.add(number)


def distribution(dimension: Dimension) -> Any:
    """A dimension as Optuna has it."""
    of = optional("optuna.distributions", "sweeps")
    if isinstance(dimension, Uniform):
        return of.FloatDistribution(dimension.low, dimension.high, log=isinstance(dimension, LogUniform))
    return of.CategoricalDistribution(dimension.values)


def importances(space: Space, tried: Iterable[tuple[Values, float]], *, seed: int = 0) -> dict[str, float]:
    """Hyperparameter importance, by functional ANOVA of a random forest: shares of the scores' variance, largest first.

    See "An Efficient Approach for Assessing Hyperparameter Importance", Hutter, Hoos and Leyton-Brown, 2014.

    Args:
      space: what could be chosen.
      tried: values and their score, of members that went equally far; those whose score is not finite are left out.
      seed: of the forest.

    Raises:
      ImportError: Optuna, or scikit-learn, is not installed.
    """
    optuna = optional("optuna", "sweeps")
    distributions = {name: distribution(x) for name, x in space.items()}
    with _quiet(optuna):
        study = optuna.create_study()
        for values, score in tried:
            if math.isfinite(score):
                trial = optuna.trial.create_trial(params=dict(values), distributions=distributions, value=score)
                study.add_trial(trial)
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


@contextlib.contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Its lines on every trial, and on what it calls experimental, are not for whoever runs a sweep."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)
