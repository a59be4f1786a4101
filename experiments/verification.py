"""Verification: are two pictures of one person? By distances of their embeddings, measured on people never seen.

verify(embed, validation, test)     distances of all pairs of pictures, and a threshold chosen on validation people
eigenfaces(data)                    the same by principal components
figures(found, test)                curves, hardest pairs and nearest pictures of several methods, side by side
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments import pictures
from experiments.datasets import Data
from jnn.metrics import equal_error_rate, roc_curve

COMPONENTS = (10, 20, 40, 80, 160)
HARDEST = 5  # pairs of each kind, in pictures


class Verified(NamedTuple):
    """What one method makes of the pictures of people whom it has not seen.

    Attributes:
      points: (n, d), the embeddings of the test's pictures.
      scores, same: (n (n - 1) / 2,), minus the distance of each pair, and whether it is of one person.
      threshold: of scores, from which on validation people the rates of right answers of both kinds sum to most.
      validation_eer: the equal error rate there.
    """

    points: np.ndarray
    scores: np.ndarray
    same: np.ndarray
    threshold: float
    validation_eer: float

    def measured(self) -> dict[str, float]:
        """Equal error rate, and accuracy at the threshold where pairs of one person and of two count the same."""
        accepted = self.scores >= self.threshold
        right = [np.mean(accepted[self.same]), np.mean(~accepted[~self.same])]
        eer = equal_error_rate(self.scores, self.same)
        return {"eer": eer, "accuracy": float(np.mean(right)), "validation_eer": self.validation_eer}


def verify(embed: Callable[[np.ndarray], np.ndarray], validation: Mapping, test: Mapping) -> Verified:
    """Verification by distance of what `embed` makes of pictures (n, y, x): vectors (n, d)."""
    scores, same = _pairs(np.asarray(embed(validation["x"])), validation["y"])
    curve = roc_curve(scores, same)
    threshold = float(curve.thresholds[np.argmax(curve.sensitivity - curve.false_positive_rate)])
    points = np.asarray(embed(test["x"]))
    return Verified(points, *_pairs(points, test["y"]), threshold, equal_error_rate(scores, same))


def eigenfaces(data: Data) -> Verified:
    """Eigenfaces: distances in the first principal components of the training pictures, as many as validate best."""
    flat = lambda x: x.reshape(len(x), -1)
    mean = flat(data.train["x"]).mean(0)
    components = np.linalg.svd(flat(data.train["x"]) - mean, full_matrices=False)[2]
    project = lambda x, n: (flat(x) - mean) @ components[:n].T
    tried = [verify(partial(project, n=n), data.validation, data.test) for n in COMPONENTS]
    return min(tried, key=lambda one: one.validation_eer)


def figures(found: Mapping[str, Verified], test: Mapping) -> dict[str, Callable[[], Figure]]:
    """Figures of the report, by what they show; test: the pictures (n, y, x) of the points, and whose they are."""
    drawn: dict[str, Callable[[], Figure]] = {
        "Pairs of people never seen: false matches against false rejections, at every threshold.": lambda: pictures.det(
            {name: roc_curve(one.scores, one.same) for name, one in found.items()}
        )
    }
    for name, one in found.items():
        drawn[f"{name}: one person farthest apart, then two people nearest; distances."] = partial(_hardest, one, test)
        drawn[f"{name}: a picture, and the nearest of all others; one person's are marked."] = partial(
            pictures.nearest, one.points, pictures.photographs(test["x"]), test["y"]
        )
    return drawn


def _pairs(points: np.ndarray, people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    i, j = np.triu_indices(len(points), 1)
    return -np.linalg.norm(points[i] - points[j], axis=1), people[i] == people[j]


def _hardest(one: Verified, test: Mapping) -> Figure:
    """The pairs of one person with the least scores above those of two with the greatest, two pictures each."""
    i, j = np.triu_indices(len(one.points), 1)
    farthest, nearest = (np.where(kind, one.scores, np.inf) for kind in (one.same, ~one.same))
    chosen = [*np.argsort(farthest)[:HARDEST], *np.argsort(np.where(one.same, np.inf, -nearest))[:HARDEST]]
    images = np.concatenate([test["x"][[i[pair], j[pair]]] for pair in chosen])
    titles = [text for pair in chosen for text in (f"{-one.scores[pair]:.2f}", "")]
    return pictures.examples(pictures.photographs(images), titles, columns=2 * HARDEST)
