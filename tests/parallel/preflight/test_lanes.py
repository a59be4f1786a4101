"""A pre-flight of a run with lanes: what is compiled is what is trained; and every refusal."""

import dataclasses

import jax
import pytest

from jnn.inspect import executions, parse
from jnn.parallel import layout, mesh, sharded_step
from jnn.parallel.preflight import preflight, topology
from jnn.parallel.preflight.compiled import compile_step, prepare
from tests.parallel.preflight.small import ROWS, small

LANES = 8


def job(lanes=LANES, **options):
    return dataclasses.replace(small(**options), lanes=lanes)


def instructions(text):
    """What a program runs, without the places in the source that it came from."""
    return [(each.instruction.name, each.instruction.type, each.times) for each in executions(parse(text))]


def plain(prepared):
    return dataclasses.replace(prepared, job=job(None))


def test_law_the_program_is_the_one_that_trains():
    found = compile_step(prepared := prepare(job(), layout(job().spec, mesh("data=8"))), topology("cpu:8"))
    step = sharded_step(job().loss, job().optimizer, jax.random.key(0), prepared.layout, lanes=LANES)
    trained = step.lower(prepared.state, prepared.batch).compile()
    assert instructions(found.text) == instructions(trained.as_text())
    assert instructions(found.text) != instructions(compile_step(plain(prepared), topology("cpu:8")).text)
    assert found.program.memory_analysis().temp_size_in_bytes == trained.memory_analysis().temp_size_in_bytes


def test_lanes_take_their_gradients_and_change_no_work():
    """Each device has every lane's gradient in turn; the FLOPs of the model are as ever."""
    whole, lanes = (preflight(job(n), "cpu:8", "data=8") for n in (None, LANES))
    gradients = 4 * LANES * whole.work.parameters
    assert sum(move.bytes for move in lanes.moves) > gradients > 2 * sum(move.bytes for move in whole.moves)
    assert lanes.work.model == whole.work.model


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
