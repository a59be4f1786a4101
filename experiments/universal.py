"""Universal approximation: one hidden layer of tanh units, four functions of one variable, width against error.

Source    "Approximation by Superpositions of a Sigmoidal Function", Cybenko, 1989: wide enough, the error is as
          small as one likes. What is wide enough, the theorem does not say.
Data      256 points of [-1, 1] to train on, the 255 midpoints between them to measure on.
Network   1-width-1; hidden weights normal and biases uniform, so that the units bend in different places. All
          functions and restarts of a width are one stack of networks, trained together under `vmap`.
Training  Adam, cosine from 3e-2 to 0, every point in each update; of the restarts, the best on the training points.
Run       python -m experiments.universal
"""

from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import jnn
from experiments.harness import Common, Outcome, launch, train
from experiments.pictures import ACCENT, INK, WARM
from jnn.data import Batches
from jnn.layers import linear, linear_spec
from jnn.train import LossOutput, create_state, evaluate_on, make_eval, make_step

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
    widths: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    restarts: int = 4
    points: int = 256
    learning_rate: float = 3e-2
    scale: float = 3.0  # of the hidden layer's initial weights and biases
    steps_per_call: int = 100


def network_spec(width: int, scale: float):
    """1-width-1."""
    hidden = linear_spec(1, width, axes=("input", "hidden"), init=jnn.initializers.normal(scale))
    spread = lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -scale, scale)  # noqa: E731
    hidden["b"] = dataclasses.replace(hidden["b"], init=spread)
    return {"hidden": hidden, "output": linear_spec(width, 1, axes=("hidden", "output"))}


def network(p, x: jax.Array) -> jax.Array:
    """(points, 1) -> (points, 1)"""
    return linear(p["output"], jnp.tanh(linear(p["hidden"], x)))


# the same for a stack of stacks: (points, 1) -> (points, functions, restarts, 1)
networks = jax.vmap(jax.vmap(network, in_axes=(0, None), out_axes=1), in_axes=(0, None), out_axes=1)


def loss(p, batch, stats, key) -> LossOutput:
    """A squared error per point and network; networks share no parameter, so each follows its own gradient."""
    outputs = networks(p, batch["x"])
    y = jnp.broadcast_to(batch["y"][:, :, None, None], outputs.shape)
    return LossOutput(jnn.losses.squared_error(outputs, y))


def experiment(config: Config) -> Outcome:
    """Trains every width; chooses on the training points, measures between them."""
    x = np.linspace(-1, 1, config.points, dtype=np.float32)[:, None]
    fitted, held_out = (
        {"x": x, "y": np.concatenate([f(x) for f in FUNCTIONS.values()], 1).astype(np.float32)}
        for x in (x, (x[1:] + x[:-1]) / 2)
    )
    params, history, curves = {}, [], []
    for width in config.widths:
        p, rows = train_width(config, width, fitted, held_out)
        restart = np.argmin(rmse(networks(p, x)[..., 0], fitted["y"][:, :, None]), 1)
        curves.append(np.asarray(networks(p, held_out["x"]))[:, np.arange(len(FUNCTIONS)), restart, 0])
        params[f"width_{width}"] = p
        history += [{k.replace("loss", f"squared error, width {width}"): v for k, v in row.items()} for row in rows]
    errors = np.stack([rmse(curve, held_out["y"]) for curve in curves], 1)
    table = {name: [float(f"{e:.3g}") for e in row] for name, row in zip(FUNCTIONS, errors, strict=True)}
    figure = draw(config.widths, errors, held_out, curves)
    caption = f"Width against error, the best of {config.restarts} restarts; and what networks of three widths make."
    return Outcome(params, {"widths": list(config.widths), **table}, history, {caption: figure})


def rmse(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The root of the mean squared error over the points, which are the first axis."""
    return np.sqrt(np.mean((np.asarray(outputs) - targets) ** 2, 0))


def train_width(config: Config, width: int, fitted, held_out):
    """The networks of one width, and their history."""
    key = jnn.path_key(jax.random.key(config.seed), f"width_{width}")
    spec = jnn.stack(network_spec(width, config.scale), config.restarts, "restarts")
    spec = jnn.stack(spec, len(FUNCTIONS), "functions")
    optimizer = optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps))
    state, history = train(
        config,
        make_step(loss, optimizer, key, steps_per_call=config.steps_per_call),
        create_state(jnn.init(spec, key), optimizer),
        Batches(fitted, config.points, seed=config.seed),
        every=10 * config.steps_per_call,
        evaluate=partial(evaluate_on, make_eval(loss), [held_out]),
        steps_per_call=config.steps_per_call,
        name=f"width_{width}",
    )
    return state.params, history


def draw(widths, errors: np.ndarray, held_out, curves) -> Figure:
    """Errors by width; the functions, and the narrowest, the middle and the widest network on each."""
    figure = Figure(figsize=(9.6, 7.2), layout="constrained")
    panels = figure.subplot_mosaic("ee01;ee23")
    for name, row in zip(FUNCTIONS, errors, strict=True):
        panels["e"].loglog(widths, row, "o-", label=name, markersize=4)
    panels["e"].set(xlabel="width", ylabel="error", xticks=widths, xticklabels=widths)
    panels["e"].legend(frameon=False)
    for i, name in enumerate(FUNCTIONS):
        panels[str(i)].plot(held_out["x"], held_out["y"][:, i], color=INK, linewidth=3, alpha=0.3)
        for j, colour in ((0, WARM), (len(widths) // 3, "#c9a227"), (-1, ACCENT)):
            panels[str(i)].plot(held_out["x"], curves[j][:, i], color=colour, linewidth=1.2, label=f"width {widths[j]}")
        panels[str(i)].set_title(name, fontsize=10)
    panels["0"].legend(frameon=False, fontsize=8)
    return figure


if __name__ == "__main__":
    launch(experiment, Config)
