"""Who is speaking? Voices as points, by GE2E and AM-softmax; verified on speakers whom training has not heard.

Data      the Free Spoken Digit Dataset (Jackson et al., 2016): six speakers, whose recordings are put one after another
          and cut into pieces of 1.6 seconds, log-mel spectrograms of 40 bands. Fold k of three tests two speakers, all
          that they say; four train, on recordings 10 to 49, and validate on 5 to 9. All pairs of the two speakers'
          pieces are verified. To identify, each of the six is the mean of the pieces of 10 to 49, and recordings 0 to
          4, the data's own test set, are asked about.
Network   LSTMs, two of 64, and a point of the unit sphere in 64 dimensions.
Losses    "Generalized End-to-End Loss for Speaker Verification" (GE2E), Wan et al., 2018; "Additive Margin Softmax for
          Face Verification" (AM-softmax), Wang et al., 2018.
Beside    Resemblyzer, three LSTMs of 256 by GE2E, as published: trained on thousands of speakers, none of them these.
Training  Adam, cosine from 2e-3 to 0; batches of 8 speakers, 6 pieces of each. Each of the four is played at five
          speeds, which count as twenty speakers: four are too few to learn what a voice is.
Caveat    each speaker has a microphone and a room of his own: what tells them apart is not the voice alone.
Run       python -m experiments.speaker [--fold 1 --methods ge2e]
Measured  speakers never heard, the mean of three folds, three seeds (deviation of the seeds' means): equal error rate
          0.291+-0.016 by GE2E, 0.373+-0.045 by AM-softmax, 0.028 by Resemblyzer; six speakers identified 0.785+-0.050,
          0.761+-0.035, 1.000. Four speakers are too few: pairs of these four have 0.089+-0.031 by GE2E, and folds of
          the others 0.04 to 0.47. Resemblyzer's vectors are the package's to 4e-7. A CPU core, 30 s a fold for both.
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

from experiments import pictures, verification
from experiments.chunks import in_chunks
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.training import named, train
from experiments.voices import BANDS, Voices, log_mel, resemblyzer, voices
from jnn import layers
from jnn.data import Episodes
from jnn.losses import cosface, ge2e_loss
from jnn.metrics import roc_curve
from jnn.models import speaker_encoder, speaker_encoder_spec
from jnn.train import LossOutput


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Voices of speakers whom training has not heard."""

    steps: int = 200
    workdir: str = "runs/speaker"
    fold: Literal[0, 1, 2] = 0
    methods: tuple[Literal["ge2e", "am_softmax"], ...] = ("ge2e", "am_softmax")
    batch_size: int = 1
    ways: int = 8
    shots: int = 6
    learning_rate: float = 2e-3
    hidden: int = 64
    embed: int = 64
    layers: int = 2
    margin: float = 0.2
    scale: float = 16.0  # of cosines


def network_spec(config: Config, method: str, speakers: int) -> dict:
    """Declares the encoder, and for AM-softmax a direction for each speaker who trains."""
    table = {"speakers": layers.embed_spec(speakers, config.embed)} if method == "am_softmax" else {}
    return {"encoder": speaker_encoder_spec(BANDS, config.hidden, config.embed, layers=config.layers)} | table


def loss(params: dict, batch: dict, ctx: Any, config: Config) -> LossOutput:
    """The mean over an episode's pieces of GE2E, or of AM-softmax where there are directions of speakers."""
    points = speaker_encoder(params["encoder"], batch["support"])  # (b, speakers, pieces, embed)
    if "speakers" in params:
        labels = jnp.broadcast_to(batch["y"][..., None], points.shape[:-1])
        values = cosface(points, params["speakers"]["table"], labels, margin=config.margin, scale=config.scale)
    else:
        values = ge2e_loss(points, scale=config.scale)
    return LossOutput(values.mean((-2, -1)), batch["weight"])


def identified(embed: Any, data: Voices) -> float:
    """How often a piece is nearest to the mean of its speaker's."""
    known, asked = (np.asarray(embed(part["x"])) for part in (data.enrolled, data.asked))
    means = np.stack([known[data.enrolled["y"] == i].mean(0) for i in range(len(data.names))])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return float(np.mean((asked @ means.T).argmax(1) == data.asked["y"]))


def learnt(config: Config, method: str, heard: Episodes, speakers: int) -> tuple[dict, list[dict[str, float]]]:
    """Trains by one of the losses: the parameters, and the history."""
    state, rows = train(
        config,
        network_spec(config, method, speakers),
        partial(loss, config=config),
        optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
        heard,
        every=20,
        name=method,
    )
    return state.params, named(rows, method)


def experiment(config: Config) -> Outcome:
    """Trains by each loss; verifies and identifies by it, and by Resemblyzer."""
    data = voices(config.fold, config.data_dir)
    frames = in_chunks(lambda batch: log_mel(batch["x"]), {"x": data.train["x"]}, 100)
    speakers = int(data.train["y"].max()) + 1
    heard = Episodes(
        {"x": frames, "y": data.train["y"]},
        config.batch_size,
        ways=config.ways,
        shots=config.shots,
        queries=0,
        seed=config.seed,
    )
    params, history, embeds = {}, [], {"resemblyzer": resemblyzer(config.data_dir)}
    for method in config.methods:
        params[method], rows = learnt(config, method, heard, speakers)
        history += rows
        embeds[method] = partial(points_of, jax.jit(partial(speaker_encoder, params[method]["encoder"])))
    found = {method: verification.verify(embed, data.validation, data.test) for method, embed in embeds.items()}
    metrics = {f"{method}_{name}": value for method, row in found.items() for name, value in row.measured().items()}
    metrics |= {f"{method}_identified": identified(embed, data) for method, embed in embeds.items()}
    return Outcome(params, metrics, history, figures(found, embeds, data))


def figures(found: dict[str, verification.Verified], embeds: dict[str, Any], data: Voices) -> dict[str, Any]:
    """How often pairs are mistaken, and where each method puts all six speakers."""
    curves = lambda: pictures.det({name: roc_curve(one.scores, one.same) for name, one in found.items()})
    drawn = {"Pairs of speakers never heard: false matches against false rejections, at every threshold.": curves}
    names = [f"{name}, {'heard' if name in data.heard else 'never heard'}" for name in data.names]

    def plane(embed: Any) -> Figure:
        points = pictures.principal_plane(np.asarray(embed(data.enrolled["x"])))[2]
        return pictures.plane(points, data.enrolled["y"], names)

    for method, embed in embeds.items():
        drawn[f"{method}: all six speakers, in the plane in which they differ most."] = partial(plane, embed)
    return drawn


def points_of(encode: Any, x: np.ndarray) -> np.ndarray:
    """What the network makes of pieces (n, 12800)."""
    return in_chunks(lambda batch: encode(log_mel(batch["x"])), {"x": x}, 100)


if __name__ == "__main__":
    launch(experiment, Config)
