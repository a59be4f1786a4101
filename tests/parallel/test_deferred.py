"""Gradients that cross an axis once: training is that of one device, and fewer bytes move."""

import jax
import numpy as np
import optax
import pytest

import jnn
from jnn.inspect import collectives
from jnn.parallel import deferred_sums, layout, sharded_state, sharded_step
from jnn.train import LossOutput, create_state, make_step
from tests.parallel.sharing import assert_close, some

SPEC = jnn.models.transformer_spec(16, 8, layers=3, heads=2, embed=16)
KEY = jax.random.key(0)


def loss(params, batch, ctx):
    logits = jnn.models.transformer(params, batch["x"], key=None)
    return LossOutput(jnn.losses.cross_entropy(logits, batch["y"]), batch["weight"])


def batch_of(rows=16):
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.5, 2, rows).astype(np.float32)
    weight[: rows // 4] = 0  # padding, all of it in the first parts
    return {name: rng.integers(0, 16, (rows, 8), np.int32) for name in "xy"} | {"weight": weight}


def step_of(text, microbatches, *, deferred=True):
    place = layout(SPEC, some(text))
    sums = {"sums": deferred_sums(place)} if deferred else {}
    step = sharded_step(loss, optax.sgd(0.2), KEY, place, microbatches=microbatches, **sums)
    return step, sharded_state(optax.sgd(0.2), KEY, place)


@pytest.mark.parametrize(
    ("text", "microbatches"), [pytest.param("data=4", 1, marks=pytest.mark.slow), ("data=2,fsdp=2,tensor=2", 2)]
)
def test_training_is_that_of_one_device(text, microbatches):
    (step, state), batch = step_of(text, microbatches), batch_of()
    alone, step_alone = create_state(jnn.init(SPEC, KEY), optax.sgd(0.2)), make_step(loss, optax.sgd(0.2), KEY)
    for _ in range(3):
        state, metrics = step(state, batch)
        alone, metrics_alone = step_alone(alone, batch)
    assert_close(metrics["loss"].value(), metrics_alone["loss"].value(), 1e-5)
    assert_close(state.params, alone.params, 1e-5)


def test_micro_batches_and_layers_send_nothing_along_the_axis():
    text = "data=2,fsdp=2"

    def sent(deferred):
        step, state = step_of(text, 2, deferred=deferred)
        program = step.lower(state, step.put(batch_of())).compile()
        rows = [row for row in collectives(program, some(text)) if row.axes and "data" in row.axes]
        return sum(row.bytes * row.runs for row in rows), [row for row in rows if row.loops]

    (once, in_loops), (each, _) = sent(True), sent(False)
    assert in_loops == []
    assert once < 0.6 * each  # of two micro-batches


def test_an_axis_that_is_not_there():
    with pytest.raises(ValueError, match="deferred_sums: the mesh has axes fsdp, no 'data'"):
        deferred_sums(layout(SPEC, some("fsdp=2")))
