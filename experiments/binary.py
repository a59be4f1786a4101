"""A binary classifier with two hidden layers on ten synthetic features.

Data      1,000 rows of ten uniform features, standardised; the class says whether their sum exceeds 5; a fifth tests, a
          fifth of the rest validates.
Network   10-64-32-1, ReLU, a sigmoid output; binary cross-entropy of the probability.
Training  Adam 1e-3, 100 epochs of the full batch, so 100 steps.
Run       python -m experiments.binary
Measured  five seeds, test accuracy: 0.977 +- 0.007 (0.965 to 0.980); PyTorch on the same rows 0.978 +- 0.006 (0.970 to
          0.985). Two CPU cores, seconds.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import datasets, pictures
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.training import evaluate, train
from jnn.data import Batches, in_order
from jnn.initializers import glorot_uniform
from jnn.models import mlp, mlp_spec
from jnn.train import LossOutput


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """A binary classifier with two hidden layers."""

    steps: int = 100
    workdir: str = "runs/binary"
    learning_rate: float = 1e-3


def loss(params, batch, ctx):
    """Binary cross-entropy of sigmoid outputs; the network has no dropout, so the key is not used."""
    probabilities = jax.nn.sigmoid(mlp(params, batch["x"], key=None))
    accuracy = jnn.metrics.binary_accuracy(probabilities, batch["y"], batch["weight"])
    values = jnn.losses.binary_cross_entropy(probabilities, batch["y"])
    return LossOutput(values, batch["weight"], metrics={"accuracy": accuracy})


def experiment(config: Config) -> Outcome:
    """Trains in full batches, and tests on rows it never saw."""
    training, validation, test, _ = datasets.binary()
    optimizer = optax.adam(config.learning_rate)
    state, history = train(
        config,
        mlp_spec((10, 64, 32, 1), init=glorot_uniform),
        loss,
        optimizer,
        Batches(training, len(training["y"]), seed=config.seed),
        every=5,
        validation=in_order(validation, len(validation["y"])),
    )
    tested = evaluate(loss, state, in_order(test, len(test["y"])))
    scores = lambda: np.asarray(jax.nn.sigmoid(mlp(state.params, jnp.asarray(test["x"]), key=None)))[:, 0]
    return Outcome(
        params=state.params,
        metrics={"test_accuracy": float(tested["accuracy"].value()), "test_loss": float(tested["loss"].value())},
        history=history,
        figures={
            "Test rows by predicted probability.": lambda: pictures.histogram(scores(), test["y"][:, 0], "probability")
        },
    )


if __name__ == "__main__":
    launch(experiment, Config)
