"""preflight on this process's devices: what it says is what the real run has; bills, budgets, JSON; bad input."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import optax
import pytest

import jnn
from jnn.inspect import memory
from jnn.parallel import layout, mesh, sharded_state
from jnn.preflight import Budget, preflight, topology
from jnn.preflight._compile import compile_for, prepare
from jnn.preflight._hbm_traffic import Traffic
from jnn.preflight._roofline import Roofline, roofline
from tests.preflight.small import LAYERS, ROWS, TIME, batch, report, small, spec


def prepared(text="data=2,fsdp=4", **options):
    job = small(**options)
    return prepare(job, layout(job.spec, mesh(text)))


@pytest.mark.parametrize(
    ("text", "optimizer"),
    [("data=8", optax.sgd(0.1)), ("fsdp=8", optax.adamw(1e-3)), ("fsdp=2,tensor=4", optax.adafactor(1e-3))],
)
def test_law_the_shapes_are_those_of_the_real_state(text, optimizer):
    shapes = prepared(text, optimizer=optimizer)
    state = sharded_state(optimizer, jax.random.key(0), shapes.layout)
    same = lambda s, x: (s.shape, s.dtype) == (x.shape, x.dtype) and s.sharding.is_equivalent_to(x.sharding, x.ndim)
    assert jax.tree.all(jax.tree.map(same, shapes.state, state))
    assert shapes.state_bytes == sum(x.nbytes for x in jax.tree.leaves(state))
    held = sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(state))
    assert shapes.device_bytes == held + 2 * ROWS * TIME * 4 // shapes.layout.mesh.size * (4 if "tensor" in text else 1)


def test_law_the_program_is_the_one_that_trains():
    """Its arguments are the state and the batch, and its new state takes over the old one's memory."""
    compiled = compile_for(shapes := prepared(), topology("cpu:8"))
    held = memory(compiled.program)
    key = 8  # the step's own, which it draws no noise from
    assert shapes.device_bytes <= held.arguments <= shapes.device_bytes + key
    assert held.aliased >= held.arguments - 2 * ROWS * TIME * 4 // 8 - key


def test_no_array_is_made():
    before = {id(x) for x in jax.live_arrays()}
    shapes = prepared()
    assert {id(x) for x in jax.live_arrays()} <= before
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(shapes.state))


def test_the_report_says_what_is_so():
    found = report()
    assert found.machine.mesh == {"data": 2, "fsdp": 4}
    assert found.fit.fits
    assert found.fit.capacity is None
    assert found.fit.needed == found.fit.parts["arguments"] + sum(
        sign * found.fit.parts[name]
        for name, sign in {"outputs": 1, "aliased": -1, "temporaries": 1, "code": 1}.items()
    )
    assert found.work.parameters == jnn.count_params(spec())
    assert found.work.tokens == ROWS * TIME
    assert found.work.per_token * found.work.tokens == found.work.model <= found.work.hardware
    assert found.roofline is None  # nothing is published of a CPU
    assert found.bill is None
    kinds = {move.kind for move in found.communication}
    assert "all-gather" in kinds
    assert kinds <= {"all-gather", "all-reduce", "reduce-scatter"}
    gathered = [move for move in found.communication if move.kind == "all-gather" and move.axes == "fsdp"]
    assert sum(move.count for move in gathered) % LAYERS == 0 or len(gathered) > 1


def test_text_and_json_say_the_same():
    found = report()
    data, text = json.loads(found.json()), str(found)
    assert data["machine"]["topology"] == "cpu:8"
    assert f"{data['work']['parameters']:,} parameters" in text
    assert f"{data['work']['per_token']:,.0f} a token" in text
    assert data["fit"]["fits"] is True
    assert text.splitlines()[0] == "cpu:8: 8 chips, 8 devices, 1 host; data=2,fsdp=4"
    for move in data["communication"]:
        assert f"{move['bytes']:,}" in text


