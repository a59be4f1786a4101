"""Letters to phonemes: an LSTM with attention, or a transformer, learns to read the CMU Pronouncing Dictionary aloud.

Data      117,491 words of letters alone and all 125,853 ways to say them, of 69 phonemes, stress included. 5,875 words
          test, 2,232 validate, with all their pronunciations; of 14 letters, and fewer phonemes, at most train, 99.4 %.
Network   letters to phonemes by an LSTM in both directions and one that attends to it and is fed what it found
          ("Effective Approaches to Attention-based Neural Machine Translation", Luong, Pham and Manning, 2015); or an
          encoder-decoder ("Attention Is All You Need", Vaswani et al., 2017), norms before the branches, dropout 0.1.
Training  Adam, 200 steps of warm-up to 2e-3 and cosine to 0, labels smoothed by 0.1, batches of 128.
Run       python -m experiments.g2p [--model transformer --workdir runs/g2p-transformer]
Measured  held-out words, the nearest pronunciation counts; errors of phonemes and of words, and both without stress:
          LSTM 0.207, 0.587, 0.182, 0.562, and transformer 0.138, 0.471, 0.111, 0.425 (one seed each, 2.2 passes over
          the data); g2p_en's published weights, which have most likely seen these words, 0.101, 0.314, 0.082, 0.271.
          Processor time 521 and 545 seconds.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

import jnn
from experiments import pictures
from experiments.chunks import in_chunks
from experiments.g2p_en import g2p_en, load_g2p_en, rows, spelled
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.phonemes import (
    END,
    FIRST,
    LETTERS,
    LONGEST,
    PAD,
    START,
    Said,
    decode,
    dictionary,
    encode,
    error_rates,
    letters,
    nearest,
    parts,
)
from experiments.teacher_forcing import teacher_forced_loss
from experiments.training import train
from jnn import layers
from jnn.data import Batches, in_order
from jnn.generation import GREEDY, generate
from jnn.models import (
    EncoderDecoderConfig,
    encoder_decoder,
    encoder_decoder_model,
    encoder_decoder_spec,
    seq2seq,
    seq2seq_decode,
    seq2seq_spec,
)


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Letters to phonemes."""

    steps: int = 2000
    workdir: str = "runs/g2p"
    model: Literal["lstm", "transformer"] = "lstm"
    length: int = 14
    embed: int = 128
    hidden: int = 192
    layers: int = 3  # of the transformer, as heads and dropout are
    heads: int = 4
    dropout: float = 0.1
    batch_size: int = 128
    learning_rate: float = 2e-3
    warmup: int = 200
    smoothing: float = 0.1


class Network(NamedTuple):
    """logits: (params, letters, lengths, phonemes read, key) -> (b, t, phonemes); write: (params, letters, lengths)."""

    spec: jnn.Spec
    logits: Callable[..., jax.Array]
    write: Callable[..., jax.Array]


def lstm(config: Config, phonemes: int) -> Network:
    """A recurrent encoder in both directions, and a recurrent decoder that attends to it."""
    declared = {"cell_spec": layers.lstm_cell_spec, "step_spec": layers.luong_spec}
    how: dict[str, Any] = {"cell": layers.lstm_cell, "step": layers.luong_step}
    return Network(
        seq2seq_spec(len(LETTERS), phonemes, config.embed, config.hidden, **declared),
        lambda p, x, lengths, read, key: seq2seq(p, x, read, lengths=lengths, **how),
        lambda p, x, lengths: seq2seq_decode(p, x, starts(x), LONGEST, lengths=lengths, end=END, **how),
    )


def transformer(config: Config, phonemes: int) -> Network:
    """An encoder-decoder, whose decoder's keys and values are cached while it writes."""
    sizes = EncoderDecoderConfig(
        phonemes, config.layers, config.heads, config.embed, config.hidden, source_vocab=len(LETTERS), pre_norm=True
    )

    def logits(p, x, lengths, read, key):
        return encoder_decoder(p, x, read, sizes, key=key, lengths=lengths, rate=config.dropout)

    def write(p, x, lengths):
        given, model = {"params": p, "source": x, "lengths": lengths}, encoder_decoder_model(sizes)
        return generate(given, starts(x)[:, None], LONGEST, model, GREEDY, end=END).tokens[:, 1:]

    return Network(encoder_decoder_spec(sizes), logits, write)


NETWORKS = {"lstm": lstm, "transformer": transformer}


def starts(x: jax.Array) -> jax.Array:
    """What is read before the first phoneme of each row."""
    return jnp.full(x.shape[:1], START, jnp.int32)


def loss(params, batch, ctx, config: Config, network: Network):
    """Cross-entropy of the next phoneme, one number a phoneme."""
    logits_of = lambda read: network.logits(params, batch["x"], batch["length"], read, ctx.key)
    return teacher_forced_loss(logits_of, batch, ctx, pad=PAD, smoothing=config.smoothing)


def pronounce(params: jnn.Params, network: Network, words: list[str], phonemes: list[str]) -> list[Said]:
    """Pronunciations of words by greedy decoding."""
    write = jax.jit(network.write)
    written = in_chunks(lambda batch: write(params, batch["x"], batch["length"]), letters(words, LONGEST), 512)
    return [decode(row, phonemes) for row in written.tolist()]


def published(params: jnn.Params, words: list[str]) -> list[Said]:
    """Pronunciations of words by g2p_en."""
    write = jax.jit(lambda x, lengths: g2p_en(params, x, lengths)[0])
    written = in_chunks(lambda batch: write(batch["x"], batch["length"]), rows(words), 512)
    return [spelled(row) for row in written]


def experiment(config: Config) -> Outcome:
    """Trains, validates, and pronounces the words that were held out, as g2p_en does."""
    theirs = load_g2p_en(config.data_dir)
    known, phonemes = dictionary(config.data_dir)
    training, validation, test = parts(known)
    network = NETWORKS[config.model](config, FIRST + len(phonemes))
    schedule = optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, config.warmup, config.steps)
    state, history = train(
        config,
        network.spec,
        functools.partial(loss, config=config, network=network),
        optax.adam(schedule, b2=0.98, eps=1e-9),
        Batches(encode(training, known, phonemes, config.length), config.batch_size, seed=config.seed),
        every=200,
        validation=in_order(encode(validation, known, phonemes, config.length), 512),
        clip_norm=1.0,
    )
    found = pronounce(state.params, network, test, phonemes)
    references = [known[word] for word in test]
    others = error_rates(published(theirs, test), references)
    return Outcome(
        params=state.params,
        metrics={
            "val_loss": history[-1]["val/loss"],
            **error_rates(found, references),
            **{f"g2p_en_{name}": value for name, value in others.items()},
        },
        history=history,
        figures={
            "Held-out words that it got wrong: what it said, and the nearest that is right.": lambda: pictures.page(
                mistakes(test, found, references)
            )
        },
    )


def mistakes(words: list[str], found: list[Said], references: list[list[Said]]) -> str:
    """Mistakes, a line each, as the report shows the first of them."""
    wrong = [(word, own, each) for word, own, each in zip(words, found, references, strict=True) if own not in each]
    lines = [f"{word:20}{' '.join(own):40}{' '.join(nearest(own, each))}" for word, own, each in wrong[:60]]
    return "\n".join(lines or ["none"])


if __name__ == "__main__":
    launch(experiment, Config)
