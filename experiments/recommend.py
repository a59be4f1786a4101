"""How many stars will a film have of whom? Matrix factorization and a factorization machine, five folds at once.

Data      MovieLens 100K ("The MovieLens Datasets: History and Context", Harper and Konstan, 2015): 100,000 ratings, 1
          to 5, of 1,682 films by 943 users, dealt into five folds by chance. Each tests once; of the others a
          twentieth validates.
Networks  matrix factorization with biases ("Matrix Factorization Techniques for Recommender Systems", Koren, Bell and
          Volinsky, 2009), which is the machine of two features, a user and a film; and the machine ("Factorization
          Machines", Rendle, 2010) of users' age, sex and occupation and films' genres, too.
Beside    the mean and a bias of each user and film, shrunk towards 0 as validates best.
Training  squared error, and of each rating the squares of the parameters that it meets; Adam, cosine to 0. The five
          folds' parameters are stacked, and trained by one program.
Run       python -m experiments.recommend
Measured  TODO
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import jnn
from experiments import pictures
from experiments.films import FOLDS, Features, Rated, film_features, nearest, rated, user_features
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.training import train
from jnn.data import Batches, MovieLens, in_order
from jnn.layers import embed
from jnn.models import factorization_machine, factorization_machine_spec
from jnn.train import LossOutput

MIDDLE = 3.5  # what predictions begin at
SHRINKAGE = (1, 2, 5, 10, 20)  # ratings of 0 beside a user's and a film's own


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """How many stars a film will have."""

    steps: int = 1000
    workdir: str = "runs/recommend"
    networks: tuple[Literal["mf", "fm"], ...] = ("mf", "fm")
    batch_size: int = 1000
    learning_rate: float = 1e-2
    factors: int = 32
    decay: float = 1.0  # of factors, each time they are met, over the root of how often that is
    bias_decay: float = 0.4  # of biases


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


@jax.jit
def predicted(params: dict, batch: dict) -> jax.Array:
    """Stars (b, folds), by the parameters of each fold; of these some are less than 1, or more than 5."""
    machine = jax.vmap(factorization_machine, (0, None, None), 1)
    return MIDDLE + machine(params, batch["features"], batch["values"])


def penalty(p: dict, batch: dict, config: Config) -> jax.Array:
    """The squares (b,) of what a rating meets of one fold's parameters."""
    met = lambda name: jnp.square(embed(p[name], batch["features"]) * batch["values"][..., None]).sum(-1)
    squares = config.decay * met("factors") + config.bias_decay * met("linear")
    return (batch["rarity"] * squares).sum(-1)


def loss(params, batch, ctx, config: Config) -> LossOutput:
    """Squared error and penalty, the sum over the folds in which a rating counts; and the root of the mean square."""
    stars, y, counts = predicted(params, batch), batch["y"][:, None], batch["counts"]
    squares = jnp.square(stars - y) + jax.vmap(penalty, (0, None, None), 1)(params, batch, config)
    y = jnp.broadcast_to(y, stars.shape)
    rmse = jnn.metrics.root_mean_squared_error(jnp.clip(stars, 1, 5), y, counts * batch["weight"][:, None])
    return LossOutput((squares * counts).sum(1), batch["weight"], metrics={"rmse": rmse})


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


def experiment(config: Config) -> Outcome:
    """Trains each network on five folds, and tests it on what each fold has not seen."""
    data = rated(config.data_dir)
    params, history, lists = {}, [], {}
    found = {"mean and biases": mean_and_biases(data)}
    for network in config.networks:
        users, films = features(network, data.movies)
        parts = [with_features(part, users, films) for part in (data.train, data.validation, data.test)]
        training, validation = (with_rarity(part, parts[0]) for part in parts[:2])
        state, rows = train(
            config,
            jnn.stack(factorization_machine_spec(users.count + films.count, config.factors), FOLDS, "folds"),
            partial(loss, config=config),
            optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
            Batches(training, config.batch_size, seed=config.seed),
            every=100,
            validation=in_order(validation, 5000),
            name=network,
        )
        history += [{"step": row["step"]} | {f"{k}_{network}": row[k] for k in row if k != "step"} for row in rows]
        found[network] = errors(np.asarray(predicted(state.params, parts[2])), parts[2])
        vectors = np.asarray(state.params["factors"]["table"][0])[users.count :]
        lists[network] = nearest((vectors[films.ids] * films.values[..., None]).sum(1), data.movies)
        params[network] = state.params
    metrics = {f"{name.replace(' ', '_')}_rmse": float(np.mean(own)) for name, own in found.items()}
    return Outcome(params, metrics, history, figures(found, lists))


def figures(found: dict[str, list[float]], lists: dict[str, dict]) -> dict[str, Callable[[], Figure]]:
    """Errors of each fold, and the nearest films of those that were rated most often."""
    drawn = {"RMSE in testing: a point a fold, and their mean.": lambda: pictures.dots({"RMSE": found})}
    for network, near in lists.items():
        caption = f"{network}: the nearest films by the cosine of their factors, of those with 50 ratings."
        drawn[caption] = partial(pictures.lists, near)
    return drawn


if __name__ == "__main__":
    launch(experiment, Config)
