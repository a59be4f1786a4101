"""Masked-language pre-training of a small encoder, and what it is worth where labels are few.

Data      text: Shakespeare's plays, the State of the Union addresses, and IMDB's training reviews without their labels
          ("Learning Word Vectors for Sentiment Analysis", Maas et al., 2011), 13 million pieces of a byte-level BPE of
          4,096 that is trained on them. Labels: 1,000 of these reviews, the last 128 pieces of each; 1,000 others,
          whose text is held out too, choose the learning rate, and 5,000 of the test's reviews test.
Network   BERT's encoder ("BERT", Devlin et al., 2019) of 2 layers, 4 heads, 128 wide, in which a piece sees 4
          pieces on either side; logits of the hidden pieces alone. To tune, the mean of its vectors, and one logit.
Training  3,000 steps of 16 windows of 128 pieces, 40 % of them hidden anew at each step ("Should You Mask 15% in
          Masked Language Modeling?", Wettig et al., 2023); AdamW, warm-up to 2e-3, cosine to a tenth. Then three epochs
          of 16 reviews a step from these parameters, and as many from fresh ones: Adam, warm-up to a rate, cosine to
          0, of three rates that which is best on the reviews that choose.
Run       python -m experiments.bert        (pip install 'jnn[experiments,text]')
Measured  not yet.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import pictures
from experiments.corpora import FIRST, MASK, Reading, reading
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.refusals import refuse
from experiments.training import evaluate, train
from jnn import layers, models
from jnn.data import Batches, Masked, Windows, in_order, mask_tokens, windows_in_order
from jnn.initializers import normal
from jnn.models import EncoderConfig
from jnn.train import LossOutput

STARTS = ("pretrained", "scratch")


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Masked-language pre-training, and what it is worth."""

    steps: int = 3000  # of pre-training
    tune_steps: int = 189
    workdir: str = "runs/bert"
    vocabulary: int = 4096
    layers: int = 2
    heads: int = 4
    embed: int = 128
    tokens: int = 128
    batch_size: int = 16
    learning_rate: float = 2e-3  # of pre-training
    warmup: int = 100
    weight_decay: float = 0.01
    hide: float = 0.4
    reach: int = 4  # pieces on either side that one sees
    tune_rates: tuple[float, ...] = (3e-4, 1e-3, 3e-3)
    train_reviews: int = 1000
    choose_reviews: int = 1000
    test_reviews: int = 5000


def hidden(x: jax.Array, config: Config, key: jax.Array | None) -> Masked:
    """Windows (b, t) with some pieces hidden: the same places wherever there is no key."""
    key = jax.random.key(0) if key is None else key
    return mask_tokens(x, MASK, FIRST, config.vocabulary, lengths=None, key=key, rate=config.hide)


def network_spec(sizes: EncoderConfig) -> Any:
    """BERT's encoder, its weights as large as its width asks for: those of 0.02 hand on little of 128 numbers."""
    init = normal(sizes.embed**-0.5)
    wider = lambda param: dataclasses.replace(param, init=init) if len(param.shape) - param.stacked > 1 else param
    spec = models.encoder_spec(sizes)
    return spec | {"blocks": jax.tree.map(wider, spec["blocks"])}


def vectors(p: Any, x: jax.Array, config: Config, sizes: EncoderConfig, lengths: jax.Array | None = None) -> jax.Array:
    """The encoder's, where a piece sees those near it: what stands beside it is learned long before what is far."""
    at = jnp.arange(x.shape[-1])
    near = jnp.abs(at[:, None] - at[None, :]) <= config.reach
    return models.encoder(p, x, sizes, key=None, mask=near, lengths=lengths)


def guess(params, batch, ctx, *, config: Config, sizes: EncoderConfig) -> LossOutput:
    """Cross-entropy of the hidden pieces, one number each; logits are made of no others.

    A window has room for three deviations more of them than the mean.
    """
    masked, t = hidden(batch["x"], config, ctx.key), batch["x"].shape[-1]
    most = math.ceil(t * config.hide + 3 * math.sqrt(t * config.hide * (1 - config.hide)))
    weights, where = jax.lax.top_k(masked.weights, min(t, most))
    x = vectors(params["encoder"], masked.inputs, config, sizes)
    x = jnp.take_along_axis(x, where[..., None], axis=-2)
    logits = models.masked_language_model(params["head"], x, params["encoder"]["embed"], sizes)
    y = jnp.take_along_axis(masked.labels, where, axis=-1)
    weights = weights * batch["weight"][:, None] if "weight" in batch else weights  # random windows are all real
    metrics = {"accuracy": jnn.metrics.accuracy(logits, y, weights)}
    return LossOutput(jnn.losses.cross_entropy(logits, y), weights, metrics=metrics)


def judge(params, batch, ctx, *, config: Config, sizes: EncoderConfig) -> LossOutput:
    """Cross-entropy of whether a review is favourable."""
    x = vectors(params["encoder"], batch["x"], config, sizes, batch["length"])
    logits = layers.linear(params["out"], models.mean_pool(x, lengths=batch["length"]))
    y, weight = batch["y"][:, None].astype(jnp.float32), batch["weight"]
    metrics = {"accuracy": jnn.metrics.binary_accuracy(logits, y, weight, threshold=0.0)}
    return LossOutput(jnn.losses.binary_cross_entropy_with_logits(logits, y), weight, metrics=metrics)


