"""Strings of digits written down."""

from __future__ import annotations

import dataclasses

import numpy as np
import optax

import jnn
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.spoken_strings import NOISE, UNIFORM, Strings, draw, joined, recordings
from experiments.training import train
from experiments.transcriber import ctc_logits, hear, transcriber_spec, transducer_logits
from jnn.data import in_order
from jnn.train import LossOutput


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Strings of digits written down."""

    steps: int = 1200
    workdir: str = "runs/transcribe"
    batch_size: int = 32
    learning_rate: float = 3e-3
    warmup: int = 100
    width: int = 64
    dropout: float = 0.2


def loss(params, batch, ctx, config):
    """CTC and the transducer's loss, both of the same frames."""
    frames, lengths = hear(params, batch["x"], batch["samples"], key=ctx.key, rate=config.dropout)
    wanted = (batch["y"], lengths, batch["digits"])
    ctc = jnn.losses.ctc_loss(ctc_logits(params, frames), *wanted)
    transducer = jnn.losses.transducer_loss(transducer_logits(params, frames, batch["y"]), *wanted)
    metrics = {"ctc": jnn.metrics.mean(ctc, batch["weight"])}
    return LossOutput(ctc + transducer, batch["weight"], metrics=metrics)


def experiment(config: Config) -> Outcome:
    training, validating, _ = recordings(config.data_dir)
    rng = np.random.default_rng(0)
    validation = joined(rng, validating, *draw(rng, 192, UNIFORM), rng.uniform(*NOISE, 192))
    state, history = train(
        config,
        transcriber_spec(config.width),
        lambda params, batch, ctx: loss(params, batch, ctx, config),
        optax.adam(optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, config.warmup, config.steps)),
        Strings(training, config.batch_size, config.seed),
        every=100,
        validation=in_order(validation, 64),
        clip_norm=5.0,
    )
    return Outcome(params=state.params, metrics={}, history=history)


if __name__ == "__main__":
    launch(experiment, Config)
