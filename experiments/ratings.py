"""Ratings as `recommend` learns them: as features, in folds; and what the mean and biases alone say of them.

features(network, movies), with_features(part, users, films), with_rarity(part, training)
mean_and_biases(data), errors(stars, part) -> RMSE of each fold
"""

from __future__ import annotations

import numpy as np

from experiments.films import FOLDS, Features, Rated, film_features, user_features
from jnn.data import MovieLens

SHRINKAGE = (1, 2, 5, 10, 20)  # ratings of 0 beside a user's and a film's own


def features(network: str, movies: MovieLens) -> tuple[Features, Features]:
    """What a network knows of users, and of films: who and which it is, or all."""
    sides = user_features(movies), film_features(movies)
    alone = lambda side: Features(side.ids[:, :1], side.values[:, :1], len(side.ids))
    return sides if network == "fm" else (alone(sides[0]), alone(sides[1]))


def with_features(part: dict[str, np.ndarray], users: Features, films: Features) -> dict[str, np.ndarray]:
    """Ratings with the features of both, films' behind users'."""
    user, film = part["user"], part["film"]
    ids = np.concatenate([users.ids[user], users.count + films.ids[film]], 1)
    values = np.concatenate([users.values[user], films.values[film]], 1)
    return {"features": ids, "values": values, "y": part["y"], "counts": part["counts"]}


def with_rarity(part: dict[str, np.ndarray], training: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """And of each feature one over the root of how often a fold's training meets it."""
    often = training["values"] * training["counts"].mean(1, keepdims=True)
    met = np.bincount(training["features"].ravel(), often.ravel(), 1 + part["features"].max())
    return part | {"rarity": (np.maximum(met, 1) ** -0.5)[part["features"]].astype(np.float32)}


def errors(stars: np.ndarray, part: dict[str, np.ndarray]) -> list[float]:
    """The root mean squared error of each fold."""
    squares = (np.clip(stars, 1, 5) - part["y"][:, None]) ** 2
    return np.sqrt((squares * part["counts"]).sum(0) / part["counts"].sum(0)).tolist()


def mean_and_biases(data: Rated) -> list[float]:
    """Errors in testing of the mean and a bias of each user and film, shrunk as validates best."""
    fits = [[biases(data.train, fold, shrinkage) for fold in range(FOLDS)] for shrinkage in SHRINKAGE]
    stars = lambda fit, part: np.stack([mean + u[part["user"]] + f[part["film"]] for mean, u, f in fit], 1)
    best = min(fits, key=lambda fit: np.mean(errors(stars(fit, data.validation), data.validation)))
    return errors(stars(best, data.test), data.test)


def biases(part: dict[str, np.ndarray], fold: int, shrinkage: float) -> tuple[float, np.ndarray, np.ndarray]:
    """The mean of what counts in a fold, and what users, and films, are above it: films first, then the rest."""
    rows = part["counts"][:, fold] > 0
    user, film, left = part["user"][rows], part["film"][rows], part["y"][rows]
    mean = float(left.mean())
    shrunk = lambda ids, left, n: np.bincount(ids, left, n) / (shrinkage + np.bincount(ids, minlength=n))
    of_films = shrunk(film, left - mean, 1 + part["film"].max())
    return mean, shrunk(user, left - mean - of_films[film], 1 + part["user"].max()), of_films
