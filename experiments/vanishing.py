"""Vanishing gradients: thirty layers of sigmoids do not learn, and what cures them, step by step.

Sources   "Understanding the Difficulty of Training Deep Feedforward Neural Networks", Glorot and Bengio, 2010; He's
          initial values, 2015; residuals, He et al., 2016; "Layer Normalization", Ba et al., 2016.
Data      the 1,797 digits of scikit-learn, a fifth held out.
Networks  64-(64 thirty times)-10: sigmoids with Glorot's initial values; ReLUs; with He's; each layer
          divided by sqrt(30) and added to its input; and that input normalized. Nothing else differs.
Training  SGD 0.02, batches of 64; norms and dead shares are measured inside the step.
Run       python -m experiments.vanishing
Measured  held-out accuracy 0.092 and 0.078, 0.451, 0.961 and 0.969 (seed 0). Two CPU cores, a minute.
"""

from __future__ import annotations

import dataclasses
from functools import partial

import jax
import numpy as np
import optax
from matplotlib.figure import Figure

import jnn
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.pictures import ACCENT, WARM
from experiments.training import classified, train
from jnn.data import Batches, digits, in_order, split
from jnn.initializers import glorot_normal, he_normal
from jnn.layers import layer_norm, layer_norm_spec, linear, linear_spec
from jnn.train import activation, gradient_norms


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Thirty layers that do not learn, and what cures them."""

    steps: int = 600
    workdir: str = "runs/vanishing"
    layers: int = 30
    width: int = 64
    batch_size: int = 64
    learning_rate: float = 0.02
    every: int = 20


# activation, initial values, whether a layer is added to its input, whether it normalizes that input
CURES = {
    "sigmoid": (jax.nn.sigmoid, glorot_normal, False, False),
    "relu": (jax.nn.relu, glorot_normal, False, False),
    "he": (jax.nn.relu, he_normal, False, False),
    "residuals": (jax.nn.relu, he_normal, True, False),
    "normalization": (jax.nn.relu, he_normal, True, True),
}


def network_spec(name: str, config: Config):
    """64-width-...-width-10."""
    _, init, _, normalize = CURES[name]
    layer = {"fc": linear_spec(config.width, config.width, axes=("embed", "hidden"), init=init)}
    layer |= {"norm": layer_norm_spec(config.width)} if normalize else {}
    first, last = linear_spec(64, config.width, init=init), linear_spec(config.width, 10)
    return {"first": first, "layers": jnn.stack(layer, config.layers), "last": last}


def network(name: str, p, x: jax.Array):
    """Images (b, 64) to logits (b, 10), and what each layer gave, (layers, b, width)."""
    activate, _, residual, normalize = CURES[name]
    layers = len(p["layers"]["fc"]["w"])

    def layer(h, p):
        y = activate(linear(p["fc"], layer_norm(p["norm"], h) if normalize else h))
        return h + y / layers**0.5 if residual else y, y

    h, given = jax.lax.scan(layer, linear(p["first"], x), p["layers"])
    return linear(p["last"], h), given


def experiment(config: Config) -> Outcome:
    """Trains all five."""
    arrays = digits()
    data, held_out = split(arrays | {"x": arrays["x"].reshape(-1, 64)}, 0.2, seed=config.seed)
    runs = {name: train_one(config, name, data, held_out) for name in CURES}
    params, histories = ({name: run[i] for name, run in runs.items()} for i in (0, 1))
    metrics = {f"accuracy_{name}": history[-1]["val/accuracy"] for name, history in histories.items()}
    kept = lambda row, name: {f"{k}_{name}": row[k] for k in ("train/loss", "val/accuracy")}
    rows = [{"step": row["step"]} | kept(row, name) for name, history in histories.items() for row in history]
    caption = "Layer by layer, from the first rows of the history (pale) to the last."
    return Outcome(params, metrics, rows, {caption: lambda: draw(config, histories)})


def train_one(config: Config, name: str, data: dict, held_out: dict):
    """One network's parameters, and its history."""

    def loss(params, batch, ctx):
        logits, given = network(name, params, batch["x"])
        out = classified(logits, batch)
        for i, y in enumerate(given):
            out.metrics.update(activation(f"{i:02}", y))
        return out

    optimizer = optax.sgd(config.learning_rate)
    state, history = train(
        config,
        network_spec(name, config),
        loss,
        optimizer,
        Batches(data, config.batch_size, seed=config.seed),
        every=config.every,
        validation=in_order(held_out, 360),
        diagnostics=partial(gradient_norms, stacked=("layers",)),
        name=name,
    )
    return state.params, history


def draw(config: Config, histories) -> Figure:
    """A column for each network, a line for each of a few rows of its history."""
    figure = Figure(figsize=(2.4 * len(histories), 4.6), layout="constrained")
    panels = figure.subplots(2, len(histories), sharex=True, sharey="row", squeeze=False)
    for column, (name, history) in zip(panels.T, histories.items(), strict=True):
        rows = [history[i] for i in sorted({int(i) for i in np.linspace(0, len(history) - 1, 5)})]
        for strength, row in zip(np.linspace(0.25, 1, len(rows)), rows, strict=True):
            numbers = lambda form, row=row: [row[form.format(i)] for i in range(config.layers)]
            column[0].semilogy(numbers("train/grad_norm/layers/{:02}/fc/w"), color=ACCENT, alpha=strength)
            column[1].plot(numbers("train/dead/{:02}"), color=WARM, alpha=strength)
        column[0].set_title(f"{name}: {history[-1]['val/accuracy']:.3f}", fontsize=10)
        column[1].set(xlabel="layer", ylim=(-0.05, 1.05))
    panels[0, 0].set_ylabel("norm of the gradient")
    panels[1, 0].set_ylabel("share of dead units")
    return figure


if __name__ == "__main__":
    launch(experiment, Config)
