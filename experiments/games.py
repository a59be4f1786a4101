"""Games of lines as bits, and a player who looks ahead: tic-tac-toe and Connect Four.

    position(rules, moves) -> Position                  a game is its moves
    values(rules, position, depth) -> action -> value   minimax with alpha-beta
    minimax(rules, moves, depth) -> action              the best of them, the middle first
    perfect(rules, moves) -> actions                    all that keep what the position is worth

Cells are counted row by row from the top, as pgx counts them; a set of cells is a number, one bit a cell. An action is
a cell, or a column where stones fall. Laws: a value is that of trying all moves; a win is worth more the sooner it is.

See "An Analysis of Alpha-Beta Pruning", Knuth and Moore, 1975.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

WIN = 10_000
WORTH = (0, 1, 4, 16)  # of a line that one player alone has 0 to 3 stones in


class Position(NamedTuple):
    """The stones of who is to move, and of the other."""

    mine: int
    theirs: int


@dataclasses.dataclass(frozen=True)
class Rules:
    """Who first has so many stones in a line wins."""

    rows: int
    columns: int
    length: int
    falls: bool  # to the lowest free cell of a column

    @functools.cached_property
    def lines(self) -> list[int]:
        """Every line of this length."""
        steps, cells = range(self.length), []
        for row in range(self.rows):
            for column in range(self.columns):
                for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
                    line = [(row + i * down, column + i * right) for i in steps]
                    if all(0 <= y < self.rows and 0 <= x < self.columns for y, x in line):
                        cells.append(sum(1 << (y * self.columns + x) for y, x in line))
        return cells

    @functools.cached_property
    def through(self) -> dict[int, list[int]]:
        """The lines through a cell."""
        cells = [1 << cell for cell in range(self.rows * self.columns)]
        return {cell: [line for line in self.lines if line & cell] for cell in cells}

    @functools.cached_property
    def cells(self) -> dict[int, list[int]]:
        """The cells that an action may fill, in the order in which it does; of actions the middle ones first."""
        bits = [[1 << (y * self.columns + x) for x in range(self.columns)] for y in range(self.rows)]
        if self.falls:
            of = {x: [row[x] for row in reversed(bits)] for x in range(self.columns)}
        else:
            of = {i: [bit] for i, bit in enumerate(bit for row in bits for bit in row)}
        return {action: of[action] for action in sorted(of, key=lambda a: abs(2 * a - len(of) + 1))}


TIC_TAC_TOE = Rules(3, 3, 3, falls=False)
CONNECT_FOUR = Rules(6, 7, 4, falls=True)


def moves_of(rules: Rules, at: Position) -> list[tuple[int, int]]:
    """Legal actions, each with the cell that it fills."""
    stones = at.mine | at.theirs
    free = ((action, next((c for c in cells if not stones & c), 0)) for action, cells in rules.cells.items())
    return [(action, cell) for action, cell in free if cell]


def legal(rules: Rules, moves: Sequence[int]) -> list[int]:
    """All actions that the rules allow after these moves."""
    return [action for action, _ in moves_of(rules, position(rules, moves))]


def wins(rules: Rules, stones: int, cell: int) -> bool:
    """Whether a stone in this cell makes a line."""
    return any((stones | cell) & line == line for line in rules.through[cell])


def after(at: Position, cell: int) -> Position:
    """The position when this cell has been filled."""
    return Position(at.theirs, at.mine | cell)


def position(rules: Rules, moves: Sequence[int]) -> Position:
    """Where these legal moves lead."""
    at = Position(0, 0)
    for action in moves:
        at = after(at, dict(moves_of(rules, at))[action])
    return at


def worth(rules: Rules, at: Position) -> int:
    """What a position without a winner looks like: lines that are still open, by stones that are in them."""
    mine, theirs = at
    score = 0
    for line in rules.lines:
        if (line & mine == 0) != (line & theirs == 0):
            score += WORTH[(line & mine).bit_count()] - WORTH[(line & theirs).bit_count()]
    return score


def negamax(rules: Rules, at: Position, depth: int, alpha: int, beta: int) -> int:
    """The value for who is to move, looking so many moves ahead; what lies outside of alpha and beta is a bound."""
    moves = moves_of(rules, at)
    if not moves or depth == 0:
        return worth(rules, at) if moves else 0
    if any(wins(rules, at.mine, cell) for _, cell in moves):
        return WIN + depth
    for _, cell in moves:
        alpha = max(alpha, -negamax(rules, after(at, cell), depth - 1, -beta, -alpha))
        if alpha >= beta:
            break
    return alpha


@functools.lru_cache(1 << 16)
def values(rules: Rules, at: Position, depth: int) -> dict[int, int]:
    """What each legal action is worth to who makes it."""
    value = lambda cell: -negamax(rules, after(at, cell), depth - 1, -2 * WIN, 2 * WIN)
    return {a: WIN + depth if wins(rules, at.mine, cell) else value(cell) for a, cell in moves_of(rules, at)}


def minimax(rules: Rules, moves: Sequence[int], depth: int) -> int:
    """The action of the best value; of equal ones that nearest to the middle."""
    found = values(rules, position(rules, moves), depth)
    return max(found, key=found.__getitem__)


def perfect(rules: Rules, moves: Sequence[int]) -> list[int]:
    """All actions after which a game is still won, or else still drawn, if the position is."""
    found = values(rules, position(rules, moves), rules.rows * rules.columns)
    sign = lambda value: (value > 0) - (value < 0)
    return [action for action, value in found.items() if sign(value) == max(map(sign, found.values()))]
