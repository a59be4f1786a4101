"""A GPT on the plays of Shakespeare, or on any text, by characters or by byte pairs; nanoGPT's setting for a CPU.

Data      1,115,394 characters (tinyshakespeare), or --text FILE; the last tenth validates. With --separator the text is
          documents: rows are packed with them, and none sees another.
Network   decoder-only transformer ("Language Models are Unsupervised Multitask Learners", Radford et al., 2019): 4
          layers, 4 heads, 128 wide, context 64, no biases, no dropout, tied read-out.
Training  2,000 steps of 12 windows; AdamW (0.9, 0.99), weight decay 0.1 on weights, 100 steps of warm-up to 3e-3,
          cosine to a tenth, gradients clipped to norm 1. nanoGPT publishes a validation loss of 1.88 for it. Of its
          settings the learning rate alone is another: on the tenth before the last (trained on the eight before),
          its 1e-3 gives 1.870 and 3e-3 gives 1.743.
Run       python -m experiments.gpt
          python -m experiments.gpt --tokenizer bpe --vocab 512      (pip install 'jnn[experiments,text]')
          python -m experiments.generate --weights runs/gpt --prompt 'ROMEO:'             once it has ended
          python -m experiments.gpt --layers 6 --heads 6 --embed 384 --context 256 --batch-size 64 --steps 5000 \
            --learning-rate 1e-3 --dropout 0.2 --compute-dtype bfloat16            nanoGPT's setting for a GPU: 1.47
Measured  loss on the whole validation tenth: 1.780, 1.777 and 1.759, three seeds. Two CPU cores, 1.5 minutes each.
          With --optimizer muon 1.618, one seed.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import pictures
from experiments.claims import write_json
from experiments.corpus import Growing, divide, make_tokenizer, read_text, tokenize
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.published import CHARACTERS
from experiments.refusals import refuse
from experiments.training import first, train
from jnn.axes import gather
from jnn.data import Characters, Tokenizer, tinyshakespeare
from jnn.generation import Sampling, generate
from jnn.launch import USAGE
from jnn.layers import segment_mask
from jnn.models import TRANSFORMER, transformer, transformer_hidden, transformer_spec
from jnn.remat import POLICIES
from jnn.train import LossOutput

LARGE = 8192  # tokens of a vocabulary whose logits are not held all at once


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """A GPT on the plays of Shakespeare, or on any text."""

    steps: int = 2000
    workdir: str = "runs/gpt"
    text: str | None = None  # a file in UTF-8; default: tinyshakespeare
    separator: str | None = None  # what stands between two documents of the text; default: it is one
    tokenizer: Literal["characters", "bpe"] = "characters"
    vocab: int | None = None  # of bpe, 256 bytes among them; default: 512
    layers: int = 4
    heads: int = 4
    embed: int = 128
    context: int = 64
    dropout: float = 0.0
    batch_size: int = 12
    optimizer: Literal["adamw", "muon"] = "adamw"  # muon: for the linear maps of the layers, adamw for the rest
    learning_rate: float = 3e-3
    warmup: int = 100
    schedule: Literal["cosine", "wsd"] = "cosine"  # behind the warm-up: to a tenth; or flat, and its last fifth to 0
    length_warmup: int = 0  # steps whose rows are short: an eighth of the context, a fourth, half
    weight_decay: float = 0.1
    loss: Literal["auto", "whole", "chunked"] = "auto"  # chunked: by parts of the vocabulary; auto: of a large one
    compute_dtype: Literal["float32", "bfloat16"] = "float32"  # of products in training
    remat: Literal["none", "dots", "names", "offload", "full"] = "dots"  # what the gradient remembers: see jnn.remat
    sample: int = 500
    temperature: float = 0.8


def loss(params, batch, ctx, *, chunked=False, rate=0.0, remat="dots"):
    """Cross-entropy of the next token, one number a token."""
    weight = batch.get("weight")  # a full batch of random windows needs none
    how = {"key": ctx.key, "rate": rate, "remat": remat}
    if "segments" in batch:
        how |= {"positions": batch["positions"], "mask": segment_mask(batch["segments"])}
        weight = weight[:, None] * (batch["segments"] > 0)
    if chunked:
        table = gather(params["embed"], "embed")["table"]
        hidden = transformer_hidden(params, batch["x"], **how)
        return LossOutput(jnn.losses.chunked_cross_entropy(hidden, table, batch["y"]), weight)
    logits = transformer(params, batch["x"], **how)
    values = jnn.losses.cross_entropy(logits, batch["y"])
    return LossOutput(values, weight, metrics={"accuracy": jnn.metrics.accuracy(logits, batch["y"], weight)})


def experiment(config: Config) -> Outcome:
    """Trains, validates on the whole last tenth, and writes a page of its own."""
    check(config)
    text = tinyshakespeare(config.data_dir) if config.text is None else read_text(config.text)
    divided = divide(text, config.separator)
    size = (config.vocab or 512) if config.tokenizer == "bpe" else None
    tokenizer = make_tokenizer(size, text, divided[0], config.separator)
    corpus = tokenize(tokenizer, divided, packed=config.separator is not None)
    spec = transformer_spec(
        len(tokenizer), config.context, layers=config.layers, heads=config.heads, embed=config.embed, bias=False
    )
    batches = corpus.batches(config.context, config.batch_size, config.seed)
    chunked = config.loss == "chunked" or (config.loss == "auto" and len(tokenizer) >= LARGE)
    remembering = lambda remat: functools.partial(loss, chunked=chunked, rate=config.dropout, remat=remat)
    state, history = train(
        config,
        spec,
        remembering(None if config.remat == "none" else config.remat),
        optimizer(config, spec),
        Growing(batches, config.context, config.length_warmup) if config.length_warmup else batches,
        every=250,
        validation=corpus.validation(config.context, 128),
        losses={policy: remembering(policy) for policy in POLICIES},
        clip_norm=1.0,
        compute_dtype=None if config.compute_dtype == "float32" else jnp.dtype(config.compute_dtype),
    )
    if first():
        save(tokenizer, Path(config.workdir))
    key = jnn.path_key(jax.random.key(config.seed), "sample")
    prompt = np.concatenate(corpus.validating)[: config.context // 2]
    written = lambda: write(state.params, prompt, config, key)
    last = {name.removeprefix("val/"): value for name, value in history[-1].items() if name.startswith("val/")}
    return Outcome(
        params=state.params,
        metrics={
            **{f"val_{name}": value for name, value in last.items()},
            "val_bits_per_character": last["loss"] / corpus.characters / math.log(2),
        },
        history=history,
        figures={"A page of its own, sampled with the cache.": lambda: pictures.page(tokenizer.decode(written()))},
    )


def save(tokenizer: Characters | Tokenizer, folder: Path) -> None:
    """Writes what makes tokens of text, for whoever reads the run: `experiments.published`."""
    if isinstance(tokenizer, Tokenizer):
        tokenizer.save(folder / "tokenizer.json")
    else:
        write_json(folder / CHARACTERS, tokenizer.names)


def check(config: Config) -> None:
    """Ends the process where options mean nothing together."""
    if config.vocab is not None and config.tokenizer != "bpe":
        refuse(
            "--vocab: of --tokenizer bpe alone, which learns so many; characters are as many as the text has.", USAGE
        )
    if config.schedule == "wsd" and not config.warmup < (flat := config.steps - last_fifth(config)):
        refuse(f"--warmup: expected fewer than the {flat} steps before the last fifth, found {config.warmup}.", USAGE)


def last_fifth(config: Config) -> int:
    """The steps over which a flat learning rate falls."""
    return config.steps // 5


def schedule(config: Config) -> optax.Schedule:
    """Learning-rate schedule: warmed up, then a cosine or flat; see "MiniCPM", Hu et al., 2024, for the latter."""
    peak, fall = config.learning_rate, last_fifth(config)
    if config.schedule == "cosine":
        return optax.warmup_cosine_decay_schedule(0.0, peak, config.warmup, config.steps, peak / 10)
    rise, down = optax.linear_schedule(0.0, peak, config.warmup), optax.linear_schedule(peak, 0.0, fall)
    return optax.join_schedules([rise, optax.constant_schedule(peak), down], [config.warmup, config.steps - fall])


def optimizer(config: Config, spec: Any) -> optax.GradientTransformation:
    """AdamW; or Muon with updates as large as AdamW's, as in "Muon is Scalable for LLM Training", Liu et al., 2025."""
    rates = schedule(config)
    if config.optimizer == "adamw":
        return optax.adamw(rates, b2=0.99, weight_decay=config.weight_decay, mask=jnn.weight_mask(spec))
    return optax.contrib.muon(
        rates,
        weight_decay=config.weight_decay,
        adam_b2=0.99,
        muon_weight_dimension_numbers=jnn.muon_dimension_numbers(spec),
        consistent_rms=0.2,
    )


def write(params, prompt: np.ndarray, config: Config, key: jax.Array) -> np.ndarray:
    """`config.sample` tokens after the prompt, half a context at a time, each time after the half before."""
    written, sampling = prompt, Sampling(temperature=config.temperature)
    for i in range(-(-config.sample // len(prompt))):
        last = jnp.asarray(written[-len(prompt) :])
        after = generate(params, last, len(prompt), TRANSFORMER, sampling, key=jax.random.fold_in(key, i)).tokens
        written = np.concatenate([written, np.asarray(after[len(prompt) :])])
    return written[: len(prompt) + config.sample]


if __name__ == "__main__":
    launch(experiment, Config)
