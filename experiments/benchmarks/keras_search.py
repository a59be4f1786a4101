"""Keras Tuner's searches over the space of `experiments.tune`, by processor time: peers of `tuners`.

Networks, initial values, the shuffles and the rate's fall are those of jnn, the rest is Keras's `fit`; an epoch is an
eighth of the steps, as the first rung of jnn's halving is. It takes `pip install keras keras-tuner grpcio six`.
"""

from __future__ import annotations

import contextlib
import functools
import math
import random
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import keras
import keras_tuner
import numpy as np

from experiments.tuned import SPACE, Task
from jnn.data import Batches
from jnn.sweep import LogUniform, Structure

EPOCHS = 8
ENDLESS = 10**6  # trials or iterations: time ends a search
ROWS = 1000  # of a batch that is not trained on


class TimeIsOver(keras_tuner.errors.FatalError):
    """What ends a search of Keras Tuner."""


class Perceptron(keras_tuner.HyperModel):
    """Keras Tuner's model of a task: how a network is built, and trained until the time is over."""

    def __init__(self, task: Task, until: float = math.inf) -> None:
        super().__init__()
        self.steps, self.until = task.steps, until
        self.train, self.validation, self.test = jax.tree.map(np.asarray, (task.train, task.validation, task.test))

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """The network, and an optimizer that a checkpoint is read into."""
        values = {name: declare(hp, name) for name in SPACE}
        model = keras.Sequential([keras.Input(self.train["x"].shape[1:])])
        for _ in range(values["depth"]):
            model.add(keras.layers.Dense(values["width"], "relu", kernel_initializer="he_normal"))
            model.add(keras.layers.Dropout(values["dropout"]))
        model.add(keras.layers.Dense(10, kernel_initializer="lecun_normal"))
        rate = keras.optimizers.schedules.CosineDecay(values["learning_rate"], self.steps)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(rate, epsilon=1e-8), loss, metrics=["accuracy"])
        model.optimizer.build(model.trainable_variables)
        return model

    def fit(self, hp: keras_tuner.HyperParameters, model: keras.Model, **how: Any) -> Any:
        """Trains; once the time is over, ends the search in its place."""
        if time.process_time() > self.until:
            raise TimeIsOver
        batches = Batches(self.train, hp["batch_size"], seed=random.randrange(2**31), drop_last=True)
        rows = ((batch["x"], batch["y"]) for batch in batches)
        usual = {"epochs": EPOCHS, "steps_per_epoch": self.steps // EPOCHS, "shuffle": False, "verbose": 0}
        return model.fit(rows, **(usual | how))

    def retrained(self, hp: keras_tuner.HyperParameters, seed: int) -> float:
        """The accuracy on the test after a training anew, by this seed."""
        keras.utils.set_random_seed(seed)
        model = self.build(hp)
        self.fit(hp, model)
        how = {"batch_size": ROWS, "verbose": 0, "return_dict": True}
        return model.evaluate(self.test["x"], self.test["y"], **how)["accuracy"]


def declare(hp: keras_tuner.HyperParameters, name: str) -> Any:
    """A dimension of the space as Keras Tuner has it, and its value now."""
    dimension = SPACE[name]
    if isinstance(dimension, Structure):
        return hp.Choice(name, list(dimension.values))
    sampling = "log" if isinstance(dimension, LogUniform) else "linear"
    return hp.Float(name, dimension.low, dimension.high, sampling=sampling)


Make = Callable[..., keras_tuner.Tuner]
TUNERS: dict[str, Make] = {
    "keras-random": functools.partial(keras_tuner.RandomSearch, max_trials=ENDLESS),
    "keras-hyperband": functools.partial(
        keras_tuner.Hyperband, max_epochs=EPOCHS, factor=2, hyperband_iterations=ENDLESS
    ),
}


def search(make: Make, task: Task, seconds: float, seed: int, seeds: int) -> tuple[int, float, np.ndarray]:
    """How many points were tried, how the best validated, and its test accuracies by fresh seeds."""
    keras.utils.set_random_seed(seed)
    model = Perceptron(task, until=time.process_time() + seconds)
    how = {"validation_data": (model.validation["x"], model.validation["y"]), "validation_batch_size": ROWS}
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(TimeIsOver):
        # seed 0 would be none to Keras Tuner
        tuner = make(model, objective="val_accuracy", seed=seed + 1, directory=folder)
        tuner.search(verbose=0, **how)
    ended = [trial for trial in tuner.oracle.trials.values() if trial.status == "COMPLETED"]
    tried = sum("tuner/trial_id" not in trial.hyperparameters.values for trial in ended)  # who goes on is not new
    best, fresh = max(ended, key=lambda trial: trial.score), Perceptron(task)
    return tried, best.score, np.array([fresh.retrained(best.hyperparameters, 10**6 + i) for i in range(seeds)])
