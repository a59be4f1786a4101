"""Linear probes that are trained by steps, and so are killed and go on; several decays of the weights side by side.

    linear_probe(config, training, validation, classes, name=...) -> probe, history     by the decay that validates best
    probe.logits(probe.head, features)

Law: a decay's weights are those that it has alone (`tests/experiments/test_transfer_images.py`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments.training import train
from jnn.data import Batches, fit_standard, in_order
from jnn.layers import linear, linear_spec
from jnn.train import LossOutput

DECAYS = (1e-3, 1e-2, 1e-1, 1.0)


class Probe(NamedTuple):
    """A linear map of standardized features: {"w", "b"}, and what standardizes (1, d)."""

    head: dict[str, jax.Array]
    mean: jax.Array
    deviation: jax.Array

    def logits(self, head: dict[str, jax.Array], features: jax.Array) -> jax.Array:
        """Logits (b, classes) of features (b, d), by this head or another."""
        return linear(head, (features - self.mean) / self.deviation)


def logits(params: dict, x: jax.Array) -> jax.Array:
    """Logits (b, decays, classes) of features (b, d), by each of the heads."""
    return jax.vmap(linear, (0, None), 1)(params, x)


def loss(params: dict, batch: dict, ctx: Any) -> LossOutput:
    """Cross-entropy and half the decay times the weights' squares, the sum over heads: none knows of the others."""
    scores = logits(params, batch["x"])
    labels = jnp.broadcast_to(batch["y"][:, None], scores.shape[:2])
    decay = jnp.asarray(DECAYS)[None] / 2 * jnp.square(params["w"]).sum((1, 2))[None]
    right = jnp.mean(scores.argmax(-1) == labels, axis=-1)
    metrics = {"accuracy": jnn.metrics.mean(right, batch["weight"])}
    return LossOutput((jnn.losses.cross_entropy(scores, labels) + decay).sum(-1), batch["weight"], metrics=metrics)


def linear_probe(
    config: Any, training: dict[str, np.ndarray], validation: dict[str, np.ndarray], classes: int, *, name: str
) -> tuple[Probe, list[dict[str, float]]]:
    """The probe whose decay validates best, by Adam with a cosine; and the history of all, whose accuracy is the mean.

    Args:
      config: has the fields of `Common`, a batch size and a learning rate.
      training, validation: features "x" (n, d), labels "y" (n,).
      classes: how many logits.
      name: of the training's folder.
    """
    standard = fit_standard(training["x"])
    parts = [{"x": standard.apply(part["x"]), "y": part["y"]} for part in (training, validation)]
    state, history = train(
        config,
        jnn.stack(linear_spec(len(standard.mean), classes), len(DECAYS), "decays"),
        loss,
        optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
        Batches(parts[0], config.batch_size, seed=config.seed),
        every=max(1, config.steps // 5),
        validation=in_order(parts[1], 100),
        name=name,
    )
    right = logits(state.params, jnp.asarray(parts[1]["x"])).argmax(-1) == parts[1]["y"][:, None]
    best = int(np.asarray(right).mean(0).argmax())
    head = jax.tree.map(lambda heads: heads[best], state.params)
    return Probe(head, *(jnp.float32(x)[None] for x in standard)), history
