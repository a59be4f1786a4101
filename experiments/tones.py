"""Mandarin tones: which of four a syllable has, learned from one speaker and asked of another.

Data      voices of gcin, an input method: 1,187 syllables with the tones 1 to 4, each said once by two speakers. A fold
          of five tests a fifth of the syllables, in all their tones; another fifth validates; the rest, of one speaker,
          trains. (13 syllables have the neutral tone, too few; they are left out.)
Input     amplitudes over the logarithm of frequency, 24 bands an octave from 80 Hz to 4 kHz, a hundred times a second:
          another voice is the same picture, higher up or lower.
Network   three convolutions of 3x3 with ReLU and 2x2 max pooling, channels 16, 32, 64. `shift` takes the largest of
          each map over all frequencies, at each of six times, so that the height of a voice does not matter; `place`
          has a dense layer of 64 of all that is left, as in "Gradient-Based Learning Applied to Document Recognition",
          LeCun et al., 1998.
Training  Adam, cosine from 1e-3 to 0, batches of 32; spectra moved by up to half an octave up or down, if `--moved`.
Run       python -m experiments.tones [--speaker 5 --fold 1]            (pip install 'jnn[audio,experiments]')
Measured  accuracy on syllables never heard, five folds and their deviation, one seed. Trained on speaker 3:
          0.960+-0.014 of the own, 0.530+-0.019 of the other's by `shift`, 0.955+-0.014 and 0.475+-0.071 by `place`; on
          speaker 5: 0.983+-0.016 and 0.390+-0.025, 0.988+-0.012 and 0.297+-0.031. The most frequent tone is 0.27 of
          them. The other's dipping tone is taken for 3's rising one, which rises from as low, and the rising one for
          the high one. A CPU core, 45 s for both networks.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

from experiments import pictures
from experiments.chunks import in_chunks
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.training import classified, named, train
from jnn import layers
from jnn.audio import decibels, spectrogram
from jnn.data import Batches, gcin_voice, in_order
from jnn.train import LossOutput

RATE, SAMPLES = 44_100, 24_000  # samples a second, and of a syllable: 0.54 seconds
N_FFT, HOP = 4096, 441
OCTAVE = 24  # bands
LOWEST, BANDS = 80.0, 136
FOLDS, TONES = 5, ("1 high", "2 rising", "3 dipping", "4 falling")
SAID = {
    "validation": "the syllables that validate",
    "own": "syllables never heard, by the speaker who trains",
    "other": "the same, by the other speaker",
}
DEEPER = 2**3  # how many bands, or frames, become one


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Tones of syllables."""

    steps: int = 300
    workdir: str = "runs/tones"
    speaker: Literal["3", "5"] = "3"  # who trains
    fold: Literal[0, 1, 2, 3, 4] = 0
    networks: tuple[Literal["shift", "place"], ...] = ("shift", "place")
    moved: Literal["yes", "no"] = "yes"
    batch_size: int = 32
    learning_rate: float = 1e-3
    channels: tuple[int, ...] = (16, 32, 64)
    dense: int = 64
    dropout: float = 0.3


