"""Film reviews, good or bad, by a trained encoder: its head alone, LoRA, DoRA, adapters, prefixes, or all of it.

Data      IMDB ("Learning Word Vectors for Sentiment Analysis", Maas et al., 2011): of its training reviews 1,024,
          of its test's 800, the last 64 word pieces of each.
Network   MiniLM of 6 layers, 384 wide (sentence-transformers/all-MiniLM-L6-v2: "MiniLM", Wang et al., 2020), the mean
          of its tokens' vectors, one logit. Its files are `weights/minilm/` below the data directory.
Methods   "LoRA", Hu et al., 2021, rank 8 on queries and values; "DoRA", Liu et al., 2024, the same; adapters of width
          32, "Parameter-Efficient Transfer Learning for NLP", Houlsby et al., 2019; 16 prefixes, "Prefix-Tuning", Li
          and Liang, 2021; LoRA over int8 weights, after "QLoRA", Dettmers et al., 2023.
Training  Adam, linear from 1e-2 for the head, and from the method's rate for the rest, to 0; batches of 32, one epoch.
          Nothing is chosen on the test reviews.
Run       python -m experiments.finetune [--methods lora dora]        (pip install 'jnn[experiments,text]')
Measured  test accuracy (one seed, its standard error 0.015), processor time on a busy machine: head 0.705, 18 s;
          prefixes 0.726, 49; LoRA 0.748, 50; over int8 0.748, 51; DoRA 0.750, 51; adapters 0.786, 52; whole 0.809, 74.
          --train-reviews 4000 --test-reviews 4000 --tokens 128 --steps 125 (standard error 0.006): 0.757, 74 s; 0.817,
          211; 0.851, 240; 0.851, 210; 0.851, 230; 0.863, 218; 0.874, 285.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import numpy as np
import optax

import jnn
from experiments.harness import Outcome, launch
from experiments.minilm import pretrained, word_pieces
from experiments.options import Common
from jnn import finetune, layers, models
from jnn.data import Batches, imdb, in_order
from jnn.inspect import memory
from jnn.quantization import quantize
from jnn.terminal import say
from jnn.train import LossOutput, create_state, evaluate_on, fit, make_eval, make_step


@dataclasses.dataclass(frozen=True)
class Method:
    """A way to fine-tune.

    parts: what is declared beside the model's spec; None for nothing, "whole" trains the model itself.
    learning_rate: Adam's, of all but the head.
    bits: of the weights that are not trained.
    """

    parts: Callable[[Any], Any] | None
    learning_rate: float
    bits: int = 32


HEAD_RATE = 1e-2
METHODS = {
    "head": Method(None, 0.0),
    "whole": Method(None, 1e-4),
    "lora": Method(partial(finetune.lora_spec, rank=8), 2e-3),
    "lora-int8": Method(partial(finetune.lora_spec, rank=8), 2e-3, bits=8),
    "dora": Method(partial(finetune.dora_spec, rank=8), 2e-3),
    "adapters": Method(partial(finetune.adapters_spec, width=32), 2e-3),
    "prefix": Method(partial(finetune.prefixes_spec, n=16), 1e-2),
}


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Film reviews, good or bad, by a trained encoder."""

    steps: int = 32
    workdir: str = "runs/finetune"
    methods: tuple[Literal["head", "whole", "lora", "lora-int8", "dora", "adapters", "prefix"], ...] = tuple(METHODS)
    batch_size: int = 32
    train_reviews: int = 1024
    test_reviews: int = 800
    tokens: int = 64


def reviews(config: Config, part: str, n: int) -> dict[str, np.ndarray]:
    """Word pieces (n, tokens) of the ends of n reviews, how many they are, and whether the review is favourable."""
    texts, y = imdb(config.data_dir, part)
    chosen = np.random.default_rng(config.seed).permutation(len(texts))[:n]
    x, lengths = word_pieces([texts[i] for i in chosen], config.tokens, config.data_dir, cut="left")
    return {"x": x, "length": lengths, "y": y[chosen]}


def experiment(config: Config) -> Outcome:
    """Tunes by one method after another; each begins with the same body and head."""
    train, test = (reviews(config, part, getattr(config, f"{part}_reviews")) for part in ("train", "test"))
    sizes, spec, base = pretrained(config.data_dir)
    rows = {}
    for name in config.methods:
        rows[name] = tune(config, METHODS[name], sizes, spec, base, train, test)
        say(f"{name}: {rows[name]}")
    columns = zip(*[row.values() for row in rows.values()], strict=True)
    names = next(iter(rows.values()))
    return Outcome({}, {"method": list(rows), **{name: [*column] for name, column in zip(names, columns, strict=True)}})


def tune(config: Config, method: Method, sizes: Any, spec: Any, base: Any, train: Any, test: Any) -> dict[str, float]:
    """A row of the table: accuracy on the test reviews, and what it took."""
    key = jax.random.key(config.seed)
    whole = method == METHODS["whole"]
    parts = jax.tree.map(jax.numpy.copy, base) if whole else {}
    parts = jnn.init(method.parts(spec), jnn.path_key(key, "parts")) if method.parts else parts
    params = {"head": jnn.init(layers.linear_spec(sizes.embed, 1), jnn.path_key(key, "head")), "parts": parts}
    given = None if whole else quantize(base, spec, bits=8, where="blocks/*") if method.bits == 8 else base

    def loss(params, batch, ctx) -> LossOutput:
        p = params["parts"] if whole else finetune.with_parts(ctx.given, params["parts"])
        hidden = models.encoder(p, batch["x"], sizes, key=None, lengths=batch["length"], remat=None)
        logits = layers.linear(params["head"], models.mean_pool(hidden, lengths=batch["length"]))
        y, weight = batch["y"][:, None].astype("float32"), batch["weight"]
        metrics = {"accuracy": jnn.metrics.binary_accuracy(logits, y, weight, threshold=0.0)}
        return LossOutput(jnn.losses.binary_cross_entropy_with_logits(logits, y), weight, metrics=metrics)

    adam = lambda rate: optax.adam(optax.linear_schedule(rate, 0.0, config.steps))
    rates = {"head": adam(HEAD_RATE), "parts": adam(method.learning_rate)}
    optimizer = optax.multi_transform(rates, {name: name for name in rates})
    state, batches = create_state(params, optimizer), Batches(train, config.batch_size, seed=config.seed)
    step = make_step(loss, optimizer, jnn.path_key(key, "noise"), given=given)
    held = memory(step.lower(state, batches[0]).compile())
    began = time.process_time()
    state, _ = fit(step, state, batches, steps=config.steps, every=config.steps)
    seconds = time.process_time() - began
    tested = evaluate_on(make_eval(loss, given=given), in_order(test, 100), state)
    return {
        "test_accuracy": round(float(tested["accuracy"].value()), 4),
        "trained": jnn.count_params(params),
        "megabytes_of_state": round(sum(x.nbytes for x in jax.tree.leaves(state)) / 1e6, 1),
        "megabytes_at_peak": round(held.peak / 1e6),
        "processor_seconds": round(seconds),
    }


if __name__ == "__main__":
    launch(experiment, Config)
