"""Link prediction: a graph autoencoder, a variational one and node2vec are asked for citations that are held out.

Data      Cora or Citeseer as in `graphs`, without classes: 85 % of the citations train, 10 % test, beside as many
          pairs without one. The 5 % that validate in the paper are left out, since nothing is chosen.
Networks  "Variational Graph Auto-Encoders", Kipf and Welling, 2016: GCN to 32 and 16, of words; a pair's logit is the
          product of its two codes. Without noise it is the graph autoencoder.
          "node2vec: Scalable Feature Learning for Networks", Grover and Leskovec, 2016, which sees no words: embeddings
          of 64, trained so that papers tell which others a walk passes nearby. A logistic regression of the two
          embeddings' product says whether a pair cites; one of an embedding, on the 20 papers a class that train in
          `graphs`, which class it is of.
Training  Adam 1e-2. Autoencoders: every citation each step against as many pairs drawn anew, 10 runs as one program.
          node2vec: 256 walks of 20 each step, 5 places to either side, 5 papers drawn against each.
Run       python -m experiments.links [--dataset citeseer] [--methods gae]
Measured  Cora, ten runs, AUC and average precision (and what is published): autoencoder 0.908+-0.006 and 0.918+-0.005
          (0.910, 0.920), the variational one 0.921+-0.003 and 0.929+-0.004 (0.914, 0.926). A CPU core, 39 s for both.
          node2vec, two runs of 200 steps (--runs 2 --walk-steps 200): 0.867 and 0.894; 0.627 of the classes.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.linear_model import LogisticRegression

import jnn
from experiments import citations
from experiments.citations import Pairs, Papers, held_out, on_words
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.runs import train_runs
from jnn import graphs
from jnn.graphs import gcn, gcn_spec
from jnn.layers import embed_spec
from jnn.losses import standard_gaussian_kl
from jnn.metrics import average_precision, roc_auc
from jnn.train import LossOutput

DRAWN, LENGTH, WINDOW, NEGATIVES = 256, 20, 5, 5  # walks of a step, their steps, places to a side, papers drawn


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Citations that are held out."""

    steps: int = 200  # of autoencoders
    workdir: str = "runs/links"
    dataset: Literal["cora", "citeseer"] = "cora"
    methods: tuple[Literal["gae", "vgae", "node2vec"], ...] = ("gae", "vgae", "node2vec")
    runs: int = 10
    walk_steps: int = 1000  # of node2vec
    hidden: int = 32
    latent: int = 16
    embed: int = 64
    p: float = 1.0  # of walks: a large one returns less often
    q: float = 1.0  # and a large one stays near


def encoder_spec(config: Config, of: Papers, method: str) -> dict[str, Any]:
    """Declares GCN to codes; of a variational one, to the logarithm of their deviations, too."""
    heads = ("mean", "log_std") if method == "vgae" else ("mean",)
    head = gcn_spec(config.hidden, config.latent, bias=False)
    return {"words": gcn_spec(of.words.vocabulary, config.hidden, bias=False), **dict.fromkeys(heads, head)}


def encode(p: Any, of: Papers) -> dict[str, jax.Array]:
    """Codes (n, latent) of all papers, by the name of the head."""
    h = jax.nn.relu(gcn(*on_words(p["words"], of.words, rate=0.0, key=None), of.edges))
    return {name: gcn(p[name], h, of.edges) for name in p if name != "words"}


def products(codes: jax.Array, pairs: jax.Array) -> jax.Array:
    """The logit of each pair (e, 2)."""
    return (codes[pairs[:, 0]] * codes[pairs[:, 1]]).sum(-1)


def against(yes: jax.Array, no: jax.Array, times: float = 1.0) -> jax.Array:
    """Cross-entropy of logits of what is there, and of what is drawn against it and counts so many times."""
    return -jax.nn.log_sigmoid(yes).mean() - times * jax.nn.log_sigmoid(-no).mean()


def autoencoder_loss(p: Any, batch: dict, ctx: Any, of: Papers, training: Pairs) -> LossOutput:
    """Of the citations that train, against as many pairs of papers whatever they are; and of noisy codes."""
    codes, n = encode(p, of), len(of.y)
    z, kl = codes["mean"], 0.0
    if "log_std" in codes:
        z = z + jnp.exp(codes["log_std"]) * jax.random.normal(jnn.path_key(ctx.draw, "codes"), z.shape)
        kl = standard_gaussian_kl(codes["mean"], codes["log_std"]).mean() / n
    drawn = jax.random.randint(jnn.path_key(ctx.draw, "pairs"), training.cited.shape, 0, n)
    return LossOutput((against(products(z, training.cited), products(z, drawn)) + kl)[None], batch["weight"])