def bands() -> np.ndarray:
    """The bins (n_fft // 2 + 1, 136) between which each band's frequency lies, by how near it is to either."""
    places = LOWEST * 2 ** (np.arange(BANDS) / OCTAVE) * N_FFT / RATE
    bins = np.arange(N_FFT // 2 + 1)[:, None]
    return np.maximum(0, 1 - np.abs(bins - places)).astype(np.float32)


@jax.jit
def pitches(x: jax.Array) -> jax.Array:
    """How loud each band of syllables (n, samples) is, (n, 48, 136, 1): down to 60 dB below the loudest, in 20 dB."""
    amplitudes = spectrogram(x, N_FFT, hop_length=HOP, win_length=N_FFT // 2, padding="zeros", power=1) @ bands()
    loud = 2 * decibels(amplitudes, floor=1e-8, span=30.0)
    whole = loud[:, : SAMPLES // HOP + 1 - (SAMPLES // HOP + 1) % DEEPER]
    return ((whole - whole.mean((-2, -1), keepdims=True)) / 20)[..., None]


def moved(x: jax.Array, key: jax.Array) -> jax.Array:
    """Each spectrum (n, t, bands, 1) up or down by at most half an octave; what comes in is the band at the edge."""
    most = OCTAVE // 2
    wide = jnp.pad(x, ((0, 0), (0, 0), (most, most), (0, 0)), mode="edge")
    by = jax.random.randint(key, len(x), 0, 2 * most + 1)
    return jax.vmap(lambda one, i: jax.lax.dynamic_slice_in_dim(one, i, x.shape[2], 1))(wide, by)


def network_spec(config: Config, network: str) -> dict:
    """Declares three convolutions, or as many as there are channels, and what reads them."""
    sizes = (1, *config.channels)
    spec = {f"conv{i}": layers.conv_spec(sizes[i - 1], sizes[i], (3, 3)) for i in range(1, len(sizes))}
    left = (SAMPLES // HOP + 1) // DEEPER * sizes[-1]
    if network == "shift":
        return spec | {"out": layers.linear_spec(left, len(TONES))}
    dense = layers.linear_spec(BANDS // DEEPER * left, config.dense)
    return spec | {"dense": dense, "out": layers.linear_spec(config.dense, len(TONES))}


def network(p: dict, x: jax.Array, key: jax.Array | None, rate: float) -> jax.Array:
    """Spectra (n, t, bands, 1) to logits (n, 4)."""
    for i in range(1, sum(name.startswith("conv") for name in p) + 1):
        x = layers.max_pool(jax.nn.relu(layers.conv(p[f"conv{i}"], x)), (2, 2))
    h = (x if "dense" in p else x.max(2)).reshape(len(x), -1)
    h = jax.nn.relu(layers.linear(p["dense"], h)) if "dense" in p else h
    return layers.linear(p["out"], layers.dropout(h, rate, key=key))


def loss(params: dict, batch: dict, ctx: Any, config: Config) -> LossOutput:
    """Cross-entropy of the tone."""
    x, key = batch["x"], None
    if ctx.key is not None:
        moving, key = jax.random.split(ctx.key)
        x = moved(x, moving) if config.moved == "yes" else x
    return classified(network(params, x, key, config.dropout), batch)


def syllables(config: Config) -> dict[str, dict[str, np.ndarray]]:
    """Spectra {"x": (n, 48, 136, 1), "y"} that train, validate and test, and of the other speaker's those that test."""
    found, names, speakers = gcin_voice(config.data_dir)
    waves = np.zeros((len(found["x"]), SAMPLES), np.float32)
    shared = min(SAMPLES, found["x"].shape[1])
    waves[:, :shared] = found["x"][:, :shared]
    arrays = {"x": in_chunks(lambda batch: pitches(batch["x"]), {"x": waves}, 50), "y": found["tone"] - 1}
    place = np.random.default_rng(0).permutation(len(names))[found["syllable"]] % FOLDS
    part = (place - config.fold) % FOLDS  # 0 tests, 1 validates
    tells, own = arrays["y"] < len(TONES), found["speaker"] == speakers.index(config.speaker)
    chosen = {"train": own & (part > 1), "validation": own & (part == 1), "own": own & (part == 0)}
    chosen["other"] = ~own & (part == 0)
    return {name: {key: array[rows & tells] for key, array in arrays.items()} for name, rows in chosen.items()}


def experiment(config: Config) -> Outcome:
    """Trains each network on one speaker; tests it on syllables that it has not heard, of both."""
    parts = syllables(config)
    params, history, metrics, drawn = {}, [], {}, {"Syllables of each tone by both speakers.": partial(spectra, parts)}
    for name in config.networks:
        state, rows = train(
            config,
            network_spec(config, name),
            partial(loss, config=config),
            optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
            Batches(parts["train"], config.batch_size, seed=config.seed),
            every=max(1, config.steps // 8),
            validation=in_order(parts["validation"], 100),
            name=name,
        )
        run = jax.jit(partial(network, state.params, key=None, rate=0.0))
        for part in ("validation", "own", "other"):
            said = in_chunks(lambda batch, run=run: run(batch["x"]), {"x": parts[part]["x"]}, 100).argmax(-1)
            metrics[f"{name}_{part}"] = float(np.mean(said == parts[part]["y"]))
            table = pictures.counts_of(parts[part]["y"], said, len(TONES))
            drawn[f"{name}: {SAID[part]}."] = partial(pictures.confusion, table, TONES)
        params[name], history = state.params, history + named(rows, name)
    largest = np.bincount(parts["train"]["y"]).argmax()
    metrics["largest_tone"] = float(np.mean(parts["other"]["y"] == largest))
    return Outcome(params, metrics, history, drawn)


def spectra(parts: dict[str, dict[str, np.ndarray]]) -> Figure:
    """The first syllable of each tone, by the speaker who trains, and below by the other; low frequencies are below."""
    shown, titles = [], [f"{tone}, {whose}" for whose in ("heard", "other") for tone in TONES]
    for name in ("own", "other"):
        first = [np.flatnonzero(parts[name]["y"] == tone)[0] for tone in range(len(TONES))]
        shown += [*parts[name]["x"][first, :, ::-1, 0].transpose(0, 2, 1)]
    return pictures.examples(pictures.photographs(np.stack(shown)), titles, columns=len(TONES))


if __name__ == "__main__":
    launch(experiment, Config)
