"""What `experiments.tune` tunes: perceptrons of a table or of small images, and the space of their hyperparameters."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

import jnn
from experiments import datasets
from experiments.tables import for_networks, table
from experiments.tabular_networks import NETWORKS
from experiments.training import with_accuracy
from jnn.models import mlp, mlp_spec
from jnn.param import Spec
from jnn.sweep import LogUniform, Structure, Sweep, Uniform
from jnn.train import LossOutput

Name = Literal["digits", "fashion_mnist", "bikes"]
SPACE = {
    "learning_rate": LogUniform(1e-4, 1e-1),
    "dropout": Uniform(0.0, 0.6),
    "depth": Structure(1, 3),
    "width": Structure(32, 128),
    "batch_size": Structure(32, 128),
}
DEFAULT = {"learning_rate": 1e-3, "dropout": 0.2, "depth": 1, "width": 128, "batch_size": 32}


class Task:
    """Data in three parts, and the networks that learn them.

    Args:
      name: of the data.
      steps: over which the rate falls.
      data_dir: as everywhere.
    """

    def __init__(self, name: Name, steps: int, data_dir: str | None = None) -> None:
        self.bikes, self.steps = name == "bikes", steps
        self.metric, self.mode = ("rmse", "min") if self.bikes else ("accuracy", "max")
        if self.bikes:
            data = table("bikes", data_dir)
            self.ids = len(data.kind.numbers) + sum(data.sizes)
            parts = tuple(for_networks(data).values())
        else:
            own = datasets.digits() if name == "digits" else datasets.mnist(data_dir, name)
            parts = tuple(part | {"x": part["x"].reshape(len(part["x"]), -1)} for part in own[:3])
        self.train, self.validation, self.test = (jax.tree.map(jnp.asarray, part) for part in parts)

    def spec(self, depth: int, width: int) -> Spec:
        """Declares a perceptron."""
        if self.bikes:
            return NETWORKS["mlp"].spec(self.ids, self.train["ids"].shape[1], width, depth)
        return mlp_spec((self.train["x"].shape[1], *(width,) * depth, 10))

    def loss(self, params: Any, batch: Any, ctx: Any) -> LossOutput:
        """Cross-entropy, or the squared error, by the member's own dropout."""
        rate = ctx.given["dropout"]
        if self.bikes:
            weight, y = batch["weight"], batch["y"]
            found = NETWORKS["mlp"].apply(params, batch["ids"], batch["values"], key=ctx.key, rate=rate)
            rmse = jnn.metrics.root_mean_squared_error(found, y, weight)
            return LossOutput(jnp.square(found - y), weight, metrics={"rmse": rmse})
        return with_accuracy(mlp(params, batch["x"], key=ctx.key, rate=rate), batch)

    def adam(self, h: Any) -> optax.GradientTransformation:
        """With the member's own rate."""
        return optax.adam(optax.cosine_decay_schedule(h["learning_rate"], self.steps))

    @functools.cached_property
    def sweep(self) -> Callable[..., Sweep]:
        """A function of structure, by name: one sweep, and so one set of programs, for each."""
        return functools.cache(self._sweep)

    def _sweep(self, depth: int, width: int, batch_size: int) -> Sweep:
        """All members of one structure, over all devices."""
        devices = jax.devices() if jax.device_count() > 1 else None
        return Sweep(self.spec(depth, width), self.loss, self.adam, self.train, batch_size, devices=devices)
