"""BERT on film reviews: hidden words without any label, then a few labels, against the same network without the first.

Data      IMDB ("Learning Word Vectors for Sentiment Analysis", Maas et al., 2011), its 10,000 most frequent words. The
          reviews that train (22,500) are read without labels, with --text a file beside them; of 100, 250 or 500 the
          labels are seen, others in each try. 500 of other films validate, 2,000 of the test's test: 64 last words.
Network   as BERT reads, to both sides ("BERT", Devlin et al., 2019), with the norms before and rotary positions, which
          learn from little ("Smarter, Better, Faster, Longer", Warner et al., 2024): 2 layers, 4 heads, 128 wide, 256
          within. Read out by the table that embeds; for labels, the mean of all words and one logit.
Training  2,500 steps of 16 windows of 128 words, of which 30 % are hidden ("Should You Mask 15% in Masked Language
          Modeling?", Wettig et al., 2023): AdamW, 100 steps of warm-up to 3e-3, cosine to a tenth.
Tuning    80 steps of 16 reviews, Adam, a tenth of warm-up to 1e-3 for the encoder and 1e-2 for the read-out, cosine to
          0, dropout and word dropout of 0.1; the same for both beginnings. (No rate was searched: after words, a third
          was worse on validation once.) A try is other labels and all that is drawn; all run side by side.
Run       python -m experiments.bert
Measured  one pre-training (seed 0; of the hidden words 0.265 are guessed, loss 4.695, on validation), five tries each:
          accuracy on the test by 100, 250 and 500 labels 0.612+-0.015, 0.662+-0.002 and 0.677+-0.010, from scratch
          0.585+-0.028, 0.627+-0.018 and 0.677+-0.023. The gain is 0.027, 0.034 and 0.000, its standard error over the
          tries 0.009, 0.008 and 0.008: it helps where labels are few, and with 500 not. One CPU core, 13 minutes.
          With the plays of Shakespeare and the addresses of the presidents beside the reviews (--text, 16 MB): gains of
          0.021, 0.026 and -0.003, standard errors 0.008, 0.010 and 0.010; other text than reviews is no help here.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import datasets, pictures
from experiments.corpus import read_text
from experiments.harness import Outcome, launch
from experiments.masked_words import Rows, encoder, encoder_spec, endings, filled, guess, stream
from experiments.options import Common
from experiments.training import evaluate, train
from jnn import layers, models
from jnn.data import UNKNOWN, Batches, Windows, in_order, windows_in_order, word_dropout
from jnn.initializers import zeros
from jnn.train import LossOutput, TrainState

VALIDATING, WINDOWS = 500, 256  # reviews with a label, and windows without, that validate
KINDS = ("pretrained", "scratch")  # how a network began


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Hidden words, then a few labels."""

    steps: int = 2500
    workdir: str = "runs/bert"
    text: str | None = None  # a file in UTF-8 that is read beside the reviews
    layers: int = 2
    heads: int = 4
    embed: int = 128
    batch_size: int = 16
    learning_rate: float = 3e-3
    warmup: int = 100
    masked: float = 0.3
    length: int = 128  # words of a window
    tokens: int = 64  # words of a review with its label
    labels: tuple[int, ...] = (100, 250, 500)
    tries: int = 5
    tuning_steps: int = 80
    rates: tuple[float, float] = (1e-3, 1e-3)  # of the encoder: after pre-training, and from scratch
    head_rate: float = 1e-2
    test_reviews: int = 2000
    dropout: float = 0.1
    word_dropout: float = 0.1


