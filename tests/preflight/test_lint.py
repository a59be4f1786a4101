"""Every fault that a report names: made on purpose, and found; and none in a step that is right."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import jnn
from jnn.axes import in_force, use_layout
from jnn.layers import linear, linear_spec
from jnn.losses import squared_error
from jnn.models import transformer_spec
from jnn.parallel import layout, mesh
from jnn.param import stack
from jnn.precision import computing
from jnn.preflight import TrainingJob, preflight, topology
from jnn.preflight import _communication as moves
from jnn.preflight._compile import compile_for, prepare, read_exhausted
from jnn.preflight._lint import float32, in_vain, unsharded, whole_batch
from jnn.train import LossOutput
from tests.preflight.small import LAYERS, ROWS, TIME, loss, report, small

SIDE = 64
MANY = 480  # rows of which an activation is not small


def compiled(job, text="fsdp=8", **rules):
    return compile_for(prepare(job, layout(job.spec, mesh(text), **rules)), topology("cpu:8"))


def unexpected_communication(program, place):
    return moves.unexpected_communication(jnn.inspect.collectives(program, place.mesh), program, place)


def unconstrained(params, batch, ctx):
    """The model, of a batch that somebody put together on every device, and without a word of where activations lie."""
    batch = jax.lax.with_sharding_constraint(batch, NamedSharding(in_force().mesh, PartitionSpec()))
    with use_layout(None):
        return loss(params, batch, ctx)


def test_a_step_that_is_right_has_no_faults():
    assert report("data=8").faults == ()
    assert report().faults == ()


@pytest.mark.slow  # of sizes that are all different: the next one is harder
def test_a_batch_that_is_not_kept_in_pieces():
    bug = compiled(small(unconstrained, MANY))
    found = whole_batch(bug.program, bug.prepared)
    assert found
    assert f"the whole batch of {MANY} rows is on each of the 8 devices" in found[0]
    right = compiled(small(rows=MANY))
    assert whole_batch(right.program, right.prepared) == []


def square(loss):
    """A decoder of as many rows as tokens in a row, and as wide."""
    batch = {name: jax.ShapeDtypeStruct((SIDE, SIDE), jnp.int32) for name in "xy"}
    return TrainingJob(transformer_spec(80, SIDE, layers=3, heads=4, embed=SIDE), loss, optax.sgd(0.1), batch)


def test_rows_as_many_as_tokens_are_told_from_them():
    right = compiled(square(loss))
    assert whole_batch(right.program, right.prepared) == []
    bug = compiled(square(unconstrained))
    assert f"the whole batch of {SIDE} rows is on each of the 8 devices" in whole_batch(bug.program, bug.prepared)[0]


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ((SIDE, SIDE, 100), True),  # rows, time, and what it may be
        ((3, SIDE, SIDE, 100), True),  # of every layer
        ((SIDE // 8, SIDE, SIDE, 100), False),  # a device's own rows
        ((SIDE // 8, SIDE, 1000), False),
        ((SIDE, SIDE, 8), False),  # small
        ((SIDE, 4 * SIDE), False),  # a parameter: one layer's linear map
        ((3, SIDE, 4 * SIDE), False),
    ],
)
def test_what_is_of_the_whole_batch_by_its_shape(shape, found):
    """Where rows, time and width are of one size."""
    place = f"f32[{','.join(map(str, shape))}]"
    text = f"HloModule m\n\nENTRY %main (x: {place}) -> {place} {{\n  %x = {place} parameter(0)\n"
    text += f"  ROOT %y = {place} negate(%x)\n}}"
    job = square(loss)
    prepared = prepare(job, layout(job.spec, mesh("data=8")))
    assert bool(whole_batch(text, prepared)) == found


def test_a_parameter_that_no_rule_reaches():
    large = transformer_spec(512, 64, layers=2, heads=4, embed=256)
    assert unsharded(layout(large, mesh("fsdp=8"))) == []
    assert unsharded(layout(large, mesh("data=8"), parameters={"embed": None})) == []
    found = unsharded(layout(large, mesh("fsdp=8"), parameters={"embed": None}))
    assert any("blocks/up/w" in line and "whole along fsdp" in line and "'embed'" in line for line in found)
    found = unsharded(layout(large, mesh("fsdp=2,tensor=4"), parameters={"hidden": None}))
    assert [line.split()[1] for line in found] == ["blocks/down/w", "blocks/up/w"]
    assert all("whole along tensor" in line for line in found)


def test_products_that_a_policy_did_not_reach():
    def half(params, batch, ctx):
        h = linear(params["a"], batch["x"])
        with computing(None):
            return LossOutput(squared_error(linear(params["b"], h.astype(jnp.float32)), batch["y"]))

    axes = [("embed", "hidden"), ("hidden", "out")]
    spec = {"a": linear_spec(4, 6, axes=axes[0]), "b": linear_spec(6, 5, axes=axes[1])}
    data = {"x": jax.ShapeDtypeStruct((16, 4), jnp.float32), "y": jax.ShapeDtypeStruct((16, 5), jnp.float32)}
    job = TrainingJob(spec, half, optax.sgd(0.1), data, options={"compute_dtype": jnp.bfloat16})
    (found,) = preflight(job, "cpu:8", "data=8").faults
    assert "of the FLOPs are float32 products under a bfloat16 policy, at layers/_linear.py" in found
    assert float32(jnn.inspect.flops(jnp.dot, jnp.ones((4, 4)), jnp.ones((4, 4))), None) == []


def test_products_too_small_to_matter():
    both = lambda a, b: (a @ a, b @ b)
    counted = lambda small: jnn.inspect.flops(both, jnp.ones((256, 256), jnp.bfloat16), jnp.ones((small, small)))
    assert float32(counted(16), jnp.bfloat16) == []
    (found,) = float32(counted(32), jnp.bfloat16)
    assert found.startswith("0.2% of the FLOPs")


def test_memory_that_is_donated_in_vain():
    step = jax.jit(lambda state, x: {"w": (state["w"] * x).astype(jnp.bfloat16)}, donate_argnums=0)
    program = step.lower({"w": jnp.ones(64)}, jnp.ones(64)).compile()
    found = in_vain(program)
    assert len(found) == 1
    assert "donated in vain: state['w']" in found[0]


def test_layers_that_are_gathered_all_at_once():
    """Of a chain of products, by `gather` outside of the scan, and inside."""
    spec = {"blocks": stack(linear_spec(128, 128, bias=False), 6)}
    data = {name: jax.ShapeDtypeStruct((16, 128), jnp.float32) for name in "xy"}

    def chain(inside):
        gather = lambda p, here: jnn.axes.gather(p, "blocks") if here else p

        def loss(params, batch, ctx):
            layer = lambda x, p: (jnp.tanh(linear(gather(p, inside), x)), None)
            x, _ = jax.lax.scan(layer, batch["x"], gather(params["blocks"], not inside))
            return LossOutput(squared_error(x, batch["y"]))

        return TrainingJob(spec, loss, optax.sgd(0.1), data)

    place = layout(spec, mesh("fsdp=8"))
    found = unexpected_communication(compiled(chain(inside=False)).program, place)
    assert any(line.startswith("all layers of blocks/w gathered at once") for line in found)
    assert unexpected_communication(compiled(chain(inside=True)).program, place) == []


def test_an_all_to_all_that_nobody_asked_for():
    place = layout(linear_spec(8, 8), mesh("data=8"))
    at = lambda *axes: jax.sharding.NamedSharding(place.mesh, jax.P(*axes))
    turn = jax.jit(lambda x: x * 2, out_shardings=at(None, "data"))
    program = turn.lower(jax.device_put(np.ones((512, 512), np.float32), at("data"))).compile()
    (found,) = unexpected_communication(program, place)
    assert found.startswith("all-to-all along data at ")


def test_a_gather_that_runs_as_an_all_reduce():
    text = """HloModule m, num_partitions=8

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b)
}

