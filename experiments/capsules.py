"""Capsules with routing by agreement, beside a convolutional network of as many parameters, on three sets of digits.

Data      MNIST (`--task plain`); its digits anywhere in 40x40 pixels, tested on digits that are turned, sheared and
          scaled besides, as affNIST is made (`affine`); two digits of different classes on each other (`overlap`), each
          moved by up to 4 pixels in 36x36. A twelfth of the 60,000 validates.
Network   CapsNet ("Dynamic Routing Between Capsules", Sabour, Frosst and Hinton, 2017), narrower: a convolution of 9x9
          to `--width` channels, `--maps` capsules of 8 at a place, ten of 16 by three rounds of routing, and a decoder
          128-256 that draws the digit of a capsule. Beside it two convolutions with pooling and a dense layer, as wide
          as makes the number of parameters (without the decoder's) the same.
Training  Adam, cosine from 1e-3 to 0, batches of 128; digits moved by up to 2 pixels, or to where the task has them.
          Margin loss and 0.0005 of the squared error of what is drawn; cross-entropy for the other network, of each
          class alone where two digits are there.
Run       python -m experiments.capsules [--task overlap --width 32 --maps 4 --steps 1500 --workdir runs/overlap]
Measured  plain, one seed: 0.9912 of the test digits, and 0.9906 by the convolutional network; 705,728 and 704,872
          parameters. 24 minutes of processor time on a busy machine, 20 of them the capsules'. overlap, as above, one
          seed: both digits are found in 0.642 of the images, and in 0.540 by a CNN of as many parameters; 10 minutes.
          affine, the same way: 0.927 of the digits, and 0.924 by the CNN (standard error 0.003); 16 minutes. At the
          default width (`--task affine --steps 1500`), 1.8 million parameters each, the CNN is ahead, 0.937 to 0.930.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import datasets, pictures
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.training import evaluate, train
from jnn.data import Batches, in_order, random_crop
from jnn.losses import binary_cross_entropy_with_logits, capsule_margin_loss, cross_entropy
from jnn.models import capsnet, capsnet_reconstruct, capsnet_spec, cnn, cnn_spec
from jnn.train import LossOutput

MOVES = {"plain": 2, "affine": 6, "overlap": 4}  # pixels, either way
TWEAKS = (-0.25, -0.15, -0.05, 0.05, 0.15, 0.25)  # as in the paper, each second one


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Capsules beside a convolutional network of as many parameters."""

    steps: int = 1700
    workdir: str = "runs/capsules"
    task: Literal["plain", "affine", "overlap"] = "plain"
    batch_size: int = 128
    learning_rate: float = 1e-3
    width: int = 64
    maps: int = 8
    drawing: float = 0.0005  # weight of what is drawn


def digits_of(batch: dict, task: str, key: jax.Array | None) -> jax.Array:
    """The digits of each image (b, digits, y, x, 1) in 0..1, moved at random in training."""
    x = batch["x"] / jnp.float32(255)
    moved = random_crop(x.reshape(-1, *x.shape[2:]), MOVES[task], key=key)
    return moved.reshape(x.shape)


def capsules_loss(params, batch, ctx, config: Config):
    """Margin loss, and the squared error of each digit as its capsule draws it."""
    digits, labels = digits_of(batch, config.task, ctx.key), batch["y"]
    found = capsnet(params, digits.max(1))
    draw = lambda i: capsnet_reconstruct(params, found, labels[:, i]) - digits[:, i].reshape(len(labels), -1)
    drawn = sum(jnp.square(draw(i)).sum(-1) for i in range(labels.shape[1]))
    margin = capsule_margin_loss(found, jax.nn.one_hot(labels, 10, dtype=bool).any(1))
    return scored(margin + config.drawing * drawn, jnp.linalg.norm(found, axis=-1), batch)


def cnn_loss(params, batch, ctx, config: Config):
    """Cross-entropy: of one class among all, or of each class alone where several are there."""
    key = None if ctx.key is None else jnn.path_key(ctx.key, "dropout")
    logits, labels = cnn(params, digits_of(batch, config.task, ctx.key).max(1), key=key), batch["y"]
    if labels.shape[1] == 1:
        return scored(cross_entropy(logits, labels[:, 0]), logits, batch)
    there = jax.nn.one_hot(labels, 10).sum(1)
    return scored(binary_cross_entropy_with_logits(logits, there), logits, batch)


