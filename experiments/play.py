"""Self-play: a network and a search that learn a game from its rules alone.

Games     tic-tac-toe and Connect Four (pgx), as many side by side as a batch has rows; each update moves each by one.
Network   AlphaZero's ("A general reinforcement learning algorithm that masters chess, shogi, and Go through self-play",
          Silver et al., 2018), small: 2 residual blocks of 32 without batch norm, a policy and a value.
Search    16 simulations of Gumbel MuZero's ("Policy improvement by planning with Gumbel", Danihelka et al., 2022; mctx).
Training  cross-entropy to the search's policy and squared error to the game's end, of 4 positions a game and update out
          of the last 256; half of them mirrored. AdamW 2e-3, cosine. A game begins with up to 4 random moves.
Run       python -m experiments.play [--game tic_tac_toe]       (pip install 'jnn[games]')
Measured  to come.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import games, self_play
from experiments.game_pictures import draw_game
from experiments.harness import Outcome, launch
from experiments.matches import make_referee, make_search, openings, with_both_colours
from experiments.options import Common
from experiments.training import train
from jnn import layers
from jnn.data import Batches
from jnn.initializers import zeros
from jnn.train import LossOutput

RULES = {"tic_tac_toe": games.TIC_TAC_TOE, "connect_four": games.CONNECT_FOUR}
DEPTH = 4  # of minimax
CAPTION = "A game: what the search thinks of its moves (shades, in percent) and of the game (value)."


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """A game, learned from its rules alone."""

    steps: int = 4000
    workdir: str = "runs/play"
    game: Literal["tic_tac_toe", "connect_four"] = "connect_four"
    batch_size: int = 128  # games side by side
    positions: int = 256  # of each that are remembered
    samples: int = 4  # of these, a game and update
    opening: int = 4  # the most random moves that a game begins with
    simulations: int = 16
    test_simulations: int = 128
    test_pairs: int = 64  # openings, each played with both colours
    width: int = 32
    blocks: int = 2
    learning_rate: float = 2e-3
    every: int = 100


def network_spec(config: Config, board: tuple[int, ...], actions: int) -> dict:
    """Declares the network for boards (y, x, planes)."""
    unit = partial(layers.conv_spec, config.width, config.width, (3, 3))
    head = lambda out: layers.linear_spec(board[0] * board[1] * config.width, out, init=zeros)
    return {
        "stem": layers.conv_spec(board[2], config.width, (3, 3)),
        "blocks": [{"unit1": unit(), "unit2": unit(init=zeros)} for _ in range(config.blocks)],
        "policy": head(actions),
        "value": head(1),
    }


def network(p: dict, board: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Boards (..., y, x, planes) to logits (..., actions) and values (...) to who is to move, between -1 and 1."""
    h = jax.nn.relu(layers.conv(p["stem"], board.astype(jnp.float32)))
    for block in p["blocks"]:
        h = jax.nn.relu(h + layers.conv(block["unit2"], jax.nn.relu(layers.conv(block["unit1"], h))))
    h = h.reshape(*h.shape[:-3], -1)
    return layers.linear(p["policy"], h), jnp.tanh(layers.linear(p["value"], h)[..., 0])


def loss(p: Any, batch: dict, ctx: Any, env: Any, config: Config) -> LossOutput:
    """Of remembered positions; and, among the rows, a move of every game by the newest network."""
    keys, lanes = jax.random.split(ctx.draw), batch["x"]
    own = jax.tree.map(lambda array: array[lanes], ctx.memory["games"])
    played = self_play.play(env, network, jax.lax.stop_gradient(p), own, keys[0], config.simulations)
    past = self_play.recall(ctx.memory, lanes, ctx.step, keys[1], config.samples)
    logits, value = network(p, past["board"])
    policy_loss = optax.softmax_cross_entropy(logits, past["policy"])  # 0 of what nobody has played yet
    value_loss, known = optax.squared_error(value, past["result"]), past["known"].astype(jnp.float32)
    means = {"policy": jnn.metrics.mean(policy_loss), "value": jnn.metrics.mean(value_loss, known)}
    return LossOutput(policy_loss + known * value_loss, metrics=means, rows={"lane": lanes, "played": played})


def experiment(config: Config) -> Outcome:
    """Trains by self-play, then plays matches."""
    env, rules = self_play.environment(config.game), RULES[config.game]

    def remember(memory, params, stats, rows, step):
        order = jnp.argsort(rows["lane"])  # rows are shuffled
        return self_play.remember(env, memory, jax.tree.map(lambda array: array[order], rows["played"]), step)

    spec = network_spec(config, env.observation_shape, env.num_actions)
    decay = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    state, history = train(
        config,
        spec,
        partial(loss, env=env, config=config),
        optax.adamw(decay, weight_decay=1e-4),
        Batches({"x": np.arange(config.batch_size)}, config.batch_size, seed=config.seed),
        every=config.every,
        clip_norm=1.0,
        memory=lambda params: self_play.begin(env, config.batch_size, config.positions, config.opening),
        remember=remember,
    )
    size = {"longest": rules.rows * rules.columns, "count": config.test_pairs}
    referee, look = make_referee(env, **size), make_search(env, network, simulations=config.test_simulations, **size)
    known = partial(look, state.params)
    if config.game == "tic_tac_toe":
        metrics, game = against_every_reply(rules, referee, known)
    else:
        untrained = partial(look, jnn.init(spec, jax.random.key(config.seed)))
        metrics, game = against_minimax(rules, referee, known, untrained, config)
    return Outcome(state.params, metrics, history, {CAPTION: partial(draw_turns, rules, known, *game)})


def against_every_reply(rules: games.Rules, referee: Any, look: Any) -> tuple[dict[str, Any], tuple]:
    """Games lost to a perfect player, through all its replies, and through all replies that the rules allow."""
    metrics: dict[str, Any] = {}
    for name, replies in (("any", games.legal), ("perfect", games.perfect)):
        played, won = with_both_colours(
            referee, chosen(look), lambda some, f=replies: [f(rules, game) for game in some]
        )
        metrics |= {f"{name}_games": len(played), f"{name}_lost": int((won < 0).sum())}
        metrics[f"{name}_points"] = (won.mean() + 1) / 2
    return metrics, (played[-1], 1)


def against_minimax(rules: games.Rules, referee: Any, look: Any, untrained: Any, config: Config):
    """Points of the search with what it has learned, and without: 1 for a win, 1/2 for a draw."""
    begun = openings(referee, config.test_pairs, config.opening, np.random.default_rng(0))
    rival = lambda some: [[games.minimax(rules, game, DEPTH)] for game in some]
    metrics: dict[str, Any] = {"games": 2 * len(begun)}
    for name, player in (("untrained_", untrained), ("", look)):
        played, won = with_both_colours(referee, chosen(player), rival, begun)
        points = (won + 1) / 2
        metrics |= {f"{name}points": points.mean(), f"{name}points_second": points[len(begun) :].mean()}
    return metrics, (played[0], config.opening)


def chosen(look: Any) -> Any:
    """The player who makes the move that the search chooses."""
    return lambda some: look(some).action[:, None]


def draw_turns(rules: games.Rules, look: Any, game: tuple[int, ...], turn: int):
    """A game in which the search moved from this turn on."""
    turns = range(turn, len(game), 2)
    found = look([game[:turn] for turn in turns])
    return draw_game(rules, game, turns, found.policy, found.value)


if __name__ == "__main__":
    launch(experiment, Config)
