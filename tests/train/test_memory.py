"""What is remembered between updates: once each, outside of the loss, the same on any number of parts and devices."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn import parallel
from jnn.layers import linear, linear_spec
from jnn.train import LossOutput, create_state, make_step

KEY = jax.random.key(0)
SPEC = linear_spec(4, 3)
SGD = optax.sgd(0.1)
CODES, KEPT = 5, 12


def batch(i=0):
    x = np.random.default_rng(i).normal(size=(16, 4)).astype(np.float32)
    return {"x": x, "y": x[:, :3].copy()}


# a target network, averaged (BYOL, DQN)


def target_loss(params, batch, ctx):
    aim = linear(ctx.memory["target"], batch["x"])
    return LossOutput(jnn.losses.squared_error(linear(params, batch["x"]), aim + batch["y"]))


def target_remember(memory, params, stats, rows, step):
    return {"target": optax.incremental_update(params, memory["target"], 0.1)}


# codebooks, averaged by what was assigned to them (VQ-VAE)


def codes_loss(params, batch, ctx):
    z, codes = linear(params, batch["x"]), ctx.memory["codes"]
    near = jnp.argmin(jnp.square(z[:, None] - codes[None]).sum(-1), -1)
    chosen = jax.nn.one_hot(near, CODES)
    counts = chosen.sum(0)
    means = chosen.T @ z / jnp.maximum(counts, 1.0)[:, None]
    values = jnp.square(z - jax.lax.stop_gradient(codes)[near]).mean(-1)
    return LossOutput(values, stats={"codes": means, "count": counts})


def codes_remember(memory, params, stats, rows, step):
    new = 0.8 * memory["codes"] + 0.2 * stats["codes"]
    return {"codes": jnp.where(stats["count"][:, None] > 0, new, memory["codes"])}


# a queue of keys, the newest first (MoCo)


def queue_loss(params, batch, ctx):
    z = linear(params, batch["x"])
    logits = z @ ctx.memory["queue"].T
    return LossOutput(jax.nn.logsumexp(logits, -1) - (z * batch["y"]).sum(-1), rows={"keys": z})


def queue_remember(memory, params, stats, rows, step):
    return {"queue": jnp.concatenate([rows["keys"], memory["queue"]])[:KEPT]}


# the vector of a power iteration (spectral normalization)


def spectral_loss(params, batch, ctx):
    u = ctx.memory["u"]
    v = jax.lax.stop_gradient(params["w"].T @ u)
    sigma = u @ params["w"] @ (v / jnp.linalg.norm(v))
    return LossOutput(jnn.losses.squared_error(batch["x"] @ (params["w"] / sigma), batch["y"]))


def spectral_remember(memory, params, stats, rows, step):
    u = params["w"] @ (params["w"].T @ memory["u"])
    return {"u": u / jnp.linalg.norm(u)}


PARAMS = jnn.init(SPEC, KEY)
CASES = {
    "target": (target_loss, target_remember, {"target": PARAMS}),
    "codes": (codes_loss, codes_remember, {"codes": jax.random.normal(KEY, (CODES, 3))}),
    "queue": (queue_loss, queue_remember, {"queue": jax.random.normal(KEY, (KEPT, 3))}),
    "spectral": (spectral_loss, spectral_remember, {"u": jnp.ones(4) / 2}),
}


def train(name, make=make_step, **options):
    loss, remember, memory = CASES[name]
    step = make(loss, SGD, KEY, remember=remember, **options)
    state = create_state(PARAMS, SGD, memory=memory)
    for i in range(3):
        state, _ = step(state, batch(i))
    return state


@pytest.mark.parametrize("name", CASES)
def test_memory_is_that_of_one_device_and_one_part(name):
    whole = train(name)
    assert any((np.asarray(a) != np.asarray(b)).any() for a, b in zip(
        jax.tree.leaves(whole.memory), jax.tree.leaves(CASES[name][2]), strict=True))  # fmt: skip
    on_mesh = lambda *args, **options: parallel.sharded_step(*args, parallel.layout(SPEC, "data=8"), **options)
    for found in (train(name, microbatches=4), train(name, on_mesh), train(name, parallel.pmap_step)):
        for a, b in zip(
            jax.tree.leaves((found.memory, found.params)), jax.tree.leaves((whole.memory, whole.params)), strict=True
        ):
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-4, atol=1e-5)


def test_power_iteration_finds_the_norm():
    loss, remember, memory = CASES["spectral"]
    state = create_state(PARAMS, optax.sgd(0.0), memory=memory)
    step = make_step(loss, optax.sgd(0.0), KEY, remember=remember)
    for _ in range(60):
        state, _ = step(state, batch())
    u = state.memory["u"]
    np.testing.assert_allclose(jnp.linalg.norm(PARAMS["w"].T @ u), jnp.linalg.norm(PARAMS["w"], 2), rtol=1e-4)


def test_rows_come_back_in_the_order_of_the_batch():
    """Whatever the parts were; a remember sees each row where the batch had it."""
    loss = lambda params, batch, ctx: LossOutput(batch["x"][:, 0] * params["b"][0], rows={"x": batch["x"]})
    remember = lambda memory, params, stats, rows, step: rows
    place = parallel.layout(SPEC, "data=8")
    steps = {
        "parts": make_step(loss, SGD, KEY, microbatches=4, remember=remember),
        "lanes": parallel.sharded_step(loss, SGD, KEY, place, lanes=8, remember=remember),
        "pmap": parallel.pmap_step(loss, SGD, KEY, remember=remember),
    }
    for step in steps.values():
        state, _ = step(create_state(PARAMS, SGD, memory={"x": jnp.zeros((16, 4))}), batch())
        np.testing.assert_array_equal(np.asarray(state.memory["x"]), batch()["x"])


def test_a_memory_that_changes_its_tree_is_one_clear_error():
    grow = lambda memory, *_: {**memory, "more": jnp.zeros(3)}
    with pytest.raises(ValueError, match=r"the memory changed its tree, .*:\n  extra: more float32\[3\]"):
        make_step(target_loss, SGD, KEY, remember=grow)(create_state(PARAMS, SGD, memory={"target": PARAMS}), batch())
