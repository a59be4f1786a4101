"""Fairness: what decisions on people of two groups lose in accuracy, and gain, as their gap is closed in four ways.

Data      "mortgage": 1,989 applications in Boston in 1990 ("Mortgage Lending in Boston: Interpreting HMDA Data",
          Munnell et al., 1996), of which banks approved 0.88; what is learned is their decision. Race, sex, age and
          marriage are no features (--race yes adds race). And as many made ones: "biased", where merit is alike and
          0.6 of the deserving of the smaller group were told no; "unequal", where decisions were right and merit is
          not alike. Five folds, dealt anew four times; every number is of rows that a split has not seen.
Network   logistic regression, one for each split and strength, all in one program.
Methods   reweighing: "Data preprocessing techniques for classification without discrimination", Kamiran and Calders,
          2012, weights to a power. Parity and odds: cross-entropy plus a strength times the squared gap of mean
          probabilities between the groups, or of those with either label, as in "Fairness Constraints", Zafar et al.,
          2017, whose covariance it replaces. Adversary: a perceptron that tells the group by the logit, whose gradient
          is reversed; as "Mitigating Unwanted Biases with Adversarial Learning", Zhang, Lemoine and Mitchell, 2018,
          without their projection.
Training  Adam, cosine from 3e-2 to 0, 400 steps of all rows but five; nothing is chosen, all strengths are shown.
Run       python -m experiments.fairness [--tables mortgage] [--methods parity]
Measured  one seed; the gap in the share of yes, accuracy and AUC. "mortgage": nothing done 0.118, 0.895, 0.820 (yes to
          all has accuracy 0.877); at its strongest parity 0.023, 0.885, 0.711, adversary 0.052, 0.887, 0.754, odds
          0.063, 0.888, 0.774, reweighing 0.097, 0.893, 0.805. The features tell race with AUC 0.741; with race among
          them the gap is 0.184. "biased": parity at its strongest changes accuracy by -0.008 (0.95 of resamples from
          -0.024 to 0.008), and accuracy in what was deserved by 0.028 (0.013 to 0.043). "unequal": both by -0.101
          (-0.116 to -0.082). One busy CPU core, 92 seconds, a table a run.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import decisions, frontiers
from experiments.decisions import Table
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.training import named, train
from jnn import layers
from jnn.data import Batches
from jnn.models import mlp, mlp_spec
from jnn.train import LossOutput

TableName = Literal["mortgage", "biased", "unequal"]
Method = Literal["reweighing", "parity", "odds", "adversary"]
STRENGTHS = {
    "reweighing": (0.0, 0.25, 0.5, 0.75, 1.0, 1.5),  # 1: group and label are independent
    "parity": (0.0, 0.3, 1.0, 3.0, 10.0, 100.0),
    "odds": (0.0, 0.3, 1.0, 3.0, 10.0, 30.0),
    "adversary": (0.0, 0.25, 0.5, 1.0, 2.0, 4.0),
    "proxies": (0.0,),  # no method: the group is what is learned
}


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Decisions on people of two groups."""

    steps: int = 400
    workdir: str = "runs/fairness"
    tables: tuple[TableName, ...] = get_args(TableName)
    methods: tuple[Method, ...] = get_args(Method)
    race: Literal["yes", "no"] = "no"  # whether the group is a feature
    repeats: int = 4
    batch_size: int = 1984
    learning_rate: float = 3e-2
    width: int = 8  # of the adversary


def network_spec(config: Config, features: int, method: str, splits: int) -> dict:
    """Declares a linear map, and an adversary, for each split and strength."""
    parts = {"decide": layers.linear_spec(features, 1)}
    if method == "adversary":
        parts["adversary"] = mlp_spec((1, config.width, 1))
    return jnn.stack(jnn.stack(parts, len(STRENGTHS[method]), "strengths"), splits, "splits")


@jax.jit
def decided(p: dict, x: jax.Array) -> jax.Array:
    """Logits (n, splits, strengths) of features (n, splits, features)."""
    one = lambda p, x: layers.linear(p, x)[..., 0]
    return jax.vmap(jax.vmap(one, (0, None), 1), (0, 1), 1)(p["decide"], x)


