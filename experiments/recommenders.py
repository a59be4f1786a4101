"""Recommenders that `recommend_next` compares: networks that score all films for a user, and what each learns by.

make_neumf(data, config), make_two_tower(data, config), make_sasrec(data, config) -> Network
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.films import Watched, film_features, user_features
from jnn.axes import use_layout
from jnn.losses import binary_cross_entropy_with_logits, cross_entropy
from jnn.models import neumf, neumf_spec, retrieval_tower, sasrec, sasrec_spec, two_tower_spec


class Network(NamedTuple):
    """What it is made of, learns from and by, and how it scores all films (b, films) for rows (b,)."""

    spec: Any
    rows: dict[str, np.ndarray]
    values: Callable[..., jax.Array]  # (params, batch, ctx) -> (b,)
    scores: Callable[..., jax.Array]  # (params, batch) -> (b, films)


def make_neumf(data: Watched, config: Any) -> Network:
    """Of users and films by their numbers."""
    users, films = len(data.test["user"]), len(data.movies.films["title"])
    d = config.embed

    def values(params, batch, ctx):
        drawn = jax.random.randint(ctx.draw, (len(batch["y"]), config.negatives), 0, films)
        asked = jnp.concatenate([batch["y"][:, None], drawn], 1)
        logits = neumf(params, batch["user"][:, None], asked, key=ctx.key, rate=config.dropout)
        watched = jnp.broadcast_to(jnp.arange(1 + config.negatives)[None] == 0, logits.shape)
        return binary_cross_entropy_with_logits(logits, watched)

    scores = lambda params, batch: neumf(params, batch["user"][:, None], jnp.arange(films)[None], key=None)
    rows = {name: data.train[name] for name in ("user", "y")}
    return Network(neumf_spec(users, films, d // 2, (d, d // 2, d // 4)), rows, values, scores)


def make_two_tower(data: Watched, config: Any) -> Network:
    """Of what is known of a user and has been watched before, and of a film."""
    users, films = user_features(data.movies), film_features(data.movies)
    known, kinds = users.ids[:, 1:] - len(users.ids), users.count - len(users.ids)  # of a user, but not who it is

    def logits(params, batch, key):
        keys = [None] * 2 if key is None else jax.random.split(key)
        there = jnp.arange(batch["history"].shape[1])[None] < batch["length"][:, None]
        ids = jnp.concatenate([jnp.asarray(known)[batch["user"]], kinds + batch["history"]], 1)
        ones = jnp.ones((len(ids), known.shape[1]))
        values = jnp.concatenate([ones, there / jnp.sqrt(batch["length"])[:, None]], 1)
        u = retrieval_tower(params["queries"], ids, values, key=keys[0], rate=config.dropout)
        with use_layout(None):  # films are no rows of the batch: devices need not divide their number
            f = retrieval_tower(params["items"], films.ids, jnp.asarray(films.values), key=keys[1], rate=config.dropout)
        return u @ f.T / config.temperature

    values = lambda params, batch, ctx: cross_entropy(logits(params, batch, ctx.key), batch["y"])
    spec = two_tower_spec(kinds + len(films.ids), films.count, (config.embed, config.embed, config.embed))
    return Network(spec, data.train, values, lambda params, batch: logits(params, batch, None))


def make_sasrec(data: Watched, config: Any) -> Network:
    """Of films in the order in which they were watched."""

    def values(params, batch, ctx):
        costs = cross_entropy(sasrec(params, batch["x"], key=ctx.key, rate=config.dropout), batch["y"])
        there = jnp.arange(costs.shape[1])[None] < batch["length"][:, None]
        return jnp.mean(costs, 1, where=there)

    def scores(params, batch):
        every = sasrec(params, batch["history"], key=None)
        return jnp.take_along_axis(every, batch["length"][:, None, None] - 1, 1)[:, 0]

    spec = sasrec_spec(len(data.movies.films["title"]), config.context, config.embed)
    return Network(spec, data.sequences, values, scores)
