"""Sequential recommendation: NeuMF, two towers and SASRec rank all films by who will watch them next.

Data      MovieLens 100K ("The MovieLens Datasets: History and Context", Harper and Konstan, 2015): 943 users' films in
          the order of their ratings, whatever these say. Of each user the last film tests, the one before validates.
Networks  NeuMF ("Neural Collaborative Filtering", He et al., 2017); two towers ("Sampling-Bias-Corrected Neural
          Modeling for Large Corpus Item Recommendations", Yi et al., 2019), of a user's age, sex, occupation and last
          50 films, and of a film and its genres; SASRec ("Self-Attentive Sequential Recommendation", Kang and McAuley,
          2018), of the last 50 films in their order.
Beside    popularity: how often a film was watched in training.
Training  Adam, cosine to 0. NeuMF tells what was watched from films that are drawn by chance; the others have the
          cross-entropy of the next film among all 1,682, which needs no sampling.
Ranking   the one film that is held out among all that the user has not watched, not among a sample.
Run       python -m experiments.recommend_next [--networks sasrec]
Measured  hit rate and NDCG at 10 in testing, one seed: SASRec 0.163 and 0.081, two towers 0.116 and 0.057, NeuMF
          0.100 and 0.048, popularity 0.086 and 0.045. 95 s of processor time for the three.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Literal

import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

from experiments import pictures
from experiments.films import Watched, nearest_films, watched
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.ranking import full_ranking
from experiments.recommenders import Network, make_neumf, make_sasrec, make_two_tower
from experiments.training import evaluate, named, train
from jnn.data import Batches, in_order
from jnn.losses import cross_entropy
from jnn.train import LossOutput


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """What will be watched next."""

    steps: int = 1000
    workdir: str = "runs/recommend_next"
    networks: tuple[Literal["neumf", "two_tower", "sasrec"], ...] = ("neumf", "two_tower", "sasrec")
    batch_size: int = 64  # windows of SASRec's; eight times as many films of NeuMF's and the towers'
    learning_rate: float = 2e-3
    embed: int = 64
    context: int = 50
    negatives: int = 4  # to each film that was watched
    temperature: float = 0.1
    dropout: float = 0.3


MAKE = {"neumf": make_neumf, "two_tower": make_two_tower, "sasrec": make_sasrec}


def loss(params, batch, ctx, network: Network) -> LossOutput:
    """What the network learns by; and where there is what users have seen, how well it ranks the rest."""
    if "seen" not in batch:
        return LossOutput(network.values(params, batch, ctx), batch["weight"])
    scores = network.scores(params, batch)
    unseen = jnp.where(batch["seen"] == 0, scores, -jnp.inf)
    ranking = full_ranking(scores, batch["y"], batch["seen"], batch["weight"])
    return LossOutput(cross_entropy(unseen, batch["y"]), batch["weight"], metrics=ranking)


def popularity(data: Watched) -> dict[str, float]:
    """How the films that were watched most often rank."""
    seen = data.test["seen"]
    counts = np.broadcast_to(data.validation["seen"].sum(0, dtype=np.float32), seen.shape)
    ranking = full_ranking(jnp.asarray(counts), jnp.asarray(data.test["y"]), jnp.asarray(seen))
    return {name: float(metric.value()) for name, metric in ranking.items()}


def experiment(config: Config) -> Outcome:
    """Trains each network, and ranks all films for the last one of each user."""
    data = watched(config.data_dir, config.context)
    params, history, found = {}, [], {"popularity": popularity(data)}
    for name in config.networks:
        network = MAKE[name](data, config)
        own = partial(loss, network=network)
        state, rows = train(
            config,
            network.spec,
            own,
            optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
            Batches(network.rows, config.batch_size * (1 if name == "sasrec" else 8), seed=config.seed),
            every=200,
            validation=in_order(data.validation, 250),
            name=name,
        )
        params[name] = state.params
        history += named(rows, name)
        tested = evaluate(own, state, in_order(data.test, 250))
        found[name] = {what: float(tested[what].value()) for what in ("hit_rate", "ndcg")}
    metrics = {f"{name}_{what}": value for name, own in found.items() for what, value in own.items()}
    return Outcome(params, metrics, history, figures(found, params, data))


def figures(found: dict, params: dict, data: Watched) -> dict[str, Callable[[], Figure]]:
    """How well each ranks, and the films that are nearest to some."""
    panels = {what: {name: [own[what]] for name, own in found.items()} for what in ("hit_rate", "ndcg")}
    drawn = {"Hit rate and NDCG at 10, among all films.": lambda: pictures.dots(panels)}
    if "sasrec" in params:
        vectors = np.asarray(params["sasrec"]["embed"]["table"])
        caption = "SASRec: the nearest films by the cosine of their vectors, of those with 50 ratings."
        drawn[caption] = lambda: pictures.lists(nearest_films(vectors, data.movies))
    return drawn


if __name__ == "__main__":
    launch(experiment, Config)