def beginning(spec: Any, params: Any) -> Any:
    """A spec whose initial values are these params."""
    return jax.tree.map(lambda param, x: dataclasses.replace(param, init=lambda *_: x, stacked=0), spec, params)


def experiment(config: Config) -> Outcome:
    """Pre-trains, tunes from there and from fresh parameters, and tests both."""
    if not 0 <= config.warmup < config.steps:
        refuse(f"--warmup: expected fewer than the {config.steps} steps, found {config.warmup}.", 2)
    sizes = EncoderConfig(
        vocab=config.vocabulary,
        layers=config.layers,
        heads=config.heads,
        embed=config.embed,
        hidden=4 * config.embed,
        context=config.tokens,
        segments=0,
    )
    numbers = {"train": config.train_reviews, "choose": config.choose_reviews, "test": config.test_reviews}
    data = reading(config.data_dir, config.vocabulary, config.tokens, **numbers)
    params, history, metrics = pretrain(config, sizes, data)
    rows = {start: tune(config, sizes, data, params["encoder"] if start == "pretrained" else None) for start in STARTS}
    for start, (_, found) in rows.items():
        metrics |= {f"{name}_{start}": value for name, value in found.items()}
    show = lambda: pictures.page(guesses(params, data, config, sizes))
    return Outcome(
        params=rows["pretrained"][0],
        metrics=metrics,
        history=history,
        figures={"Held-out reviews: [a hidden piece that was guessed], [a guess|what was hidden].": show},
    )


def pretrain(config: Config, sizes: EncoderConfig, data: Reading) -> tuple[Any, list, dict[str, float]]:
    """Parameters that guess hidden pieces, the history, and how well they do it on what is held out of each text."""
    spec = {"encoder": network_spec(sizes), "head": models.masked_language_model_spec(sizes)}
    loss = functools.partial(guess, config=config, sizes=sizes)
    rate = config.learning_rate
    schedule = optax.warmup_cosine_decay_schedule(0.0, rate, config.warmup, config.steps, rate / 10)
    held_out = {name: in_order(windows_in_order(ids, config.tokens), 64) for name, ids in data.held_out.items()}
    state, history = train(
        config,
        spec,
        loss,
        optax.adamw(schedule, b2=0.98, weight_decay=config.weight_decay, mask=jnn.weight_mask(spec)),
        Windows(data.ids, config.tokens, config.batch_size, seed=config.seed),
        every=max(1, config.steps // 5),
        validation=held_out["reviews"][:8],
        clip_norm=1.0,
        name="pretraining",
    )
    metrics = {}
    for name, batches in held_out.items():
        measured = evaluate(loss, state, batches[:16])
        metrics[f"masked_accuracy_{name}"] = float(measured["accuracy"].value())
        metrics[f"masked_perplexity_{name}"] = math.exp(float(measured["loss"].value()))
    return state.params, history, metrics


def tune(config: Config, sizes: EncoderConfig, data: Reading, encoder: Any | None) -> tuple[Any, dict[str, Any]]:
    """The parameters of the rate that did best on the reviews that choose, and their accuracy on those that test."""
    config = dataclasses.replace(config, steps=config.tune_steps)
    spec = {"encoder": network_spec(sizes), "out": layers.linear_spec(config.embed, 1)}
    if encoder is not None:
        spec["encoder"] = beginning(spec["encoder"], encoder)
    loss, choose, found = functools.partial(judge, config=config, sizes=sizes), in_order(data.choose, 250), {}
    for rate in config.tune_rates:
        schedule = optax.warmup_cosine_decay_schedule(0.0, rate, config.steps // 10, config.steps)
        state, _ = train(
            config,
            spec,
            loss,
            optax.adam(schedule),
            Batches(data.train, config.batch_size, seed=config.seed),
            every=config.steps,
            clip_norm=1.0,
            name=f"{'scratch' if encoder is None else 'pretrained'}-{rate:g}",
        )
        found[rate] = (float(evaluate(loss, state, choose)["accuracy"].value()), state)
    best = max(found, key=lambda rate: found[rate][0])
    tested = evaluate(loss, found[best][1], in_order(data.test, 250))
    return found[best][1].params, {
        "test_accuracy": float(tested["accuracy"].value()),
        "rate": best,
        "choose_accuracy": [accuracy for accuracy, _ in found.values()],
    }


def guesses(params: Any, data: Reading, config: Config, sizes: EncoderConfig) -> str:
    """Six windows of text, with what is hidden of them as it is guessed."""
    x = windows_in_order(data.held_out["reviews"], config.tokens)["x"][:6]
    masked = hidden(jnp.asarray(x), config, None)
    rows = vectors(params["encoder"], masked.inputs, config, sizes)
    found = np.asarray(models.masked_language_model(params["head"], rows, params["encoder"]["embed"], sizes).argmax(-1))
    piece = lambda i: data.tokenizer.decode([i])
    said = lambda i, j: f"[{piece(j)}]" if i == j else f"[{piece(j)}|{piece(i)}]"
    texts = []
    for ids, guessed, chosen in zip(x, found, np.asarray(masked.weights), strict=True):
        texts.append("".join(said(i, j) if c else piece(i) for i, j, c in zip(ids, guessed, chosen, strict=True)))
    return "\n\n".join(texts)


if __name__ == "__main__":
    launch(experiment, Config)
