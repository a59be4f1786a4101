"""Self-play: what is remembered of games is what happened in them, a search finds what wins, and runs go on."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from experiments import play, self_play
from experiments.board_network import board_network, board_network_spec
from experiments.games import TIC_TAC_TOE
from experiments.matches import against_every_reply, make_referee, make_search
from jnn.data import Batches
from jnn.train import create_state, digest, make_step
from tests.experiments.shortened import flown, resumed

pytest.importorskip("pgx", reason="pip install 'jnn[games]'")
pytest.importorskip("mctx", reason="pip install 'jnn[games]'")
WON = (0, 3, 1, 4, 2)  # by who begins: the top row
LOST = (8, 0, 3, 1, 4, 2)
DRAWN = (0, 1, 2, 4, 3, 5, 7, 6, 8)


def remembered(scripts, capacity, opening=0):
    """The memory after every move of games of tic-tac-toe, one a lane; each begins again when it is over."""
    env, longest = self_play.environment("tic_tac_toe"), max(map(len, scripts))
    memory, write = self_play.begin(env, len(scripts), capacity, opening), jax.jit(partial(self_play.remember, env))
    for step in range(1, longest + 1):
        action = jnp.array([script[(step - 1) % len(script)] for script in scripts])
        policy = jax.nn.one_hot(action, 9)
        memory = write(memory, self_play.Played(action, policy), jnp.int32(step))
    return memory


def test_each_position_is_told_how_its_game_ended_for_who_moved_in_it():
    memory = remembered([WON, LOST, DRAWN], capacity=9)
    known, result = np.asarray(memory["known"]), np.asarray(memory["result"])
    assert known.sum(1).tolist() == [5, 6, 9]  # those that have begun again are not over
    assert result[0, :5].tolist() == [1, -1, 1, -1, 1]
    assert result[1, :6].tolist() == [-1, 1, -1, 1, -1, 1]
    assert result[2].tolist() == [0] * 9
    assert memory["games"]["plies"].tolist() == [4, 3, 0]
    boards = np.asarray(memory["board"]).sum((2, 3, 4))
    np.testing.assert_array_equal(boards, [[0, 1, 2, 3, 4, 0, 1, 2, 3], [0, 1, 2, 3, 4, 5, 0, 1, 2], list(range(9))])


def test_rings_forget_the_oldest_and_openings_are_not_told():
    ring = remembered([DRAWN, DRAWN, DRAWN], capacity=4, opening=2)
    assert ring["games"]["opening"].tolist() == [0, 1, 2]
    assert ring["known"].all()  # the last four positions
    assert np.asarray(ring["board"]).sum((2, 3, 4)).tolist() == [[8, 5, 6, 7]] * 3
    whole = remembered([DRAWN, DRAWN, DRAWN], capacity=9, opening=2)
    assert whole["known"].sum(1).tolist() == [9, 8, 7]


def test_what_is_recalled_may_be_mirrored_whole():
    """A policy and its board together; and both sides come up."""
    memory, order = remembered([DRAWN, WON], capacity=9), self_play.mirror((3, 3), 9)
    found = self_play.recall(memory, jnp.array([1, 0]), jnp.int32(9), jax.random.key(0), 64)
    assert not found["known"][0].all()
    assert found["known"][1].all()
    written = [np.asarray(memory[name])[0] for name in ("board", "policy")]
    recent = [np.asarray(found[name])[1] for name in ("board", "policy")]
    recalled = {(b.tobytes(), int(p.argmax())) for b, p in zip(*recent, strict=True)}
    straight = {(b.tobytes(), int(p.argmax())) for b, p in zip(*written, strict=True)}
    turned = {(b[:, ::-1].tobytes(), int(order[p.argmax()])) for b, p in zip(*written, strict=True)}
    assert recalled == straight | turned


def counted(network):
    """The network, and a list that is longer after each time that it has been traced."""
    traces = []

    def traced(p, board):
        traces.append(board.shape)
        return network(p, board)

    return traced, traces


def test_a_search_without_knowledge_wins_and_does_not_lose_where_it_can():
    """Of any number of games by one program."""
    env, p = self_play.environment("tic_tac_toe"), jnn.init(board_network_spec((3, 3, 2), 4, 1, 9), jax.random.key(0))
    network, traces = counted(board_network)
    look = make_search(env, network, simulations=48, longest=9, count=2)
    found = look(p, [(0, 3, 1, 4), (0, 4, 1)])
    once = len(traces)
    alone, more = look(p, [(0, 4, 1)]), look(p, [(0, 4, 1)] * 5)
    assert alone.action.tolist() == [2]
    assert more.action.tolist() == [2] * 5
    assert len(traces) == once
    assert found.action.tolist() == [2, 2]
    assert found.value[0] > 0.2


def tiny(folder, **changes):
    sizes = {"batch_size": 8, "positions": 16, "simulations": 2, "test_simulations": 2, "test_pairs": 32, "width": 4}
    own = {"game": "tic_tac_toe", "blocks": 1, "steps": 2, "every": 1, "samples": 2}
    return play.Config(workdir=str(folder), **sizes | own | changes)


def updated(config, traces=()):
    """The first parameters, the last state, and after each update its metrics and how many traces there are."""
    env = self_play.environment("tic_tac_toe")
    params = jnn.init(board_network_spec((3, 3, 2), config.width, config.blocks, 9), jax.random.key(0))
    memory, adam = self_play.begin(env, config.batch_size, config.positions, config.opening), optax.adam(1e-2)
    loss = partial(play.loss, env=env, config=config)
    step = make_step(loss, adam, jax.random.key(1), remember=partial(play.remember, env=env))
    batches = Batches({"x": np.arange(config.batch_size)}, config.batch_size, seed=0)
    state, found = create_state(params, adam, memory=memory), []
    for i in range(config.steps):
        state, metrics = step(state, batches[i])
        found.append({name: float(metric.value()) for name, metric in metrics.items()} | {"traces": len(traces)})
    return params, state, found


def test_an_update_learns_from_positions_and_moves_every_game(tmp_path, monkeypatch):
    """By one program, whatever update it is."""
    network, traces = counted(board_network)
    monkeypatch.setattr(play, "board_network", network)
    params, state, metrics = updated(tiny(tmp_path, steps=10), traces)
    assert metrics[0]["traces"] == metrics[-1]["traces"] > 0
    losses = [row["policy"] for row in metrics]
    assert losses[0] == 0  # nobody has moved yet
    assert losses[1] == pytest.approx(np.log(9), rel=1e-3)  # all moves are alike to the first network
    plies, known = np.asarray(state.memory["games"]["plies"]), np.asarray(state.memory["known"])
    assert ((plies < 6) & known.any(1)).all()  # every game was over, and has begun again
    assert not jnp.array_equal(state.params["value"]["w"], params["value"]["w"])


@pytest.mark.slow
def test_a_run_goes_on(tmp_path):
    outcome = play.experiment(tiny(tmp_path))
    assert {"anybody_lost", "perfect_lost", "perfect_games"} <= set(outcome.metrics)
    assert [row["step"] for row in outcome.history] == [1, 2]
    assert digest(play.experiment(tiny(tmp_path)).params) == digest(outcome.params)


SHORT = ["--steps", "12", "--every", "4", "--batch-size", "8", "--simulations", "4", "--width", "4"]
SHORT += ["--test-simulations", "4", "--test-pairs", "2"]


@pytest.mark.slow
@pytest.mark.parametrize("game", ["tic_tac_toe", "connect_four"])
def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(tmp_path, game):
    resumed("experiments.play", tmp_path, [*SHORT, "--game", game])


@pytest.mark.slow
def test_a_preflight_reports(tmp_path):
    flown("experiments.play", tmp_path, SHORT)


@pytest.mark.slow
def test_a_short_run_learns(tmp_path):
    """Against anybody, of whom a perfect player is one, with hardly any search."""
    params, state, metrics = updated(tiny(tmp_path, steps=150, batch_size=64, width=16, simulations=8, positions=128))
    env, size = self_play.environment("tic_tac_toe"), {"longest": 9, "count": 64}
    look, referee = make_search(env, board_network, simulations=4, **size), make_referee(env, **size)
    first, last = (
        against_every_reply(TIC_TAC_TOE, referee, partial(look, p))[0]["anybody_lost"] for p in (params, state.params)
    )
    assert last < 0.5 * first
    assert metrics[-1]["policy"] < 0.8 * metrics[1]["policy"]
