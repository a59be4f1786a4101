"""Matches of a search against another player: from openings, or through every reply that there is.

    make_referee(env, longest, count) -> referee        games -> which are over, and for whom
    make_search(env, network, ...) -> look              p, games -> what the search finds in each
    openings(referee, count, moves, rng) -> games       by moves at random
    play_out(referee, players, games) -> games, results
    against_every_reply(rules, referee, look) -> metrics, game
    against_minimax(rules, referee, players, games) -> metrics, game

A game is a tuple of its moves. A player maps games to lists of moves, of which each is tried: one of a search, all of
an opponent who may make any. Programs are of one size, to which games fill up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.games import Rules, legal, minimax, perfect
from experiments.self_play import Network, beginning, search

Game = tuple[int, ...]
Player = Callable[[Sequence[Game]], Sequence[Sequence[int]]]
DEPTH = 4  # of minimax


class Judged(NamedTuple):
    """What a referee says: whether games (n,) are over, their results for who moved first, legal moves (n, actions)."""

    over: np.ndarray
    result: np.ndarray
    legal: np.ndarray


class Found(NamedTuple):
    """What a search finds: actions (n,), policies (n, actions), and values (n,) to who is to move."""

    action: np.ndarray
    policy: np.ndarray
    value: np.ndarray


def replay(env: Any, games: jax.Array) -> Any:
    """The states that games (n, moves), with -1 behind their ends, lead to."""

    def move(state: Any, action: jax.Array) -> tuple[Any, None]:
        after = env.step(state, jnp.maximum(action, 0))
        return jax.tree.map(lambda new, old: jnp.where(action >= 0, new, old), after, state), None

    return jax.vmap(lambda moves: jax.lax.scan(move, beginning(env), moves)[0])(games)


def in_parts(f: Callable[[np.ndarray], Any], games: Sequence[Game], longest: int, count: int) -> Any:
    """A function of one or more games, asked of so many at a time."""
    table = np.full((-(-len(games) // count) * count, longest), -1, np.int32)
    for row, game in zip(table, games, strict=False):
        row[: len(game)] = game
    found = [jax.device_get(f(part)) for part in table.reshape(-1, count, longest)]
    return jax.tree.map(lambda *parts: np.concatenate(parts)[: len(games)], *found)


def make_referee(env: Any, longest: int, count: int) -> Callable[[Sequence[Game]], Judged]:
    """Games of at most so many moves -> what is true of them by the rules of `env`."""

    @jax.jit
    def judge(games: jax.Array) -> Judged:
        states = replay(env, games)
        return Judged(states.terminated, states.rewards[:, beginning(env).current_player], states.legal_action_mask)

    return lambda games: in_parts(judge, games, longest, count)


def make_search(
    env: Any, network: Network, *, simulations: int, longest: int, count: int
) -> Callable[[Any, Sequence[Game]], Found]:
    """Parameters and games -> what the search finds in them, without noise."""

    @jax.jit
    def look(p: Any, games: jax.Array) -> Found:
        states = replay(env, games)
        found = search(env, network, p, states, jax.random.key(0), simulations=simulations, noise=0.0)
        return Found(found.action, found.action_weights, found.search_tree.summary().value)

    return lambda p, games: in_parts(lambda part: look(p, part), games, longest, count)


def openings(
    referee: Callable[[Sequence[Game]], Judged], count: int, moves: int, rng: np.random.Generator
) -> list[Game]:
    """Games of so many moves at random, too few for one to be over."""
    games: list[Game] = [()] * count
    for _ in range(moves):
        legal = referee(games).legal
        games = [(*game, int(rng.choice(np.flatnonzero(row)))) for game, row in zip(games, legal, strict=True)]
    return games


def play_out(
    referee: Callable[[Sequence[Game]], Judged], players: Sequence[Player], games: Sequence[Game] = ((),)
) -> tuple[list[Game], np.ndarray]:
    """Plays games of equal length to their ends, in turns.

    Args:
      referee: from `make_referee`.
      players: who moves first, and the other.
      games: what they begin with.

    Returns:
      The games, one for each choice of moves, and their results (n,) for who moves first: 1, 0 or -1.
    """
    ended, results = [], []
    while games:
        choices = players[len(games[0]) % 2](games)
        games = [(*game, int(move)) for game, moves in zip(games, choices, strict=True) for move in moves]
        found = referee(games)
        ended += [game for game, over in zip(games, found.over, strict=True) if over]
        results += found.result[found.over].tolist()
        games = [game for game, over in zip(games, found.over, strict=True) if not over]
    return ended, np.array(results)


def with_both_colours(
    referee: Callable[[Sequence[Game]], Judged], player: Player, other: Player, games: Sequence[Game] = ((),)
) -> tuple[list[Game], np.ndarray]:
    """`play_out` twice from games of an even number of moves, with the results for `player`: first it moves first."""
    first, won = play_out(referee, (player, other), games)
    second, lost = play_out(referee, (other, player), games)
    return first + second, np.concatenate([won, -lost])


def chosen(look: Callable[[Sequence[Game]], Found]) -> Player:
    """The player who makes the move that a search chooses."""
    return lambda games: look(games).action[:, None]


def against_every_reply(
    rules: Rules, referee: Callable[[Sequence[Game]], Judged], look: Callable[[Sequence[Game]], Found]
) -> tuple[dict[str, float], tuple[Game, int]]:
    """How many games are lost, with both colours, to all that a perfect player, and anybody, may reply.

    Returns:
      Numbers by name; and one of the games, with the number of the search's first move in it.
    """
    metrics: dict[str, float] = {}
    for name, replies in (("anybody", legal), ("perfect", perfect)):
        rival = lambda games, replies=replies: [replies(rules, game) for game in games]
        games, won = with_both_colours(referee, chosen(look), rival)
        metrics |= {
            f"{name}_games": len(games),
            f"{name}_lost": int((won < 0).sum()),
            f"{name}_won": int((won > 0).sum()),
        }
    return metrics, (games[-1], 1)


def against_minimax(
    rules: Rules,
    referee: Callable[[Sequence[Game]], Judged],
    players: Mapping[str, Callable[[Sequence[Game]], Found]],
    games: Sequence[Game],
) -> tuple[dict[str, float], tuple[Game, int]]:
    """Points of several searches, of 1 for a win and 1/2 for a draw, from these openings with both colours.

    Returns:
      Numbers by name; and the longest game that the first search began, with the number of its first move in it.
    """
    metrics: dict[str, float] = {"games": 2 * len(games)}
    rival = lambda games: [[minimax(rules, game, DEPTH)] for game in games]
    matches = {name: with_both_colours(referee, chosen(look), rival, games) for name, look in players.items()}
    for name, (_, won) in matches.items():
        metrics |= {f"{name}points": (won.mean() + 1) / 2, f"{name}lost": int((won < 0).sum())}
    played, _ = next(iter(matches.values()))
    return metrics, (max(played[: len(games)], key=len), len(games[0]))
