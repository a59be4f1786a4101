"""Universal approximation: one hidden layer of tanh units, four functions of one variable, width against error.

Source    "Approximation by Superpositions of a Sigmoidal Function", Cybenko, 1989.
Data      256 points of [-1, 1] to train on, the 255 midpoints between them to measure on.
Network   1-width-1; hidden weights normal and biases uniform, so that the units bend in different places.
          All functions and restarts of a width are one stack of networks, trained together under `vmap`.
Training  Adam, cosine from 3e-2 to 0, every point in each update; the best of four restarts on the training points.
Run       python -m experiments.universal  (28 s of one CPU core)
Measured  from width 1 to 32: sine 0.60 to 0.00088, ramp 0.038 to 0.0053, abs 0.24 to 0.0014, polynomial 0.65 to 0.0021.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import jnn
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.pictures import ACCENT, INK, WARM
from experiments.training import train
from jnn.data import Batches
from jnn.layers import linear, linear_spec
from jnn.train import LossOutput

FUNCTIONS = {
    "sine": lambda x: np.sin(2 * np.pi * x),
    "ramp": lambda x: np.clip(5 * x, -1, 1),
    "abs": np.abs,
    "polynomial": lambda x: 16 * x**5 - 20 * x**3 + 5 * x,
}


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """One hidden layer, four functions of one variable, width against error."""

    steps: int = 8000
    workdir: str = "runs/universal"
    widths: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    restarts: int = 4
    points: int = 256
    learning_rate: float = 3e-2
    scale: float = 4.0  # of the hidden layer's initial weights and biases
    steps_per_call: int = 100


def network_spec(width: int, scale: float):
    """1-width-1."""
    hidden = linear_spec(1, width, axes=("input", "hidden"), init=jnn.initializers.normal(scale))
    hidden["b"] = dataclasses.replace(hidden["b"], init=lambda key, *of: jax.random.uniform(key, *of, -scale, scale))
    return {"hidden": hidden, "output": linear_spec(width, 1, axes=("hidden", "output"))}


def network(p, x: jax.Array) -> jax.Array:
    """(points, 1) -> (points, 1); `networks` is a stack of stacks of it: -> (points, functions, restarts, 1)"""
    return linear(p["output"], jnp.tanh(linear(p["hidden"], x)))


networks = jax.vmap(jax.vmap(network, in_axes=(0, None), out_axes=1), in_axes=(0, None), out_axes=1)


def loss(p, batch, ctx) -> LossOutput:
    """An error per point and network; networks share no parameter, so each follows its own gradient."""
    return LossOutput(jnp.square(networks(p, batch["x"])[..., 0] - batch["y"][:, :, None]))


def experiment(config: Config) -> Outcome:
    """Trains every width; chooses on the training points, measures between them."""
    x = np.linspace(-1, 1, config.points, dtype=np.float32)[:, None]
    y = lambda x: np.concatenate([f(x) for f in FUNCTIONS.values()], 1).astype(np.float32)
    fitted, held_out = ({"x": at, "y": y(at)} for at in (x, (x[1:] + x[:-1]) / 2))
    params, history, curves = {}, [], []
    for name, width in ((f"width_{width}", width) for width in config.widths):
        params[name], rows = train_width(config, width, name, fitted, held_out)
        history += [{f"{k} of {name}" if "/" in k else k: v for k, v in row.items()} for row in rows]
        seen, between = (np.asarray(networks(params[name], data["x"])[..., 0]) for data in (fitted, held_out))
        best = np.mean((seen - fitted["y"][:, :, None]) ** 2, 0).argmin(1)
        curves.append(between[:, range(len(best)), best])
    errors = [np.sqrt(np.mean((curve - held_out["y"]) ** 2, 0)) for curve in curves]
    table = {name: [float(f"{e:.2g}") for e in row] for name, row in zip(FUNCTIONS, np.transpose(errors), strict=True)}
    caption = "Root mean squared error between the training points, by width; what the networks make of each function."
    figures = {caption: lambda: draw(config.widths, errors, held_out, curves)}
    return Outcome(params, {"width": list(config.widths), **table}, history, figures)


def train_width(config: Config, width: int, name: str, fitted, held_out):
    """The networks of one width, and their history."""
    restarts = jnn.stack(network_spec(width, config.scale), config.restarts, "restarts")
    optimizer = optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps), b2=0.99)
    state, history = train(
        config,
        jnn.stack(restarts, len(FUNCTIONS), "functions"),
        loss,
        optimizer,
        Batches(fitted, config.points, seed=config.seed),
        every=10 * config.steps_per_call,
        validation=[held_out],
        steps_per_call=config.steps_per_call,
        name=name,
    )
    return state.params, history


def draw(widths, errors, held_out, curves) -> Figure:
    """Errors by width; the functions, and the narrowest, a middling and the widest network on each."""
    figure = Figure(figsize=(9.6, 5), layout="constrained")
    panels = figure.subplot_mosaic("ee01;ee23")
    panels["e"].loglog(widths, errors, "o-", markersize=4, label=list(FUNCTIONS))
    panels["e"].set(xlabel="width", ylabel="error", xticks=widths, xticklabels=widths)
    panels["e"].legend(frameon=False)
    for i, name in enumerate(FUNCTIONS):
        panels[str(i)].plot(held_out["x"], held_out["y"][:, i], color=INK, linewidth=5, alpha=0.2, label="function")
        for j, colour in ((0, WARM), (len(curves) // 3, "#8a4fbf"), (-1, ACCENT)):
            panels[str(i)].plot(held_out["x"], curves[j][:, i], color=colour, linewidth=1.2, label=f"width {widths[j]}")
        panels[str(i)].set_title(name)
    figure.legend(*panels["0"].get_legend_handles_labels(), loc="outside lower right", ncols=4, frameon=False)
    return figure


if __name__ == "__main__":
    launch(experiment, Config)
