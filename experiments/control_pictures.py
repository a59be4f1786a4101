"""Pictures of control: what a policy does, as a strip of moments, and how runs have learned.

film(env, policy, key) -> states             of one episode
strip(name, states, held) -> Figure          moments of it side by side
learning(history, runs, taken) -> Figure     every run's returns, and their mean with its interval
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from experiments.pictures import ACCENT, INK, WARM
from jnn.environments import FOUR_ROOMS, FOUR_ROOMS_GOAL, Environment
from jnn.train import History

Draw = Callable[[Axes, np.ndarray], None]
RETURN = "train/return/"  # of a row, and the number of a run


def film(env: Environment, policy: Callable[[Any, jax.Array], jax.Array], key: jax.Array) -> np.ndarray:
    """The states (t, ...) of one episode up to its end, the last one too; policy is of one observation."""

    def one(state: jax.Array, key: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        choice, chance = jax.random.split(key)
        after, _, terminated = env.step(state, policy(env.observe(state), choice), chance)
        return after, (after, terminated)

    begin, go = jax.random.split(key)
    first = env.reset(begin)
    _, (states, terminated) = jax.lax.scan(one, first, jax.random.split(go, env.limit))
    ended = np.flatnonzero(np.asarray(terminated))
    last = ended[0] + 1 if len(ended) else env.limit
    return np.concatenate([np.asarray(first)[None], np.asarray(states)[:last]])


def strip(name: str, states: np.ndarray, held: int, moments: int = 8) -> Figure:
    """So many moments of an episode side by side, and the step of each, where a state is so many steps."""
    chosen = np.unique(np.linspace(0, len(states) - 1, moments).round().astype(int))
    figure = Figure(figsize=(1.5 * len(chosen), 1.8), layout="constrained")
    for axes, at in zip(figure.subplots(1, len(chosen), squeeze=False)[0], chosen, strict=True):
        DRAWN[name](axes, states[: at + 1])
        axes.set_title(f"step {held * at}", fontsize=8)
        axes.set(xticks=[], yticks=[], aspect="equal")
        axes.spines[:].set_color("#c9cdd4")
    return figure


def averaged(history: History) -> History:
    """A history whose rows have the mean of all runs in place of each run's return."""
    rows = []
    for row in history:
        each = [value for name, value in row.items() if name.startswith(RETURN)]
        rows.append({name: value for name, value in row.items() if not name.startswith(RETURN)})
        if np.isfinite(each).any():
            rows[-1][RETURN.rstrip("/")] = float(np.nanmean(each))
    return rows


def learning(history: History, runs: int, taken: int) -> Figure:
    """Returns of the episodes that ended up to each row: a line a run, their mean and its 95 % interval.

    Over the steps that each run has taken in its environments, so many in each of `fit`'s; where no episode of a run
    ended, it stays where it was.
    """
    each = np.array([[row.get(f"{RETURN}{i}", np.nan) for i in range(runs)] for row in history])
    newest = np.where(np.isfinite(each), np.arange(len(each))[:, None], 0)
    each = np.take_along_axis(each, np.maximum.accumulate(newest), 0)
    there = np.isfinite(each).all(1)
    steps, each = taken / 1000 * np.array([row["step"] for row in history])[there], each[there]
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(steps, each, color=INK, linewidth=0.5, alpha=0.35)
    mean = each.mean(1)
    half = interval(each)
    axes.fill_between(steps, mean - half, mean + half, color=ACCENT, alpha=0.25, linewidth=0)
    axes.plot(steps, mean, color=ACCENT, linewidth=2)
    axes.set(xlabel="thousand steps in the environments of a run", ylabel="return of an episode")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def interval(each: np.ndarray) -> np.ndarray:
    """Half of the 95 % interval of the mean over the last axis, by Student's distribution; NaN of one run."""
    n = each.shape[-1]
    return stats.t.ppf(0.975, n - 1) * each.std(-1, ddof=1) / np.sqrt(n) if n > 1 else np.full(each.shape[:-1], np.nan)


