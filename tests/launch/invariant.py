"""Trains a small transformer with dropout by as many processes as there are, and writes down what each has seen.

python -m jnn.launch -n 2 --devices 1 -- python -m tests.launch.invariant STEPS FOLDER

RANK.json: the digest of the initial values; of every step its loss, and marks of its examples and of a mask.
"""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import optax

from jnn.data import Batches
from jnn.launch._initialize import initialize
from jnn.layers import dropout
from jnn.metrics import Last
from jnn.parallel import layout, local, sharded_state, sharded_step
from jnn.train import digest
from tests.parallel.models import TRANSFORMER, text_loss


def mark(x: jax.Array) -> jax.Array:
    """A number that tells arrays apart, by a sum that is exact in any order: of integers, modulo 2^32."""
    return jnp.sum(x.astype(jnp.uint32) * jax.random.bits(jax.random.key(7), x.shape))


def loss(params, batch, ctx):
    """That of the other tests, with the marks among its metrics."""
    found = text_loss(params, batch, ctx)
    mask = dropout(jnp.ones(batch["x"].shape), 0.2, key=ctx.key) > 0
    return found._replace(metrics={"examples": Last(mark(batch["x"])), "mask": Last(mark(mask))})


def run(steps):
    """By all devices of all processes."""
    initial, noise = jax.random.split(jax.random.key(0))
    optimizer, place = optax.adam(3e-3), layout(TRANSFORMER.spec, "data=-1")
    batches = Batches(TRANSFORMER.batch(80), 16, seed=0)
    step = sharded_step(loss, optimizer, noise, place, whole_batches=True)
    state = sharded_state(optimizer, initial, place)
    found = {"initial": digest(local(state).params), "loss": [], "examples": [], "mask": []}
    for i in range(steps):
        state, metrics = step(state, batches[i])
        found["loss"].append(float(metrics["loss"].value()))
        for name in ("examples", "mask"):
            found[name].append(int(metrics[name].value()))
    return found


if __name__ == "__main__":
    initialize()
    steps, folder = sys.argv[1:]
    (Path(folder) / f"{jax.process_index()}.json").write_text(json.dumps(run(int(steps))))