def scored(values: jax.Array, scores: jax.Array, batch: dict) -> LossOutput:
    """How often the highest scores are the classes that are there, all of them; and how many of them, one by one."""
    count = batch["y"].shape[1]
    found = jax.nn.one_hot(jax.lax.top_k(scores, count)[1], 10).sum(1)
    right = jnp.take_along_axis(found, batch["y"], -1)
    metrics = {
        "accuracy": jnn.metrics.mean(right.min(-1), batch["weight"]),
        "digits": jnn.metrics.mean(right.mean(-1), batch["weight"]),
    }
    return LossOutput(values, batch["weight"], metrics=metrics)


def as_many(spec: dict, image: tuple[int, int, int]) -> dict:
    """A convolutional network of 32 and 64 channels with about as many parameters as a spec, by its dense layer."""
    count = lambda dense: jnn.count_params(cnn_spec(image, (32, 64), dense, 10))
    least, each = count(1), count(2) - count(1)
    return cnn_spec(image, (32, 64), max(1, 1 + round((jnn.count_params(spec) - least) / each)), 10)


def networks(config: Config, image: tuple[int, int, int]) -> dict:
    """The spec and the loss of both."""
    narrow = partial(capsnet_spec, image=image, width=config.width, maps=config.maps)
    return {
        "capsules": (narrow(decoder=(128, 256)), partial(capsules_loss, config=config)),
        "cnn": (as_many(narrow(decoder=()), image), partial(cnn_loss, config=config)),
    }


def experiment(config: Config) -> Outcome:
    """Trains both networks on the same images in the same order, and tests them."""
    data = datasets.digits_for_capsules(config.task, config.data_dir)
    metrics, history, params = {}, [], {}
    for name, (spec, loss) in networks(config, data.train["x"].shape[2:]).items():
        state, rows = train(
            config,
            spec,
            loss,
            optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
            Batches(data.train, config.batch_size, seed=config.seed),
            every=300,
            validation=in_order(data.validation, 500),
            name=name,
        )
        tested = evaluate(loss, state, in_order(data.test, 500))
        metrics |= {f"{name}_{what}": float(tested[what].value()) for what in ("accuracy", "digits")}
        metrics[f"{name}_parameters"] = jnn.count_params({k: v for k, v in spec.items() if k != "decoder"})
        history += [{f"{name}/{key}" if key != "step" else key: value for key, value in row.items()} for row in rows]
        params[name] = state.params
    shown = {name: test[:10] for name, test in data.test.items()}
    return Outcome(
        params=params,
        metrics=metrics,
        history=history,
        figures={
            "Digits, and what their capsules draw.": lambda: redrawn(params["capsules"], shown, config),
            "What each of the 16 numbers of a capsule draws: a row moves one of them from -0.25 to 0.25.": (
                lambda: tweaked(params["capsules"], shown, config)
            ),
        },
    )


def redrawn(params, shown: dict, config: Config):
    """Images, and below them their digits, and these as their capsules draw them."""
    digits = digits_of(shown, config.task, None)
    found = capsnet(params, digits.max(1))
    rows = {"image": digits.max(1)}
    for i, label in enumerate(shown["y"].T):
        if digits.shape[1] > 1:
            rows[f"digit {i + 1}"] = digits[:, i]
        rows[f"drawn {i + 1}"] = capsnet_reconstruct(params, found, label).reshape(digits[:, i].shape)
    return pictures.sheet(np.concatenate([*rows.values()])[..., 0], len(digits), rows=[*rows])


def tweaked(params, shown: dict, config: Config):
    """One digit, drawn by its capsule with one number after another moved."""
    digits = digits_of(shown, config.task, None)[:1]
    found, label = capsnet(params, digits.max(1))[0], jnp.asarray(shown["y"][0, 0])
    size = found.shape[-1]
    moves = jnp.kron(jnp.eye(size), jnp.array(TWEAKS)[:, None])  # (d * tweaks, d)
    moved = found[None].repeat(len(moves), 0).at[:, label].add(moves)
    drawn = capsnet_reconstruct(params, moved, jnp.full(len(moved), label))
    return pictures.sheet(drawn.reshape(-1, *digits.shape[2:4]), len(TWEAKS), heads=[f"{by:+}" for by in TWEAKS])


if __name__ == "__main__":
    launch(experiment, Config)