ENTRY %main (piece: f32[1,4096], zeros: f32[8,4096], i: s32[], j: s32[]) -> f32[8,4096] {
  %piece = f32[1,4096]{1,0} parameter(0)
  %zeros = f32[8,4096]{1,0} parameter(1)
  %i = s32[] parameter(2)
  %j = s32[] parameter(3)
  %padded = f32[8,4096]{1,0} dynamic-update-slice(%zeros, %piece, %i, %j)
  ROOT %whole = f32[8,4096]{1,0} all-reduce(%padded), replica_groups={{0,1,2,3,4,5,6,7}}, to_apply=%add
}"""
    place = layout(linear_spec(8, 4096), mesh("fsdp=8"))
    assert unexpected_communication(text, place) == [
        "gathers along fsdp that run as all-reduces, twice the bytes (fewer devices would gather: data=2): "
        "131 kB on each device"
    ]
    assert unexpected_communication(text.replace("8,4096]", "8,2048]"), place) == []  # small ones cost nothing
    assert unexpected_communication(text.replace("all-reduce(%padded)", "all-reduce(%zeros)"), place) == []


@pytest.mark.parametrize(
    ("message", "needed"),
    [
        ("RESOURCE_EXHAUSTED: Used 33.5G of 15.75G hbm. Exceeded hbm capacity by 18G.\nTotal ...", 33.5 * 2**30),
        ("RESOURCE_EXHAUSTED: ... HLO temporaries (512.00M) exceeds available HBM (15.75G).", 2**29),
        ("RESOURCE_EXHAUSTED: out of some other memory", None),
    ],
)
def test_what_a_compiler_says_that_finds_no_room(message, needed):
    found = read_exhausted(message)
    assert found.needed == needed
    assert found.message == message.splitlines()[0]


def test_no_room_is_a_result_and_not_an_error(monkeypatch):
    """A compiler that gives up, as a TPU's does: the report says so, and what is large with fewer rows."""
    real = jax.stages.Lowered.compile

    def compile(lowered, *args, **options):
        if any(x.shape[:1] == (ROWS,) for x in jax.tree.leaves(lowered.in_avals)):
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Used 33.5G of 15.75G hbm.")
        return real(lowered, *args, **options)

    monkeypatch.setattr(jax.stages.Lowered, "compile", compile)
    found = preflight(small(optimizer=optax.sgd(0.1)), "cpu:8", "fsdp=8")
    assert not found.fit.fits
    assert found.fit.needed == 33.5 * 2**30
    assert "a batch of 8 rows in place of 48" in found.fit.note
    assert found.fit.largest
    assert "DOES NOT FIT: 33.5 GiB" in str(found)
    assert (found.communication, found.roofline) == ((), None)
    assert not dataclasses.replace(found.fit, needed=None).fits
    assert LAYERS < TIME


def test_another_error_is_not_taken_for_no_room(monkeypatch):
    def compile(lowered, *args, **options):
        raise jax.errors.JaxRuntimeError("INTERNAL: a bug")

    monkeypatch.setattr(jax.stages.Lowered, "compile", compile)
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL: a bug"):
        preflight(small(), "cpu:8", "fsdp=8")