def cart_pole(axes: Axes, states: np.ndarray) -> None:
    """The cart on its track, and the pole."""
    x, _, angle, _ = states[-1]
    axes.plot([-2.4, 2.4], [0, 0], color=INK, linewidth=0.8)
    axes.plot([x - 0.3, x + 0.3], [0.1, 0.1], color=INK, linewidth=6, solid_capstyle="butt")
    _rods(axes, (x, 0.2), [angle + np.pi], 1.6)
    axes.set(xlim=(-2.5, 2.5), ylim=(-1.2, 3.8))


def pendulum(axes: Axes, states: np.ndarray) -> None:
    """The rod."""
    _rods(axes, (0, 0), [states[-1][0] + np.pi], 1.0)
    axes.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3))


def acrobot(axes: Axes, states: np.ndarray) -> None:
    """Both links, and how high the tip should be."""
    upper, lower = states[-1][:2]
    axes.axhline(1, color=WARM, linewidth=0.8, linestyle=":")
    _rods(axes, (0, 0), [upper, upper + lower], 1.0)
    axes.set(xlim=(-2.3, 2.3), ylim=(-2.3, 2.3))


def _rods(axes: Axes, start: tuple[float, float], angles: list[float], length: float) -> None:
    """Rods one behind the other, each at an angle from hanging, counterclockwise if the axis is seen from the front."""
    ends = [np.array(start)]
    for angle in angles:
        ends.append(ends[-1] + length * np.array([np.sin(angle), -np.cos(angle)]))
    axes.plot(*np.array(ends).T, color=ACCENT, linewidth=4, solid_capstyle="round")
    axes.plot(*np.array(ends[:-1]).T, "o", color=INK, markersize=4)


def mountain_car(axes: Axes, states: np.ndarray) -> None:
    """The hill, the goal and the car."""
    height = lambda x: 0.45 * np.sin(3 * x) + 0.55
    x = np.linspace(-1.2, 0.6, 100)
    axes.plot(x, height(x), color=INK, linewidth=0.8)
    axes.plot([0.5, 0.5], [height(0.5), height(0.5) + 0.25], color=WARM, linewidth=1.5)
    axes.plot(states[-1][0], height(states[-1][0]) + 0.05, "o", color=ACCENT, markersize=7)
    axes.set(xlim=(-1.25, 0.65), ylim=(-0.2, 1.7))


def quadrotor(axes: Axes, states: np.ndarray) -> None:
    """The bar, its propellers, its way so far and the place."""
    x, y, angle = states[-1][:3]
    along = 0.25 * np.array([np.cos(angle), np.sin(angle)])
    axes.plot(0, 0, "+", color=WARM, markersize=9)
    axes.plot(*states[:, :2].T, color=INK, linewidth=0.6)
    axes.plot(*(np.array([[x, y]]) + np.outer([-1, 1], along)).T, "-o", color=ACCENT, linewidth=3, markersize=4)
    axes.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5))


def gridworld(axes: Axes, states: np.ndarray) -> None:
    """The walls, the way so far and the goal."""
    walls = [[character == "#" for character in line] for line in FOUR_ROOMS.strip("\n").split("\n")]
    axes.imshow(np.array(walls), cmap="Greys", vmin=0, vmax=1.6)
    axes.plot(*states[:, ::-1].T, color=ACCENT, linewidth=1)
    axes.plot(*states[-1][::-1], "o", color=ACCENT, markersize=5)
    axes.plot(*FOUR_ROOMS_GOAL[::-1], "*", color=WARM, markersize=7)


DRAWN: dict[str, Draw] = {
    "cart_pole": cart_pole,
    "pendulum": pendulum,
    "mountain_car": mountain_car,
    "acrobot": acrobot,
    "quadrotor": quadrotor,
    "gridworld": gridworld,
}
