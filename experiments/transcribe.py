"""Strings of digits written down: CTC and a transducer, decoded greedily, by beam search, and with an n-gram.

Data      strings of 3 to 7 digits, joined from recordings of single ones (Free Spoken Digit Dataset), all of one of its
          six speakers, with pauses of up to 0.2 s and white noise. Recordings 0-4 of each digit and speaker test, 5-9
          validate, 40 train: new random strings at every step, -5 to 20 dB louder than the noise. Tests are 300 random
          strings, and 300 of a made-up language in which few digits are likely after any two. The trigram is counted on
          10,000 strings of that language, as text; how much it has to say is chosen on strings that validate.
Network   40 log-mel bands each 10 ms, two convolutions of stride 2, two layers of an LSTM of 64 in both directions; CTC
          ("Connectionist Temporal Classification", Graves et al., 2006) and a transducer ("Sequence Transduction with
          Recurrent Neural Networks", Graves, 2012; an LSTM of 64) both write what they say. Dropout 0.2.
Training  the sum of both losses; Adam, cosine from 3e-3 to 0, batches of 32, 1,200 steps.
Run       python -m experiments.transcribe
Measured  word error rates on strings of the language, 20, 5 and -5 dB above the noise, one seed. CTC: greedily 0.015,
          0.027, 0.193; by beam search 0.015, 0.027, 0.191; with the trigram 0.002, 0.003, 0.084. The transducer: 0.026,
          0.039, 0.215; 0.018, 0.033, 0.201; 0.008, 0.009, 0.092. On random strings, by beam search: 0.012, 0.028, 0.194
          and 0.015, 0.027, 0.194; with the trigram, which expects others, 0.232 or more. One busy CPU core, seven
          minutes.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import optax

import jnn
from experiments import speech_pictures
from experiments.datasets import together
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.recordings import parted
from experiments.spoken_strings import LEVELS, Strings, in_noise
from experiments.training import train
from experiments.transcriber import HOP, STRIDE, ctc_logits, hear, log_mel, transcriber_spec, transducer_logits
from experiments.transcriptions import align, measure
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
    beams: int = 8  # of every search
    examples: int = 300  # strings of each kind that test


def loss(params, batch, ctx, config):
    """CTC and the transducer's loss, both of the same frames."""
    frames, lengths = hear(params, batch["x"], batch["samples"], key=ctx.key, rate=config.dropout)
    wanted = (batch["y"], lengths, batch["digits"])
    ctc = jnn.losses.ctc_loss(ctc_logits(params, frames), *wanted)
    transducer = jnn.losses.transducer_loss(transducer_logits(params, frames, batch["y"]), *wanted)
    metrics = {"ctc": jnn.metrics.mean(ctc, batch["weight"])}
    return LossOutput(ctc + transducer, batch["weight"], metrics=metrics)


def shown(params, own):
    """The first string of the language that tests, at each level: its alignments drawn."""
    part = together([{name: array[:1] for name, array in own[level].items()} for level in LEVELS])
    places, likely = map(np.asarray, align(params, part))
    titles = [f"{level} dB above the noise" for level in LEVELS]
    return speech_pictures.alignments(part, titles, np.asarray(log_mel(part["x"])), places, likely, HOP * STRIDE)


def experiment(config: Config) -> Outcome:
    """Trains, validates, chooses weights on validation, and writes down the strings that test."""
    training, validating, testing = parted(config.data_dir)
    state, history = train(
        config,
        transcriber_spec(config.width),
        lambda params, batch, ctx: loss(params, batch, ctx, config),
        optax.adam(optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, config.warmup, config.steps)),
        Strings(training, config.batch_size, config.seed),
        every=100,
        validation=in_order(in_noise(validating, 192), 64),
        clip_norm=5.0,
    )
    rates, numbers, own = measure(state.params, validating, testing, config.examples, config.beams)
    return Outcome(
        params=state.params,
        metrics={"val_loss": history[-1]["val/loss"], **numbers},
        history=history,
        figures={
            "A string in little noise, more and most: its recordings (blue), and when each digit was heard (orange)": (
                lambda: shown(state.params, own)
            ),
            "Word error rates of the test": lambda: speech_pictures.by_noise(rates),
        },
    )


if __name__ == "__main__":
    launch(experiment, Config)