def pretrain(config: Config, spec: dict, texts: np.ndarray, held_out: list[Rows]) -> tuple[Any, list[dict]]:
    """Parameters that know words by those around them, and the history."""
    rate, steps = config.learning_rate, config.steps
    schedule = optax.warmup_cosine_decay_schedule(0.0, rate, config.warmup, steps, rate / 10)
    state, history = train(
        config,
        spec,
        partial(guess, share=config.masked),
        optax.adamw(schedule, b2=0.98, weight_decay=0.01, mask=jnn.weight_mask(spec)),
        Windows(texts, config.length, config.batch_size, seed=config.seed),
        every=max(1, steps // 25),
        validation=held_out,
        clip_norm=1.0,
        name="words",
    )
    return state.params, history


def score(p: dict, x: jax.Array, lengths: jax.Array, key: jax.Array | None, config: Config) -> jax.Array:
    """Reviews (b, t) to logits (b,), from the mean of a review's words."""
    keys = [None] * 3 if key is None else jax.random.split(key, 3)
    x = word_dropout(x, config.word_dropout, UNKNOWN, lengths=lengths, key=keys[0])
    vectors = encoder(p["encoder"], x, lengths=lengths, key=keys[1], rate=config.dropout)
    mean = layers.dropout(models.mean_pool(vectors, lengths=lengths), config.dropout, key=keys[2])
    return layers.linear(p["out"], mean)[..., 0]


def judge(params, batch, ctx, config):
    """Cross-entropy of labels (b, tries), each try's by parameters of its own; the accuracy of each, and of all."""
    keys = None if ctx.key is None else jax.random.split(ctx.key, config.tries)
    every = jax.vmap(partial(score, config=config), (0, 1, 1, 0), 1)
    logits, y = every(params, batch["x"], batch["length"], keys), batch["y"].astype("float32")
    weight = batch["weight"]
    right = ((logits > 0) == (y > 0)).astype("float32")
    metrics = {f"accuracy_{i}": jnn.metrics.mean(right[:, i], weight) for i in range(config.tries)}
    metrics["accuracy"] = jnn.metrics.mean(right.mean(1), weight)
    return LossOutput(jnn.losses.binary_cross_entropy_with_logits(logits, y), weight, metrics=metrics)


def tune(
    config: Config, loss: Any, spec: dict, start: Any, rows: Rows, validation: list[Rows], rate: float, *, name: str
) -> TrainState:
    """All tries, side by side: a fresh read-out behind an encoder that is given, or drawn."""
    both = {"encoder": spec, "out": layers.linear_spec(config.embed, 1, init=zeros)}
    stacked, steps = jnn.stack(both, config.tries, "tries"), config.tuning_steps
    params = jnn.init(stacked, jnn.path_key(jax.random.key(config.seed), "start"))
    if start is not None:
        params["encoder"] = jax.tree.map(lambda x: jnp.repeat(x[None], config.tries, 0), start)
    adam = lambda rate: optax.adam(optax.warmup_cosine_decay_schedule(0.0, rate, steps // 10, steps))
    rates = {"encoder": adam(rate), "out": adam(config.head_rate)}
    return train(
        dataclasses.replace(config, steps=steps),
        stacked,
        loss,
        optax.multi_transform(rates, {part: part for part in rates}),
        Batches(rows, config.batch_size, seed=config.seed),
        every=steps,
        validation=validation,
        start=params,
        name=name,
    )[0]


def compare(config: Config, spec: dict, learned: Any, data: datasets.Data) -> tuple[dict, dict[str, np.ndarray]]:
    """Tuned parameters, and accuracies on the test (labels, tries) by how they began."""
    own, same = partial(judge, config=config), [datasets.SPLIT_SEED] * config.tries
    validation = in_order(endings(data.validation, VALIDATING, config.tokens, same), 250)
    tests = in_order(endings(data.test, config.test_reviews, config.tokens, same), 250)
    params, found = {}, {kind: [] for kind in KINDS}
    for n in config.labels:
        rows = endings(data.train, n, config.tokens, [(config.seed, i) for i in range(config.tries)])
        for kind, start, rate in zip(KINDS, (learned, None), config.rates, strict=True):
            state = tune(config, own, spec, start, rows, validation, rate, name=f"{kind}-{n}")
            tested = evaluate(own, state, tests)
            found[kind].append([float(tested[f"accuracy_{i}"].value()) for i in range(config.tries)])
            params[f"{kind}_{n}"] = state.params
    return params, {kind: np.array(rows) for kind, rows in found.items()}


def experiment(config: Config) -> Outcome:
    """Learns words; then tunes what has and what has not."""
    data, words = datasets.reviews(config.data_dir)
    spec = encoder_spec(config.embed, config.heads, config.layers)
    more = [] if config.text is None else [words.encode(read_text(config.text))]
    held_out = windows_in_order(stream(data.validation)[: WINDOWS * config.length + 1], config.length)["x"]
    params, history = pretrain(config, spec, np.concatenate([stream(data.train), *more]), in_order({"x": held_out}, 64))
    tuned, found = compare(config, spec, params, data)
    gain = found["pretrained"] - found["scratch"]
    metrics = {f"words_{name}": history[-1][f"val/{name}"] for name in ("loss", "accuracy")}
    metrics |= {"labels": config.labels} | {kind: rows.mean(1) for kind, rows in found.items()}
    metrics |= {f"{kind}_deviation": rows.std(1, ddof=1) for kind, rows in found.items()}
    metrics |= {"gain": gain.mean(1), "gain_error": gain.std(1, ddof=1) / np.sqrt(config.tries)}
    curves = partial(pictures.by_size, config.labels, found)
    page = lambda: pictures.page(filled(params, held_out[:12], words, config.masked / 2))
    figures = {
        "Accuracy by the number of labels: mean and deviation of the tries.": partial(
            curves, "labels", "test accuracy"
        ),
        "Hidden words: [guess], or [guess|what was there].": page,
    }
    return Outcome({"words": params} | tuned, metrics, history, figures)


if __name__ == "__main__":
    launch(experiment, Config)
