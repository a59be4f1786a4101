"""scikit-learn's random search over the space of `experiments.tune`, by processor time: a peer of `tuners`.

One point after another, as its `RandomizedSearchCV` does: an `MLPClassifier` by Adam, of as many steps; it has no
dropout, so a penalty is searched in its place.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import jax
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from experiments.tuned import SPACE, Task
from jnn.sweep import LogUniform, RandomSampler

OWN = {name: dimension for name, dimension in SPACE.items() if name != "dropout"}
OWN |= {"penalty": LogUniform(1e-6, 1e-1)}


def network(values: dict[str, Any], steps: int, rows: int, seed: int) -> MLPClassifier:
    """A classifier that will be trained for so many steps, to the nearest whole epoch."""
    return MLPClassifier(
        (values["width"],) * values["depth"],
        alpha=values["penalty"],
        batch_size=values["batch_size"],
        learning_rate_init=values["learning_rate"],
        max_iter=max(1, round(steps * values["batch_size"] / rows)),
        n_iter_no_change=10**6,
        random_state=seed,
    )


def search(task: Task, seconds: float, seed: int, seeds: int) -> tuple[int, float, np.ndarray]:
    """How many points were tried, how the best validated, and its test accuracies by fresh seeds."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    parts = jax.tree.map(np.asarray, (task.train, task.validation, task.test))
    train, validation, test = ((part["x"], part["y"]) for part in parts)
    fitted = lambda values, seed: network(values, task.steps, len(train[0]), seed).fit(*train)
    sampler, tried, began = RandomSampler(OWN, seed=seed), [], time.process_time()
    while time.process_time() - began < seconds:
        values = sampler.ask(1)[0]
        tried.append((fitted(values, seed).score(*validation), values))
    validated, best = max(tried, key=lambda one: one[0])
    return len(tried), validated, np.array([fitted(best, 10**6 + i).score(*test) for i in range(seeds)])
