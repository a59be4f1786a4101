"""DQN, PPO and SAC: what each computes, a step of each, and shortened runs that learn, go on and are planned."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jnn
from experiments import control, control_pictures, dqn, ppo, sac
from experiments.harness import launch
from jnn import environments
from jnn.environments import evaluate_policy, rollout, start_episodes
from jnn.train import compile_step, digest
from tests.experiments.shortened import flown, resumed

KEY = jax.random.key(0)
TINY = {
    "ppo": ppo.Settings(horizon=8, epochs=1, parts=2, hidden=(4,)),
    "dqn": dqn.Settings(horizon=2, updates=2, rows=8, capacity=16, hidden=(4,)),
    "sac": sac.Settings(horizon=2, updates=2, rows=8, capacity=16, hidden=(4,)),
}
TASKS = {"ppo": "gridworld", "dqn": "gridworld", "sac": "quadrotor"}
ALGORITHMS = ["ppo", *(pytest.param(name, marks=pytest.mark.slow) for name in ("dqn", "sac"))]


def stepped(name, runs):
    """The state of so many runs before and behind a step, and what it measured."""
    config, env = control.Config(runs=runs, batch_size=2), getattr(environments, TASKS[name])()
    begin, updates = control.make_updates(config, env, control.ALGORITHMS[name], TINY[name])
    return begin(KEY), *compile_step(updates)(begin(KEY), {"x": jnp.arange(2)})


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_step_acts_and_learns_in_every_run(name):
    before, state, metrics = stepped(name, 2)
    assert int(state["step"]) == 1
    assert set(metrics) == {"return", "loss"}
    assert jnp.isfinite(metrics["loss"].value())
    assert (state["episodes"].time > 0).any()
    for network in control.ALGORITHMS[name].network_specs(environments.gridworld(), TINY[name]):
        old, new = (jnn.flatten(of[network].params) for of in (before, state))
        assert all((new[path] != old[path]).any() for path in old)
        assert network == "price" or any((leaf[0] != leaf[1]).any() for leaf in new.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TINY))
def test_a_run_is_what_it_is_alone(name):
    alone, among = (jnn.flatten(stepped(name, runs)[1]) for runs in (1, 3))
    for path, leaf in alone.items():
        first = among[path] if path == "step" else among[path][:1]
        np.testing.assert_allclose(leaf, first, rtol=1e-3, atol=1e-5, err_msg=path)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TINY))
def test_a_run_measures_and_goes_on(name, tmp_path, monkeypatch):
    monkeypatch.setitem(control.ALGORITHMS[name].SETTINGS, TASKS[name], TINY[name])
    sizes = {"runs": 2, "batch_size": 8, "episodes": 2, "steps": 2, "every": 1}
    config = control.Config(workdir=str(tmp_path), algorithm=name, environment=TASKS[name], **sizes)
    outcome = control.experiment(config)
    assert sorted(outcome.metrics) == ["interval", "return", "returns"]
    assert [row["step"] for row in outcome.history] == [1, 2]
    for leaf in jax.tree.leaves(outcome.params):
        assert leaf.shape[0] == 2
        assert leaf.size == 2 or (leaf[0] != leaf[1]).any() or not leaf.any()  # runs differ
    assert digest(control.experiment(config).params) == digest(outcome.params)  # from the checkpoint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--algorithm", "sac"], "--environment: expected one of pendulum, quadrotor for sac, found 'cart_pole'."),
        (["--lanes", "2"], "--lanes: of experiments whose batch is examples; here a run draws its own."),
    ],
)
def test_what_cannot_be_is_one_line(options, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        launch(control.experiment, control.Config, [*options, "--workdir", str(tmp_path / "run")])
    assert end.value.code == 2
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.slow
def test_advantages_go_on_where_time_was_up_and_end_where_the_task_did():
    """By hand, episode by episode: what is behind a truncation is the value of what was seen last."""
    env, how = environments.gridworld(limit=5), dataclasses.replace(TINY["ppo"], decay=0.9, discount=0.8)
    params = jnn.init(ppo.network_specs(env, how), KEY)
    walk = lambda x, key: jax.random.randint(key, (len(x),), 0, 4)
    _, seen = rollout(env, walk, start_episodes(env, 40, KEY), 12, KEY)
    assert seen["terminated"].any()
    assert seen["truncated"].any()
    rows = ppo.worth(params["actor"], params["critic"], env, how, seen)
    found = np.asarray(rows["advantage"]).reshape(12, 40)
    value = lambda name: np.asarray(ppo.value(params["critic"], env, seen[name]))
    now, later = value("observation"), value("next_observation")
    ended, reward = np.asarray(seen["terminated"] | seen["truncated"]), np.asarray(seen["reward"])
    for i in range(40):
        after = 0.0
        for t in reversed(range(12)):
            error = reward[t, i] + 0.8 * later[t, i] * (not seen["terminated"][t, i]) - now[t, i]
            after = error + 0.8 * 0.9 * after * (not ended[t, i])
            np.testing.assert_allclose(found[t, i], after, atol=1e-4)


def test_sacs_log_probabilities_are_torchs():
    env, how = environments.quadrotor(), TINY["sac"]
    params = jnn.init(sac.network_specs(env, how), KEY)["actor"]
    x = jax.random.normal(KEY, (20, 6))
    actions, log_prob = sac.drawn(params, env, x, KEY)
    mean, spread = (torch.from_numpy(np.array(part)) for part in sac.normal(params, env, x))
    squashed = [torch.distributions.transforms.TanhTransform()]
    theirs = torch.distributions.TransformedDistribution(torch.distributions.Normal(mean, spread), squashed)
    near = torch.from_numpy(np.array(actions)).clamp(-1 + 1e-6, 1 - 1e-6)
    inside = (abs(actions) < 0.99).all(-1)
    assert inside.sum() > 5
    np.testing.assert_allclose(log_prob[inside], theirs.log_prob(near).sum(-1).numpy()[inside], atol=1e-3)


def test_chance_acts_less_and_less():
    env, how = environments.mountain_car(), dataclasses.replace(TINY["dqn"], horizon=50, exploration=10, least=0.0)
    params = jax.tree.map(jnp.zeros_like, jnn.init(dqn.network_specs(env, how), KEY)["q"])  # the best is action 0
    acted = lambda step: dqn.act(env, how, params, start_episodes(env, 20, KEY), jnp.int32(step), KEY)[1]["action"]
    shares = [float((acted(step) != 0).mean()) for step in (0, 5, 10)]
    np.testing.assert_allclose(shares, [2 / 3, 1 / 3, 0], atol=0.05)


@pytest.mark.parametrize("name", control_pictures.DRAWN)
def test_a_film_has_its_moments(name):
    env = getattr(environments, name)()
    shape = () if env.bound is None else (env.actions,)
    states = control_pictures.film(env, lambda x, key: jnp.zeros(shape, int), KEY)
    assert 2 <= len(states) <= env.limit + 1
    assert len(control_pictures.strip(name, states, 1, 4).axes) == min(4, len(states))


@pytest.mark.slow
def test_a_shortened_run_balances_a_pole(tmp_path):
    config = control.Config(workdir=str(tmp_path), runs=2, steps=12)
    outcome = control.experiment(config)
    chance = lambda x, key: jax.random.randint(key, (len(x),), 0, 2)
    by_chance = evaluate_policy(environments.cart_pole(), chance, 50, KEY)
    assert outcome.metrics["return"] > 3 * by_chance.mean()
    for draw in outcome.figures.values():
        draw()


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TINY))
@pytest.mark.parametrize("asked", [resumed, flown])
def test_a_run_goes_on_and_is_planned(name, asked, tmp_path):
    options = ["--algorithm", name, "--environment", TASKS[name], "--runs", "2", "--steps", "6", "--episodes", "2"]
    asked("experiments.control", tmp_path, options)
