"""A small noisy model that every file here trains; as a program, a run that gets a signal at some step.

python -m tests.train.tiny FOLDER SIGKILL 30
"""

import functools
import os
import signal
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from jnn.data import Batches
from jnn.layers import dropout, linear, linear_spec
from jnn.losses import squared_error
from jnn.train import Checkpoints, LossOutput, create_state, fit, make_step

OPTIMIZER = optax.adam(1e-2)
SPEC = {"in": linear_spec(4, 8), "out": linear_spec(8, 1)}
STEPS, EVERY = 60, 10


def loss(params, batch, ctx):
    h = dropout(jnp.tanh(linear(params["in"], batch["x"])), 0.2, key=ctx.key)
    return LossOutput(squared_error(linear(params["out"], h), batch["y"]), batch["weight"])


def arrays(rows=50):
    x = np.random.default_rng(0).normal(size=(rows, 4)).astype(np.float32)
    return {"x": x, "y": x.sum(1, keepdims=True)}


@functools.cache
def params():
    return jnn.init(SPEC, jax.random.key(0))


def state():
    return create_state(params(), OPTIMIZER, ema=True)


@functools.cache
def step(steps_per_call=1):
    return make_step(loss, OPTIMIZER, jax.random.key(1), steps_per_call=steps_per_call, ema_decay=0.9)


def train(*, steps=STEPS, steps_per_call=1, batches=None, **settings):
    """A run of `fit`; batches of 8 do not divide the 50 rows."""
    batches = batches or Batches(arrays(), 8, seed=3)
    return fit(step(steps_per_call), state(), batches, steps=steps, every=EVERY, **settings)


class Signalled(Batches):
    """Batches; with that of step `at` comes a signal to this very process."""

    def __init__(self, name, at, *, seed=3):
        super().__init__(arrays(), 8, seed=seed)
        self.number, self.at = getattr(signal, name), at

    def stack(self, step, k):
        if step <= self.at < step + k:
            os.kill(os.getpid(), self.number)
        return super().stack(step, k)


if __name__ == "__main__":
    folder, name, at = sys.argv[1:]
    with Checkpoints(folder) as checkpoints:
        train(checkpoints=checkpoints, batches=Signalled(name, int(at)))