def test_without_devices_to_share_with_nothing_moves():
    found = preflight(small(), "cpu:1", "data=1")
    assert found.communication == ()
    assert found.faults == ()


LINE = Roofline(0.5, 0.25, {"fsdp": 0.5, "tensor": 0.125}, 0.125, peak=8e12, model=2 * 10**12)


def test_a_roofline_is_bound_by_its_longest_part():
    assert LINE.bound == "interconnect"
    assert LINE.floor == 0.625
    assert LINE.seconds == 0.5 + 0.125  # what is overlapped takes as long as the arithmetic
    assert LINE.mfu(LINE.floor) == pytest.approx(2 / (8 * 0.625))
    assert dataclasses.replace(LINE, exposed=0.625).seconds == 1.125  # what is not, comes on top
    assert roofline(None, Traffic(0, 0, 0, 0), [], topology("cpu:1")) is None


def test_a_budget_is_held_against_every_quantity():
    found = dataclasses.replace(report(), roofline=LINE)
    moved = sum(move.bytes for move in found.communication)
    assert found.over(Budget(memory=found.fit.needed, seconds=0.625, bytes=moved)) == []
    problems = found.over(Budget(memory=found.fit.needed - 1, seconds=0.6, bytes=moved - 1))
    assert [problem.partition(":")[0] for problem in problems] == ["memory", "time", "collectives"]
    assert report().over(Budget(seconds=1)) == ["time: unknown, for there is no roofline, 1 s allowed"]


def test_what_does_not_fit_is_over_any_budget():
    whole = report()
    capacity = whole.fit.needed - 1
    found = dataclasses.replace(whole, fit=dataclasses.replace(whole.fit, capacity=capacity))
    assert not found.fit.fits
    assert found.over(Budget())[0].startswith("memory: ")
    assert "DOES NOT FIT" in str(found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, r"preflight: steps is a positive number or None, found 0"),
        ({"tokens": -1.0}, r"tokens is a positive number or None, found -1.0"),
        ({"steps": 1, "price": float("nan")}, r"price is a positive number or None, found nan"),
        ({"steps": 1, "tokens": 1}, r"a run's length is given by steps or by tokens, found both"),
        ({"machine": "v9:4x4"}, r"topology: expected a name such as"),
        ({"mesh": "data=3"}, r"mesh: the sizes of 'data=3' \(3\) do not make up the number of devices, 8"),
        ({"rows": 12}, r"preflight: 8 devices do not divide the 12 rows of batch/"),
        ({"parameters": {"no such": "fsdp"}}, r"nothing has an axis 'no such'"),
    ],
)
def test_bad_input_is_one_clear_error(options, message):
    rows, machine, mesh = options.pop("rows", ROWS), options.pop("machine", "cpu:8"), options.pop("mesh", "data=8")
    with pytest.raises(ValueError, match=message):
        preflight(small(rows=rows), machine, mesh, **options)


def test_tokens_of_a_batch_that_has_none():
    job = dataclasses.replace(small(), batch={"x": jax.ShapeDtypeStruct((8, 4), jnp.float32)})
    with pytest.raises(ValueError, match=r'found no tokens: batch\["x"\] is no integers of \(rows, time\). Give steps'):
        preflight(job, "cpu:8", "data=8", tokens=10)


@pytest.mark.parametrize("field", ["memory", "seconds", "bytes"])
def test_a_bad_budget_is_one_clear_error(field):
    with pytest.raises(ValueError, match=f"Budget: {field} is a positive number or None, found 0"):
        Budget(**{field: 0})


def test_microbatches_count_the_same_work():
    few = prepared(microbatches=2, optimizer=optax.sgd(0.1))
    assert few.batch == prepared().batch
    assert compile_for(few, topology("cpu:8")).flops.model == report().work.model
    assert batch()["x"].shape == (ROWS, TIME)
