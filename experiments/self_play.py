"""Self-play: games that go on from update to update, a search that plays them, and the positions that are remembered.

    environment(name) -> env                                    a game of pgx, which is a pure function
    search(env, network, p, states, key, ...) -> found          mctx: the action, the improved policy, the tree
    begin(env, lanes, capacity, opening) -> memory              a game and a ring of positions a lane
    play(env, network, p, games, key, ...) -> Played            a move of each
    remember(env, memory, played, step) -> memory               every game one move further
    recall(memory, lanes, step, key, count) -> positions        some of those whose games are over

Shapes: n lanes (games side by side), c positions a lane, a actions. Update s writes slot s % c of every ring. A game
begins with moves at random, up to `opening` of them by its lane, whose ends nobody is told. Law: what is remembered
holds no key, and is a function of what was played and of the update's number, so that games go on bit for bit.

See "A general reinforcement learning algorithm that masters chess, shogi, and Go through self-play", Silver et al.,
2018; "Policy improvement by planning with Gumbel", Danihelka et al., 2022; "Pgx: Hardware-Accelerated Parallel Game
Simulators for Reinforcement Learning", Koyamada et al., 2023.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn.optional import optional

Network = Callable[[Any, jax.Array], tuple[jax.Array, jax.Array]]  # p, boards -> logits (n, a), values (n,)


class Played(NamedTuple):
    """What each lane (n,) has played: the action (n,), and the policy (n, a) that the search found."""

    action: jax.Array
    policy: jax.Array


def environment(name: str) -> Any:
    """The game of this name."""
    return optional("pgx", "games").make(name)


def beginning(env: Any) -> Any:
    """The first position; who moves in it is always the same of two players."""
    return env.init(jax.random.key(0))


def of_mover(rewards: jax.Array, mover: jax.Array) -> jax.Array:
    """Rewards (n, 2) for one of the two (n,)."""
    return jnp.take_along_axis(rewards, mover[:, None], 1)[:, 0]


def search(
    env: Any, network: Network, p: Any, states: Any, key: jax.Array, *, simulations: int, noise: float = 1.0
) -> Any:
    """Gumbel MuZero's search with the game itself as its model.

    Args:
      states: of n games.
      simulations: positions that are looked at.
      noise: of the Gumbel draws; 0 for the best move alone.

    Returns:
      mctx's output: `action` (n,), `action_weights` (n, a), the improved policy, and `search_tree`.
    """
    mctx = optional("mctx", "games")

    def look(p, key, action, states):
        mover, states = states.current_player, jax.vmap(env.step)(states, action)
        logits, value = network(p, states.observation)
        over = states.terminated
        output = mctx.RecurrentFnOutput(
            reward=of_mover(states.rewards, mover),
            discount=jnp.where(over, 0.0, -1.0),  # the next value is the other's
            prior_logits=jnp.where(states.legal_action_mask, logits, jnp.finfo(logits.dtype).min),
            value=jnp.where(over, 0.0, value),
        )
        return output, states

    logits, value = network(p, states.observation)
    root = mctx.RootFnOutput(prior_logits=logits, value=value, embedding=states)
    illegal = ~states.legal_action_mask
    return mctx.gumbel_muzero_policy(p, key, root, look, simulations, invalid_actions=illegal, gumbel_scale=noise)


def play(env: Any, network: Network, p: Any, games: Any, key: jax.Array, simulations: int) -> Played:
    """A move of these games: what the search plays, or at random where a game has not had its opening yet."""
    states, keys = games["states"], jax.random.split(key)
    found = search(env, network, p, states, keys[0], simulations=simulations)
    at_random = jax.random.categorical(keys[1], jnp.where(states.legal_action_mask, 0.0, -jnp.inf))
    return Played(jnp.where(games["plies"] < games["opening"], at_random, found.action), found.action_weights)


def begin(env: Any, lanes: int, capacity: int, opening: int) -> dict[str, Any]:
    """Games before their first move, and rings in which nothing is known."""
    first = jax.jit(beginning, static_argnums=0)(env)
    many = lambda shape, array: jnp.broadcast_to(array, (*shape, *array.shape))
    empty = lambda *shape: jnp.zeros((lanes, capacity, *shape), jnp.float32)
    return {
        "games": {
            "states": jax.tree.map(lambda array: many((lanes,), array), first),
            "plies": jnp.zeros(lanes, jnp.int32),
            "opening": jnp.arange(lanes) % (opening + 1),
        },
        "board": many((lanes, capacity), first.observation),
        "policy": empty(*first.legal_action_mask.shape),
        "result": empty(),
        "known": empty().astype(bool),
    }


def remember(env: Any, memory: Any, played: Played, step: jax.Array) -> dict[str, Any]:
    """Writes each lane's position, makes its move, and tells the positions of a game that is over how it ended."""
    games, capacity = memory["games"], memory["known"].shape[1]
    states, slot = games["states"], (step - 1) % capacity
    after, plies = jax.vmap(env.step)(states, played.action), games["plies"] + 1
    age = (slot - jnp.arange(capacity)[None]) % capacity
    told = after.terminated[:, None] & (age < (plies - games["opening"])[:, None])
    result = of_mover(after.rewards, states.current_player)[:, None] * jnp.where(age % 2 == 0, 1.0, -1.0)
    first = jax.tree.map(lambda array: array[None], beginning(env))
    again = lambda new, old: jnp.where(after.terminated.reshape(-1, *(1,) * (old.ndim - 1)), new, old)
    return {
        "games": games | {"states": jax.tree.map(again, first, after), "plies": again(0, plies)},
        "board": memory["board"].at[:, slot].set(states.observation),
        "policy": memory["policy"].at[:, slot].set(played.policy),
        "result": jnp.where(told, result, memory["result"]),
        "known": memory["known"].at[:, slot].set(False) | told,
    }


def recall(memory: Any, lanes: jax.Array, step: jax.Array, key: jax.Array, count: int) -> dict[str, jax.Array]:
    """So many positions (n, count) of these lanes, half of them mirrored; ends are known where a game is over."""
    keys, shape, capacity = jax.random.split(key), (len(lanes), count), memory["known"].shape[1]
    age = jax.random.randint(keys[0], shape, 0, jnp.clip(step, 1, capacity))
    at = (lanes[:, None], (step - 1 - age) % capacity)
    board, policy, turned = memory["board"][at], memory["policy"][at], jax.random.bernoulli(keys[1], shape=shape)
    other = policy[..., mirror(board.shape[-3:-1], policy.shape[-1])]
    return {
        "board": jnp.where(turned[..., None, None, None], board[..., ::-1, :], board),
        "policy": jnp.where(turned[..., None], other, policy),
        "result": memory["result"][at],
        "known": memory["known"][at],
    }


def mirror(board: tuple[int, ...], actions: int) -> np.ndarray:
    """Which action an action is when left and right change places: of columns, or of cells and what comes after them.

    >>> mirror((2, 3), 3).tolist(), mirror((2, 3), 7).tolist()
    ([2, 1, 0], [2, 1, 0, 5, 4, 3, 6])
    """
    order, cells = np.arange(actions), board[0] * board[1]
    if actions < cells:
        return order[::-1]
    return np.concatenate([order[:cells].reshape(board)[:, ::-1].ravel(), order[cells:]])
