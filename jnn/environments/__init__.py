"""Environments of reinforcement learning as pure functions, their episodes in batches, and buffers that replay them.

    env = cart_pole()               also pendulum, mountain_car, acrobot, quadrotor, gridworld
    env.reset(key) -> state;   env.observe(state) -> observation
    env.step(state, action, key) -> state, reward, terminated
    episodes = start_episodes(env, n, key)     many at once, each begun again where it ends
    rollout(env, policy, episodes, steps, key) -> episodes, transitions
    replay_buffer, replay_add, replay_sample                the transitions of the past

Everything is an array of one's own state: what `fit` saves is all there is, and a run goes on bit for bit. What lives
here knows no network and no loss (`jnn.losses` has those, and advantages); pictures are the experiments'.

Each environment is a file (`_cart_pole.py` ...); `_episodes.py` runs any of them, `_replay.py` remembers.
"""

from jnn.environments._acrobot import acrobot
from jnn.environments._cart_pole import cart_pole
from jnn.environments._environment import Environment
from jnn.environments._episodes import (
    Episodes,
    evaluate_policy,
    observations,
    rollout,
    scaled,
    start_episodes,
    step_episodes,
)
from jnn.environments._gridworld import FOUR_ROOMS, FOUR_ROOMS_GOAL, gridworld
from jnn.environments._mountain_car import mountain_car
from jnn.environments._pendulum import pendulum
from jnn.environments._quadrotor import quadrotor
from jnn.environments._repeat import repeat_actions
from jnn.environments._replay import replay_add, replay_buffer, replay_sample

__all__ = [
    "FOUR_ROOMS",
    "FOUR_ROOMS_GOAL",
    "Environment",
    "Episodes",
    "acrobot",
    "cart_pole",
    "evaluate_policy",
    "gridworld",
    "mountain_car",
    "observations",
    "pendulum",
    "quadrotor",
    "repeat_actions",
    "replay_add",
    "replay_buffer",
    "replay_sample",
    "rollout",
    "scaled",
    "start_episodes",
    "step_episodes",
]
