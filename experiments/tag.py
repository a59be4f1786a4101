"""The parts of a postal address: each word tagged, by a network of letters, both directions and a random field.

Data      addresses of the United States with a tag on each word (usaddress): 1,513 labelled by people, of which a fifth
          tests and a tenth validates, and 63 of the hardest. (Of 95,156 made from the columns of one county, 4,000
          cost four points when they were trained on too.)
Network   letters embedded in 16, a convolution of 3 of them to 48 and its maximum: a word; in both directions an LSTM
          of 64; a linear-chain conditional random field over 29 tags ("Bidirectional LSTM-CRF Models for Sequence
          Tagging", Huang, Xu and Yu, 2015; letters as in "End-to-end Sequence Labeling via Bi-directional
          LSTM-CNNs-CRF", Ma and Hovy, 2016). Dropout 0.3.
Training  Adam, cosine from 5e-3 to 0, batches of 64, 800 steps.
Run       python -m experiments.tag [--field no]
Measured  right words and right whole addresses, five seeds (mean and deviation): 0.908+-0.008 and 0.693+-0.021; of the
          hardest 0.866+-0.009 and 0.413+-0.011. Without the field (--field no, four seeds): 0.903+-0.006 and
          0.648+-0.021. One CPU core, a minute each.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import optax

import jnn
from experiments.datasets import addresses
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.training import evaluate, train
from jnn import layers
from jnn.data import Batches, in_order
from jnn.losses import crf_decode, crf_loss, crf_spec
from jnn.train import LossOutput


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """The parts of a postal address."""

    steps: int = 800
    workdir: str = "runs/tag"
    field: Literal["yes", "no"] = "yes"  # whether tags know the tag before them
    batch_size: int = 64
    learning_rate: float = 5e-3
    letters: int = 16
    word: int = 48
    hidden: int = 64
    dropout: float = 0.3


def network_spec(config: Config, letters: int, tags: int) -> dict:
    return {
        "letters": layers.embed_spec(letters, config.letters),
        "word": layers.conv_spec(config.letters, config.word, (3,)),
        "words": layers.bidirectional_spec(layers.lstm_cell_spec(config.word, config.hidden)),
        "out": layers.linear_spec(2 * config.hidden, tags),
        **({"field": crf_spec(tags)} if config.field == "yes" else {}),
    }


def network(p: dict, batch: dict, *, config: Config, key: jax.Array | None) -> jax.Array:
    """Letters (b, t, letters) to scores (b, t, tags)."""
    keys = [None] * 2 if key is None else jax.random.split(key)
    letters = layers.embed(p["letters"], batch["x"])
    there = (batch["x"] != 0)[..., None]
    words = jnp.max(jnp.where(there, layers.conv(p["word"], letters), -1e9), axis=-2)
    words = layers.dropout(jnp.where(there.any(-2), words, 0), config.dropout, key=keys[0])
    states, _ = layers.bidirectional(layers.lstm_cell, p["words"], words, lengths=batch["length"])
    return layers.linear(p["out"], layers.dropout(states, config.dropout, key=keys[1]))


def tags_of(p: dict, scores: jax.Array, lengths: jax.Array) -> jax.Array:
    """The likeliest tags (b, t): of whole addresses with a field, word by word without."""
    return crf_decode(p["field"], scores, lengths=lengths)[0] if "field" in p else scores.argmax(-1)


def loss(params, batch, ctx, config):
    """Minus the log-likelihood of an address's tags; and how many words, and whole addresses, are right."""
    scores, lengths = network(params, batch, config=config, key=ctx.key), batch["length"]
    there = jnp.arange(scores.shape[1]) < lengths[:, None]
    if "field" in params:
        values = crf_loss(params["field"], scores, batch["y"], lengths=lengths)
    else:
        values = jnp.where(there, jnn.losses.cross_entropy(scores, batch["y"]), 0).sum(-1)
    right = tags_of(params, scores, lengths) == batch["y"]
    words = there * batch["weight"][:, None]
    metrics = {
        "words": jnn.metrics.mean(right.astype(jnp.float32), words),
        "addresses": jnn.metrics.mean((right | ~there).all(-1).astype(jnp.float32), batch["weight"]),
    }
    return LossOutput(values, batch["weight"], metrics=metrics)


def experiment(config: Config) -> Outcome:
    """Trains, validates, and tests on held-out addresses and on the hardest."""
    data, messy, letters, tags = addresses(config.data_dir)
    own = lambda params, batch, ctx: loss(params, batch, ctx, config)
    optimizer = optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps))
    state, history = train(
        config,
        network_spec(config, len(letters) + 1, len(tags)),
        own,
        optimizer,
        Batches(data.train, config.batch_size, seed=config.seed),
        every=100,
        validation=in_order(data.validation, 256),
        clip_norm=5.0,
    )
    metrics = {}
    for name, part in (("test", data.test), ("messy", messy)):
        measured = evaluate(own, state, in_order(part, 256))
        metrics |= {f"{name}_{what}": float(measured[what].value()) for what in ("words", "addresses")}
    return Outcome(params=state.params, metrics=metrics, history=history)


if __name__ == "__main__":
    launch(experiment, Config)
