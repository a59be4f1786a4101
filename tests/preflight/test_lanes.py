"""A pre-flight of a run with lanes: what is compiled is what is trained; and every refusal."""

import dataclasses
import functools

import jax
import optax
import pytest

from jnn.inspect import collectives, executions, parse
from jnn.parallel import layout, mesh, sharded_step
from jnn.param import count_params
from jnn.preflight import topology
from jnn.preflight._compile import compile_for, prepare
from tests.preflight.small import ROWS, small

LANES = 8


def job(lanes=LANES, **options):
    return dataclasses.replace(small(optimizer=optax.sgd(0.1), **options), lanes=lanes)


@functools.cache
def compiled(lanes):
    return compile_for(prepare(job(lanes), layout(job().spec, mesh("data=8"))), topology("cpu:8"))


def instructions(text):
    """What a program runs, without the places in the source that it came from."""
    return [(each.instruction.name, each.instruction.type, each.times) for each in executions(parse(text))]


def test_law_the_program_is_the_one_that_trains():
    found, given = compiled(LANES), compiled(LANES).prepared
    step = sharded_step(given.job.loss, given.job.optimizer, jax.random.key(0), given.layout, lanes=LANES)
    trained = step.lower(given.state, given.batch).compile()
    assert instructions(found.text) == instructions(trained.as_text())
    assert instructions(found.text) != instructions(compiled(None).text)
    assert found.program.memory_analysis().temp_size_in_bytes == trained.memory_analysis().temp_size_in_bytes


def test_lanes_take_their_gradients_and_change_no_work():
    """Each device has every lane's gradient in turn; the FLOPs of the model are as ever."""
    whole, lanes = compiled(None), compiled(LANES)
    sent = lambda found: sum(row.total for row in collectives(found.program, found.prepared.layout.mesh))
    gradients = 4 * LANES * count_params(job().spec)
    assert sent(lanes) > gradients > 2 * sent(whole)
    assert lanes.flops.model == whole.flops.model


@pytest.mark.parametrize(
    ("lanes", "options", "text", "message"),
    [
        (4, {}, "data=8", r"lanes: expected a multiple of the 8 devices that share the batch, found 4"),
        (0, {}, "data=8", r"lanes: expected a multiple of the 8 devices that share the batch, found 0"),
        (2, {}, "data=2,tensor=4", r"lanes: each is computed on one device, so every mesh axis must share the batch"),
        (32, {}, "data=8", rf"preflight: 32 lanes do not divide the {ROWS} rows of the batch"),
        (
            8,
            {"microbatches": 4},
            "data=8",
            rf"preflight: 8 lanes of 4 micro-batches each do not divide the {ROWS} rows",
        ),
    ],
)
def test_lanes_that_cannot_be_are_one_clear_error(lanes, options, text, message):
    with pytest.raises(ValueError, match=message):
        prepare(job(lanes, **options), layout(small().spec, mesh(text)))
