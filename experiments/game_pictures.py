"""A game as a picture: the positions in which the search moved, what it thought of each move, and of the game."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from experiments.games import Rules, moves_of, position
from experiments.pictures import ACCENT, INK, WARM

LINE = "#c9d0dc"
COLUMNS = 7  # positions side by side, at most


def placed(rules: Rules, moves: Sequence[int]) -> list[tuple[int, int]]:
    """The row and the column of each stone, in order."""
    cells = [dict(moves_of(rules, position(rules, moves[:i])))[move] for i, move in enumerate(moves)]
    return [divmod(cell.bit_length() - 1, rules.columns) for cell in cells]


def draw_position(axes: Axes, rules: Rules, moves: Sequence[int], policy: np.ndarray, played: int) -> None:
    """The stones so far, the last of which has a dot, shades of the policy where stones may go, and a ring."""
    for column in range(rules.columns):
        for row in range(rules.rows):
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor="none", edgecolor=LINE, lw=0.5))
    for i, (row, column) in enumerate(placed(rules, moves)):
        axes.add_patch(Circle((column, row), 0.4, color=(ACCENT, WARM)[i % 2]))
        if i == len(moves) - 1:
            axes.add_patch(Circle((column, row), 0.1, color="white"))
    for action, cell in moves_of(rules, position(rules, moves)):
        row, column = divmod(cell.bit_length() - 1, rules.columns)
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, color=INK, alpha=0.5 * float(policy[action]), lw=0))
        if policy[action] >= 0.05:
            label = f"{100 * policy[action]:.0f}"
            axes.text(column, row, label, ha="center", va="center", fontsize=6.5, color=INK)
        if action == played:
            ring = (ACCENT, WARM)[len(moves) % 2]
            axes.add_patch(Circle((column, row), 0.43, facecolor="none", edgecolor=ring, lw=1.6))
    axes.set(xlim=(-0.55, rules.columns - 0.45), ylim=(rules.rows - 0.45, -0.55), aspect="equal")
    axes.axis("off")


def draw_game(rules: Rules, look: Callable[[Sequence[Sequence[int]]], Any], game: Sequence[int], begin: int) -> Figure:
    """A game in which a search moved from this move on: what it finds before each of its moves."""
    turns = range(begin, len(game), 2)
    found = look([tuple(game[:turn]) for turn in turns])
    columns, colour = min(COLUMNS, len(turns)), (ACCENT, WARM)[begin % 2]
    rows = -(-len(turns) // columns)
    size = 1.55 * columns, (1.55 * rules.rows / rules.columns + 0.35) * rows + 1.7
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.add_gridspec(rows + 1, columns, height_ratios=[*[1] * rows, 0.9])
    for i, (turn, policy, value) in enumerate(zip(turns, found.policy, found.value, strict=True)):
        axes = figure.add_subplot(grid[divmod(i, columns)])
        draw_position(axes, rules, game[:turn], policy, game[turn])
        axes.set_title(f"move {turn + 1}: {value:+.2f}", fontsize=8, color=INK)
    axes = figure.add_subplot(grid[rows, :])
    axes.axhline(0, color=LINE, lw=0.8)
    axes.plot(np.add(turns, 1), found.value, color=colour, marker="o", ms=3)
    axes.set(xlabel="move", ylabel="value", ylim=(-1.1, 1.1), xticks=np.add(turns, 1))
    axes.spines[["top", "right"]].set_visible(False)
    return figure
