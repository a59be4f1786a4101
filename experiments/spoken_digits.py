"""Which digit is said? By people who are known, and by each in turn of whom training has heard nothing.

Data      the Free Spoken Digit Dataset (Jackson et al., 2016): ten digits, 50 recordings of each by each of six people,
          as log-mel spectrograms: 32 bands, less their means, every 20 ms for 0.96 s. Recordings 0 to 4 of each are its
          own test set, a tenth of the others validates. Whoever is left out is tested by all 500 recordings.
Networks  cnn: convolutions to 16, 32 and 48 channels with batch norm, ReLU and 2x2 max pooling; lstm: 64 in both
          directions; conformer: two blocks of width 48 ("Conformer: Convolution-augmented Transformer for Speech
          Recognition", Gulati et al., 2020), behind a convolution that halves the frames. The mean over time, dropout.
Training  Adam, 60 steps up to 5e-3 and along a cosine to 0, batches of 32; SpecAugment (Park et al., 2019), two masks
          of up to 3 frames and two of up to 4 bands. A network on all six people and six that hear five of them each
          are one program.
Run       python -m experiments.spoken_digits [--network conformer --without nobody theo]
Measured  accuracy on the test set, cnn: 0.990+-0.004 over five seeds; the same in PyTorch, with its own initial values,
          0.994+-0.001 (mean and deviation). One seed: lstm 0.953 (PyTorch 0.960), conformer 0.973 (0.967). Of people
          never heard, cnn, one seed: the mean of six 0.797 (0.796), from 0.640 of lucas (0.606) to 0.916 of theo
          (0.918). Each network by a run of its own (--without theo): a busy core's 20 s, PyTorch's 15.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import jnn
from experiments import pictures
from experiments.harness import Outcome, launch
from experiments.listeners import DIGITS, digits_heard, listen_all, listener_spec, listener_stats_spec
from experiments.options import Common
from experiments.recordings import heard, numbered, tested
from experiments.training import train
from jnn.data import Batches, in_order, spec_augment
from jnn.train import LossOutput

Who = Literal["nobody", "george", "jackson", "lucas", "nicolas", "theo", "yweweler"]
masked = partial(spec_augment, times=2, time_width=3, frequencies=2, frequency_width=4)


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Which digit is said."""

    steps: int = 600
    warmup: int = 60
    workdir: str = "runs/spoken_digits"
    network: Literal["cnn", "lstm", "conformer"] = "cnn"
    without: tuple[Who, ...] = get_args(Who)  # whom a network has not heard in training: a network each
    batch_size: int = 32
    learning_rate: float = 5e-3
    channels: tuple[int, ...] = (16, 32, 48)
    layers: int = 2
    heads: int = 4
    embed: int = 48
    hidden: int = 64
    dropout: float = 0.2


def loss(params: dict, batch: dict, ctx: Any, left_out: np.ndarray, rate: float) -> LossOutput:
    """Cross-entropy, the sum over the networks that may hear a recording."""
    masks, noise = (None, None) if ctx.key is None else jax.random.split(ctx.key)
    x = masked(batch["x"], lengths=batch["length"], key=masks)
    counts = (batch["speaker"][None] != left_out[:, None]).astype(jnp.float32)
    weight = counts * batch["weight"][None]
    logits, seen = listen_all(params, x, batch["length"], ctx.stats, weight=weight, key=noise, rate=rate)
    y = jnp.broadcast_to(batch["y"], counts.shape)
    metrics = {"accuracy": jnn.metrics.accuracy(logits, y, weight=weight)}
    values = (jnn.losses.cross_entropy(logits, y) * counts).sum(0)
    return LossOutput(values, batch["weight"], metrics=metrics, stats=seen)


def experiment(config: Config) -> Outcome:
    """Trains a network without each, and tests it on whom it has not heard; that without nobody on the test set."""
    data, names = heard(config.data_dir)
    left_out = np.array([numbered(who, names) for who in config.without])
    spec = jnn.stack(listener_spec(config.network, config), len(left_out), "networks")
    schedule = optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, config.warmup, config.steps)
    state, history = train(
        config,
        spec,
        partial(loss, left_out=left_out, rate=config.dropout),
        optax.adam(schedule),
        Batches(data.train, config.batch_size, seed=config.seed),
        every=50,
        validation=in_order(data.validation, 270),
        stats=listener_stats_spec(spec),
    )
    found = {}
    for i, who in enumerate(config.without):
        own = jax.tree.map(lambda x, i=i: x[i], (state.params, state.stats or None))
        part = tested(data, left_out[i])
        found[who] = pictures.counts_of(part["y"], digits_heard(*own, part), DIGITS)
    return Outcome(state.params, accuracies(found), history, figures(found))


def accuracies(found: dict[str, np.ndarray]) -> dict[str, float]:
    """Of the test set, of each unseen speaker, and the mean of these."""
    right = {who: float(matrix.trace() / matrix.sum()) for who, matrix in found.items()}
    known = {"test_accuracy": right.pop("nobody")} if "nobody" in right else {}
    mean = {"unseen_accuracy": float(np.mean(list(right.values())))} if right else {}
    return known | mean | {f"unseen_{who}": value for who, value in right.items()}


def figures(found: dict[str, np.ndarray]) -> dict[str, Callable[[], Figure]]:
    """Which digits are taken for which: of known speakers, and of each of whom training has heard nothing."""
    digits, unseen = [str(digit) for digit in range(DIGITS)], {who: found[who] for who in found if who != "nobody"}
    drawn = {}
    if "nobody" in found:
        caption = "The test set, by people who are known: true digit by row."
        drawn[caption] = lambda: pictures.confusion(found["nobody"], digits)
    if unseen:
        caption = "By each of whom training has heard nothing: true digit by row, and the accuracy."
        drawn[caption] = lambda: pictures.confusions(unseen, digits)
    return drawn


if __name__ == "__main__":
    launch(experiment, Config)