def reweighing(y: jax.Array, group: jax.Array, counts: jax.Array) -> jax.Array:
    """Weights (n, splits): of a row's group and label the rows that independence would have, over those there are."""
    of_label, of_group = (jax.nn.one_hot(x, 2).T for x in (y, group))
    joint = jnp.einsum("gn,ln,ns->gls", of_group, of_label, counts)
    even = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True) / joint.sum((0, 1), keepdims=True)
    return (even / jnp.maximum(joint, 1e-6))[group, y]


def gap(scores: jax.Array, group: jax.Array, counts: jax.Array) -> jax.Array:
    """How far mean probabilities of the groups are apart, (splits, strengths), among rows that count (n, splits)."""
    means = [
        jnp.einsum("ns,nsk->sk", own, jax.nn.sigmoid(scores)) / own.sum(0)[:, None]
        for own in (counts * (group == which)[:, None] for which in (0, 1))
    ]
    return means[0] - means[1]


def loss(params: dict, batch: dict, ctx: Any, method: str) -> LossOutput:
    """Cross-entropy of every split and strength, with what a method does about the group."""
    strength = jnp.asarray(STRENGTHS[method])[None]  # (splits, strengths)
    group, counts = batch["group"], batch["counts"] * batch["weight"][:, None]
    scores = decided(params, batch["x"])
    spread = lambda labels: jnp.broadcast_to(labels[:, None, None], scores.shape)
    values = (
        optax.sigmoid_binary_cross_entropy(scores, spread(group if method == "proxies" else batch["y"]))
        * counts[..., None]
    )
    penalty = jnp.zeros(())
    if method == "reweighing":
        values = values * reweighing(batch["y"], group, counts)[..., None] ** strength[None]
    elif method == "parity":
        penalty = jnp.sum(strength * gap(scores, group, counts) ** 2)
    elif method == "odds":
        gaps = [gap(scores, group, counts * (batch["y"] == label)[:, None]) for label in (0, 1)]
        penalty = jnp.sum(strength * (gaps[0] ** 2 + gaps[1] ** 2))
    elif method == "adversary":
        told = jax.vmap(jax.vmap(lambda p, x: mlp(p, x, key=None), (0, 1), 1), (0, 1), 1)
        hidden = layers.gradient_reversal(scores, jnp.broadcast_to(strength, scores.shape))[..., None]
        values = (
            values
            + optax.sigmoid_binary_cross_entropy(told(params["adversary"], hidden)[..., 0], spread(group))
            * counts[..., None]
        )
    return LossOutput(values.sum((1, 2)), batch["weight"], penalty=penalty)


def fitted(config: Config, name: str, method: str, found: Table) -> tuple[dict, np.ndarray, list]:
    """The parameters of a method on a table, its logits out of fold, and the history."""
    rows, tested = decisions.splits(found, config.repeats)
    state, history = train(
        config,
        network_spec(config, found.x.shape[1], method, rows["x"].shape[1]),
        partial(loss, method=method),
        optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
        Batches(rows, config.batch_size, seed=config.seed, drop_last=True),
        every=max(1, config.steps // 4),
        name=f"{name}_{method}",
    )
    scores = np.asarray(decided(state.params, rows["x"]))
    return state.params, decisions.out_of_fold(scores, tested), history


def experiment(config: Config) -> Outcome:
    """Fits each method at each strength on each table, and measures what it decides out of fold."""
    params, numbers, history, drawn = {}, {}, [], {}
    for name in config.tables:
        found = decisions.table(name, config.data_dir)
        if config.race == "yes":
            found = found._replace(x=np.column_stack([found.x, found.group]), names=(*found.names, "group"))
        _, scores, _ = fitted(config, name, "proxies", found)
        numbers[f"{name}_group_told_by_features_auc"] = decisions.auc(scores, found.group)[0]
        for method in config.methods:
            params[f"{name}_{method}"], scores, rows = fitted(config, name, method, found)
            history += named(rows, f"{name}_{method}")
            measures = decisions.measured(scores, found)
            drawn.setdefault(name, {})[method] = measures
            numbers |= decisions.summary(f"{name}_{method}", measures)
    caption = (
        "What closing the gap costs, and brings: a point a strength, from the one that does nothing; bars hold 0.95."
    )
    return Outcome(params, numbers, history, {caption: partial(frontiers.frontiers, drawn)})


if __name__ == "__main__":
    launch(experiment, Config)
