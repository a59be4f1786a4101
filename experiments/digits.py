"""Handwritten digits: an MLP and a small CNN on the 1,797 images that scikit-learn ships.

Data      8x8 grey images, 10 classes ("Optical Recognition of Handwritten Digits", Alpaydin and Kaynak, 1998);
          a random four fifths to train on, one fifth held out.
Networks  mlp: 64-512-256-10, dropout 0.2.  cnn: conv 1-32-64, 3x3, 2x2 max pooling, dense 128, dropout 0.2, 10.
Training  Adam, cosine from 2e-3 to 0, batches of 64; images shifted by up to one pixel, anew at each step.
Run       python -m experiments.digits
Measured  held-out accuracy, seed 0: mlp 0.986, cnn 0.989. Two busy CPU cores, 20 seconds.
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import pictures
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.training import classified, evaluate, named, train
from jnn.data import Batches, digits, in_order, random_crop, split
from jnn.models import cnn, cnn_spec, mlp, mlp_spec


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Handwritten digits: an MLP and a small CNN."""

    steps: int = 2400
    workdir: str = "runs/digits"
    batch_size: int = 64
    learning_rate: float = 2e-3
    hidden: tuple[int, ...] = (512, 256)
    channels: tuple[int, ...] = (32, 64)
    dense: int = 128
    dropout: float = 0.2


def experiment(config: Config) -> Outcome:
    """Trains both networks; the pictures are the CNN's."""
    arrays = digits()
    data, held_out = split(arrays | {"x": arrays["x"][..., None]}, 0.2, seed=config.seed)
    models = {
        "mlp": (
            mlp_spec((64, *config.hidden, 10)),
            lambda p, x, key: mlp(p, x.reshape(-1, 64), key=key, rate=config.dropout),
        ),
        "cnn": (
            cnn_spec((8, 8, 1), config.channels, config.dense, 10),
            lambda p, x, key: cnn(p, x, key=key, rate=config.dropout),
        ),
    }
    params, metrics, history = {}, {}, []
    for name, (spec, apply) in models.items():
        params[name], metrics[name], rows = train_one(config, name, spec, apply, data, held_out)
        history += named(rows, name)
    return Outcome(
        params=params,
        metrics={f"accuracy_{name}": float(m["accuracy"].value()) for name, m in metrics.items()},
        history=history,
        figures=draw(metrics["cnn"]["confusion"].matrix, held_out, models["cnn"][1], params["cnn"]),
    )


def train_one(config: Config, name: str, spec, apply, data: dict, held_out: dict):
    """One network, from initial values to its metrics on the held-out fifth."""

    def loss(params, batch, ctx):
        x = batch["x"]
        if ctx.key is not None:
            x = random_crop(x, padding=1, key=jnn.path_key(ctx.key, "shift"))
        return classified(apply(params, x, ctx.key), batch)

    optimizer = optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps))
    validation = in_order(held_out, 360)
    state, history = train(
        config,
        spec,
        loss,
        optimizer,
        Batches(data, config.batch_size, seed=config.seed),
        every=100,
        validation=validation,
        name=name,
    )
    return state.params, evaluate(loss, state, validation), history


def draw(matrix: np.ndarray, held_out: dict, apply, params) -> dict:
    """The confusion matrix, and what the network got wrong."""
    names = [str(i) for i in range(10)]
    predictions = lambda: np.asarray(jnp.argmax(apply(params, jnp.asarray(held_out["x"]), None), -1))
    return {
        "The CNN on the held-out fifth: true class by row, predicted class by column.": lambda: pictures.confusion(
            matrix, names
        ),
        "What it got wrong.": lambda: pictures.mistakes(held_out["x"][..., 0], held_out["y"], predictions(), names),
    }


if __name__ == "__main__":
    launch(experiment, Config)
