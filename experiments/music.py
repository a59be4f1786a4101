"""Four-part chorales: a network learns from J. S. Bach's, writes others, and harmonises melodies that it has not heard.

Data      402 settings of 224 tunes (of 410 scores; a prelude, two in five parts and five with shorter notes are left
          out) on a grid of sixteenths: each voice strikes a pitch, holds it or rests. No tune is in two parts; a fifth
          of them tests, a tenth validates. What trains is moved by all semitones that the voices can sing.
Network   what was sung before is read once a step, by an LSTM of three layers or a transformer with relative attention
          ("Music Transformer", Huang et al., 2018), with the place in the bar and the steps to the next fermata; then
          soprano, alto, tenor and bass are told one after another, each from the voices above it. So a melody is
          harmonised by drawing the other three. With `--melody ahead` its next four quarters are read, too.
Training  Adam, warm-up and cosine to 0, windows of eight bars, dropout 0.2.
Run       python -m experiments.music [--model lstm] [--melody ahead]
Measured  nats a step of four voices, 70 chorales of other tunes, one seed: transformer 1.723 (soprano 0.390, alto
          0.478, tenor 0.461, bass 0.394), LSTM 1.779, Kneser-Ney's n-grams 1.791 (0.491, 0.460, 0.443, 0.396), which
          are still better at alto and tenor. Of moves of two voices 0.059 of the transformer's are parallel fifths or
          octaves, 0.009 of Bach's. A busy CPU core, 186 and 112 seconds of processor time. Nothing was tuned.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Literal

import jax
import optax

import jnn
from experiments.choir import Sizes, behind, choir_spec, told
from experiments.chorale_rows import windows
from experiments.chorales import VOICES, chorales, tokens, transpositions
from experiments.counted_chorales import counted
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.staves import grand_staff
from experiments.sung import parallels, published, sung
from experiments.training import evaluate, first, train
from jnn.data import Batches, in_order
from jnn.optional import optional
from jnn.train import LossOutput

LONGEST = 256  # steps of a piece that is harmonised


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Four-part chorales."""

    steps: int = 500
    workdir: str = "runs/music"
    model: Literal["lstm", "transformer"] = "transformer"
    melody: Literal["past", "ahead"] = "past"  # what of it is known where it is harmonised
    context: int = 128
    embed: int = 128
    layers: int = 3
    heads: int = 4
    dropout: float = 0.2
    batch_size: int = 32
    learning_rate: float = 2e-3
    warmup: int = 50
    examples: int = 4  # melodies that are harmonised
    temperature: float = 1.0  # of what is drawn


def loss(params, batch, ctx, sizes: Sizes):
    """Minus the log-likelihood of a step's voices, in nats; of a melody that is read ahead, without the soprano's."""
    keys = (None, None) if ctx.key is None else jax.random.split(ctx.key)
    known = behind(params, batch, sizes, key=keys[0])
    logits = told(params, known, batch["state"], batch["now"], sizes, key=keys[1])
    each = jnn.losses.cross_entropy(logits, tokens(batch["now"]))
    counts = batch["counts"] * batch["weight"][:, None]
    metrics = {voice.lower(): jnn.metrics.mean(each[..., i], counts) for i, voice in enumerate(VOICES)}
    return LossOutput(each[..., sizes.ahead :].sum(-1), counts, metrics=metrics)


def experiment(config: Config) -> Outcome:
    """Trains, validates, tests against n-grams, and writes MIDI and a page of what it sings."""
    optional("mido", "music")  # is missed before anything is trained
    data = chorales(config.data_dir)
    sizes = Sizes(
        *(config.model, config.embed, config.layers, config.heads, config.context, config.dropout),
        ahead=config.melody == "ahead",
    )
    own = lambda params, batch, ctx: loss(params, batch, ctx, sizes)
    trains = transpositions(data.train)
    rate = optax.warmup_cosine_decay_schedule(0, config.learning_rate, config.warmup, config.steps)
    state, history = train(
        config,
        choir_spec(sizes),
        own,
        optax.adam(rate),
        Batches(windows(trains, config.context), config.batch_size, seed=config.seed),
        every=100,
        validation=in_order(windows(data.validation, config.context, once=True), config.batch_size),
        clip_norm=1.0,
    )
    measured = evaluate(own, state, in_order(windows(data.test, config.context, once=True), config.batch_size))
    metrics = {f"test_{name}": float(value.value()) for name, value in measured.items()}
    chosen = [piece for piece in data.test if len(piece.states) <= LONGEST][: config.examples]
    songs = sung(state.params, sizes, chosen, jax.random.key(config.seed), config.temperature)
    if first():
        published(Path(config.workdir), songs)
    figures = {song.title: partial(grand_staff, song.piece, drawn=song.drawn) for song in songs}
    return Outcome(
        params=state.params,
        metrics=metrics | counted(data, trains) | parallels(songs),
        history=history,
        figures=figures,
    )


if __name__ == "__main__":
    launch(experiment, Config)
