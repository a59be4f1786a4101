"""Rules as bits are those of pgx, minimax is the trial of all moves, and a perfect player knows tic-tac-toe."""

import numpy as np
import pytest

from experiments import games
from experiments.game_pictures import draw_game
from experiments.games import CONNECT_FOUR, TIC_TAC_TOE, Position
from experiments.matches import Found, make_referee
from experiments.self_play import environment


def board_of(rules, at):
    """1 for who is to move, -1 for the other."""
    bits = lambda stones: np.array([stones >> i & 1 for i in range(rules.rows * rules.columns)])
    return (bits(at.mine) - bits(at.theirs)).reshape(rules.rows, rules.columns)


def has_line(board, length):
    """Whether the other, who has just moved, has a line: rows, columns and diagonals of every window."""
    mine = board == -1
    for y in range(board.shape[0]):
        for x in range(board.shape[1]):
            window = mine[y : y + length, x : x + length]
            if window.shape[1] == length and window[0].all():
                return True
            if window.shape[0] == length and window[:, 0].all():
                return True
            if window.shape == (length, length) and (window.diagonal().all() or window[::-1].diagonal().all()):
                return True
    return False


def tried(rules, at, depth):
    """The value by trying every move; a sooner win is worth more."""
    if has_line(board_of(rules, at), rules.length):
        return -(games.WIN + depth + 1)
    moves = games.moves_of(rules, at)
    if not moves or depth == 0:
        return games.worth(rules, at) if moves else 0
    return max(-tried(rules, games.after(at, cell), depth - 1) for _, cell in moves)


def at_random(rules, length, rng):
    """A game of so many moves, or of fewer, if it is over before."""
    moves, at = [], Position(0, 0)
    while len(moves) < length and (legal := games.moves_of(rules, at)):
        action, cell = legal[rng.integers(len(legal))]
        if games.wins(rules, at.mine, cell):
            break
        moves, at = [*moves, action], games.after(at, cell)
    return tuple(moves)


@pytest.mark.parametrize(("rules", "depth"), [(TIC_TAC_TOE, 4), (CONNECT_FOUR, 2)])
def test_minimax_is_the_trial_of_all_moves(rules, depth):
    rng = np.random.default_rng(0)
    for length in (3, 5, 7, 20):
        at = games.position(rules, at_random(rules, length, rng))
        expected = {a: -tried(rules, games.after(at, cell), depth - 1) for a, cell in games.moves_of(rules, at)}
        assert games.values(rules, at, depth) == expected


def test_minimax_wins_and_does_not_lose_where_it_can():
    assert games.minimax(CONNECT_FOUR, (3, 0, 3, 0, 3, 0), 4) == 3
    assert games.minimax(CONNECT_FOUR, (3, 0, 3, 0, 3), 4) == 3
    assert games.minimax(CONNECT_FOUR, (3, 6, 2, 6), 4) in (1, 4)  # three with both ends free


def test_a_perfect_player_knows_tic_tac_toe():
    assert sorted(games.perfect(TIC_TAC_TOE, ())) == list(range(9))
    assert games.perfect(TIC_TAC_TOE, (0,)) == [4]
    assert sorted(games.perfect(TIC_TAC_TOE, (4,))) == [0, 2, 6, 8]
    assert sorted(games.perfect(TIC_TAC_TOE, (0, 4, 8))) == [1, 3, 5, 7]  # corners lose


@pytest.mark.parametrize(("name", "rules"), [("tic_tac_toe", TIC_TAC_TOE), ("connect_four", CONNECT_FOUR)])
def test_rules_are_those_of_pgx(name, rules):
    """Of games at random, move by move: what is legal, when a game is over, and for whom."""
    pytest.importorskip("pgx", reason="pip install 'jnn[games]'")
    rng, longest = np.random.default_rng(1), rules.rows * rules.columns
    some = [at_random(rules, longest, rng) for _ in range(8)]
    begun = [game[:length] for game in some for length in range(0, len(game) + 1, 3)]
    ended = []
    for game in some:  # the winning move, where one stopped it
        at = games.position(rules, game)
        ended += [(*game, a) for a, cell in games.moves_of(rules, at) if games.wins(rules, at.mine, cell)][:1]
    found = make_referee(environment(name), longest, 64)([*begun, *some, *ended])
    legal = [np.flatnonzero(row).tolist() for row in found.legal]
    of = slice(0, len(begun))
    full = [len(game) == longest for game in begun]
    assert found.over[of].tolist() == full
    assert not found.result[: len(begun) + len(some)].any()
    for game, actions, over in zip(begun, legal, full, strict=False):
        assert over or actions == sorted(games.legal(rules, game))
    assert len(ended) > 0
    assert found.over[-len(ended) :].all()
    assert found.result[-len(ended) :].tolist() == [1 if len(game) % 2 else -1 for game in ended]


def test_a_game_is_drawn_before_each_move_of_the_search():
    look = lambda some: Found(np.zeros(len(some)), np.full((len(some), 9), 1 / 9), np.linspace(-1, 1, len(some)))
    *boards, line = draw_game(TIC_TAC_TOE, look, (8, 4, 0, 5, 3, 6, 2, 1, 7), 1).axes
    assert [axes.get_title() for axes in boards] == ["move 2: -1.00", "move 4: -0.33", "move 6: +0.33", "move 8: +1.00"]
    assert line.lines[-1].get_xdata().tolist() == [2, 4, 6, 8]