def walks_loss(p: Any, batch: dict, ctx: Any, of: Papers, config: Config) -> LossOutput:
    """Skip-gram with negative sampling: papers near each other on a walk, against papers drawn evenly."""
    starts, ways, drawn = (jnn.path_key(ctx.draw, name) for name in ("starts", "ways", "drawn"))
    first = jax.random.randint(starts, (DRAWN,), 0, len(of.y))
    walks = graphs.random_walks(of.near, first, LENGTH, key=ways, p=config.p, q=config.q)
    others = jax.random.randint(drawn, (*walks.shape, NEGATIVES), 0, len(of.y))
    z, c = p["papers"]["table"][walks], p["contexts"]["table"][walks]
    near = [pair for i in range(1, WINDOW + 1) for pair in ((z[:, i:], c[:, :-i]), (z[:, :-i], c[:, i:]))]
    yes = jnp.concatenate([(a * b).sum(-1).ravel() for a, b in near])
    no = jnp.einsum("btd,btkd->btk", z, p["contexts"]["table"][others])
    return LossOutput(against(yes, no, NEGATIVES)[None], batch["weight"])


def network(config: Config, of: Papers, training: Pairs, method: str) -> tuple[Any, Any]:
    """A method's spec, and its loss."""
    if method == "node2vec":
        spec = dict.fromkeys(("papers", "contexts"), embed_spec(len(of.y), config.embed))
        return spec, partial(walks_loss, of=of, config=config)
    return encoder_spec(config, of, method), partial(autoencoder_loss, of=of, training=training)


def codes_of(p: Any, of: Papers) -> jax.Array:
    """The codes or embeddings of all papers (n, d)."""
    return p["papers"]["table"] if "papers" in p else encode(p, of)["mean"]


def found_by(z: np.ndarray, method: str, training: Pairs, test: Pairs) -> dict[str, float]:
    """AUC and average precision: by the product of two codes, or by a regression on that of each of their features."""
    features = lambda pairs: z[pairs[:, 0]] * z[pairs[:, 1]]
    if method == "node2vec":
        fitted = LogisticRegression(max_iter=1000).fit(features(training.both), training.labels)
        score = fitted.decision_function(features(test.both))
    else:
        score = features(test.both).sum(-1)
    return {"auc": roc_auc(score, test.labels), "ap": average_precision(score, test.labels)}


def class_accuracy(z: np.ndarray, of: Papers) -> float:
    """Of a logistic regression on the codes of the papers that train in `graphs`."""
    return LogisticRegression(max_iter=1000).fit(z[of.train], of.y[of.train]).score(z[of.test], of.y[of.test])


def experiment(config: Config) -> Outcome:
    """Trains each method on the same citations, and asks it for those held out."""
    whole = citations.papers(config.dataset, config.data_dir)
    counts = whole.words._replace(weights=np.ones_like(whole.words.weights))  # as in the paper, not divided
    of, training, test = held_out(whole._replace(words=counts), seed=0)
    params, metrics, history, figures = {}, {}, [], {}
    for method in config.methods:
        own = config if method != "node2vec" else dataclasses.replace(config, steps=config.walk_steps)
        spec, loss = network(config, of, training, method)
        state, rows = train_runs(own, config.runs, spec, loss, optax.adam(1e-2), every=20, name=method)
        params[method], history = state.params, history + rows
        codes = np.asarray(jax.lax.map(partial(codes_of, of=of), state.params))
        found = [found_by(z, method, training, test) | {"class_accuracy": class_accuracy(z, of)} for z in codes]
        for name in found[0]:
            values = [row[name] for row in found]
            metrics |= {f"{method}_{name}": np.mean(values), f"{method}_{name}_deviation": np.std(values)}
        caption = f"{method}: the codes of a run, of the papers that test in `graphs`, by class (t-SNE)."
        figures[caption] = partial(citations.embedding, codes[0], of, of.test)
    return Outcome(params, metrics, history, figures)


if __name__ == "__main__":
    launch(experiment, Config)
