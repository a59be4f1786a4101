"""Pre-flights for TPUs, where their compiler is installed: no chip is needed."""

import collections
import dataclasses
import math
import re

import jax
import pytest

from jnn.axes import use_layout
from jnn.inspect import collectives, executions, parse
from jnn.layers import dot_product_attention
from jnn.overrides import override
from jnn.parallel import deferred_sums, layout, mesh
from jnn.preflight import CHIPS, Budget, preflight, topology
from jnn.preflight._compile import compile_for, prepare
from jnn.program import TPU_OPTIONS
from tests.preflight.published import GPT2, Shape, gpt_loss, gpt_spec, job
from tests.preflight.small import needs_libtpu, report, small

pytestmark = needs_libtpu


def unconstrained(params, batch, ctx):
    """The model without a word of where its activations lie; splash attention runs only where that is said."""
    with use_layout(None), override(dot_product_attention=masked):
        return gpt_loss(params, batch, ctx)


def masked(q, k, v, mask, *, causal, window):
    """Causal attention by a mask that is an array, which the plain formulation alone takes."""
    assert causal
    with override(dot_product_attention=None):
        return dot_product_attention(q, k, v, mask=jax.numpy.tri(q.shape[-3], dtype=bool))


def test_four_chips():
    found = preflight(small(compute_dtype=jax.numpy.bfloat16), "v5e:2x2", "data=2,fsdp=2", tokens=1e9, price=1.25)
    assert found.fit.fits
    assert 15 * 2**30 < found.fit.capacity < 16 * 2**30
    assert found.work.model == report().work.model  # the machine and the layout change no arithmetic
    assert found.over(Budget()) == []
    assert any("no splash here: found 12 queries and 12 keys" in note for note in found.work.notes)
    line = found.roofline
    assert set(line.parts) == {"compute", "memory", "interconnect"}
    assert all(value > 0 for value in line.parts.values())
    assert set(line.wires) <= {"fsdp", "data", "data,fsdp"}
    assert 0 < line.mfu(line.seconds) <= line.mfu(line.floor) <= 1
    assert line.compute == pytest.approx(found.work.hardware / (4 * 197e12))
    bill = found.bill
    assert bill.steps == pytest.approx(1e9 / found.work.tokens)
    assert bill.chip_hours == pytest.approx(4 * bill.steps * line.seconds / 3600)
    assert bill.cost == pytest.approx(1.25 * bill.chip_hours)


@pytest.mark.parametrize("chip", TPU_OPTIONS)
def test_the_compiler_knows_the_options_of_a_chip(chip):
    """One that it does not know is a warning, and here an error."""
    shape = "2x2x1" if CHIPS[chip].cubes else "2x2"
    assert preflight(small(), f"{chip}:{shape}", "data=2,fsdp=2").fit.fits


@pytest.mark.slow
def test_on_a_v5p_all_but_small_sums_go_on_beside():
    """The sums by its sparse cores; most gathers within the fusions of products."""
    wide = Shape(512, 256, 4, 8, 512, 2048, 8)
    moves = preflight(job(gpt_spec(wide), gpt_loss, 128, wide.context), "v5p:4x4x4", "data=4,fsdp=16").communication
    hidden = collections.Counter()
    for move in moves:
        hidden[move.kind] += move.seconds - move.exposed
    assert hidden["reduce-scatter"] > 0.9 * sum(m.seconds for m in moves if m.kind == "reduce-scatter")
    assert hidden["all-reduce"] > 0.8 * sum(m.seconds for m in moves if m.kind == "all-reduce")
    assert hidden["all-gather"] > 0.5 * sum(m.seconds for m in moves if m.kind == "all-gather")


@pytest.mark.parametrize("text", ["data=2,tensor=2", "stage=2,fsdp=2"])
def test_attention_is_one_kernel_on_each_chip(text):
    """Forward, and both of its backward ones: none is computed again, for its answer is remembered by name."""
    decoder = job(gpt_spec(Shape(256, 128, 4, 4, 64, 256, 4)), gpt_loss, 16, 128)
    machine = topology("v5e:2x2")
    compiled = compile_for(prepare(decoder, layout(decoder.spec, mesh(text, machine.devices))), machine)
    assert compiled.refused == ()
    scopes = {step.instruction.scope for step in executions(parse(compiled.text))}
    found = sorted(name for scope in scopes for name in re.findall(r"splash_mha_(fwd|dq|dkv)_\w+/pallas_call", scope))
    assert found == ["dkv", "dq", "fwd"]


def test_sequence_parallel_gathers_and_scatters_where_tensor_parallel_sums():
    """Of "Reducing Activation Recomputation in Large Transformer Models", Korthikanti et al., 2022, figure 5."""
    decoder = job(gpt_spec(Shape(256, 256, 4, 4, 128, 512, 4)), gpt_loss, 16, 256)
    stream = 16 * 256 * 128 * 2  # bytes, in bfloat16
    large = {}
    for time in ("context", ("context", "tensor")):
        moves = preflight(decoder, "v5e:2x2", "tensor=4", activations={"time": time}).communication
        large[time] = {move.kind for move in moves if move.bytes >= move.count * stream}
    assert large == {"context": {"all-reduce"}, ("context", "tensor"): {"all-gather", "reduce-scatter"}}


def test_two_slices_talk_over_the_network():
    """The gradients, each device its share of them; nothing else goes between slices."""
    found = preflight(small(rows=96), "2*v5e:2x2", "slice=2,fsdp=4")
    across = [move for move in found.communication if move.axes == "slice"]
    assert {move.kind for move in across} == {"all-reduce"}
    assert {move.axes for move in found.communication} == {"slice", "fsdp"}
    sent = sum(move.bytes for move in across)
    assert 4 * found.work.parameters / 4 <= sent < 2 * 4 * found.work.parameters
    assert sum(move.seconds for move in across) == pytest.approx(sent / 3.125e9)  # 2 (n - 1) / n of them, for n = 2


def test_a_step_that_does_not_fit():
    found = preflight(small(rows=2**21), "v5e:2x2", "fsdp=4")
    assert not found.fit.fits
    assert found.fit.needed > found.fit.capacity
    assert "RESOURCE_EXHAUSTED" in found.fit.note
    assert "rows in place of 2097152" in found.fit.note
    assert 10**8 < found.fit.largest[0][0] < found.fit.capacity
    assert found.over(Budget())[0].startswith("memory")


def of_weights(shape):
    """Bytes in bfloat16 of what all layers' linear maps hold."""
    return 2 * sum(math.prod(p.shape) for p in jax.tree.leaves(gpt_spec(shape)["blocks"]) if p.fan_in)


def test_layers_are_gathered_and_their_gradients_scattered():
    """Where fsdp is not all of a slice; only pieces of a linear map's gradient, and what is small, cross data."""
    wide = Shape(256, 64, 2, 4, 256, 1024, 4)
    found = preflight(job(gpt_spec(wide), gpt_loss, 32, wide.context), "v5e:4x4", "data=2,fsdp=8")
    assert found.faults == ()
    sent = collections.Counter()
    for move in found.communication:
        sent[move.kind, move.axes] += move.bytes
    assert {kind for kind, _ in sent} == {"all-gather", "reduce-scatter", "all-reduce"}
    assert sent["all-gather", "fsdp"] > 2 * of_weights(wide)  # forward and backward
    assert sent["reduce-scatter", "fsdp"] > 0.99 * of_weights(wide)
    assert sent["all-reduce", "data"] == of_weights(wide) / 8
    assert sent["all-reduce", "data,fsdp"] < of_weights(wide) / 5  # the table, biases and norms


@pytest.mark.slow
@pytest.mark.parametrize("mesh", ["fsdp=16,tensor=16", "fsdp=64,tensor=4", "data=16,fsdp=16", "data=4,fsdp=64"])
def test_and_on_a_pod(mesh):
    wide = Shape(512, 64, 2, 16, 1024, 4096, 16)
    found = preflight(job(gpt_spec(wide), gpt_loss, 768, wide.context), "v5e:16x16", mesh)
    assert found.faults == ()
    sent = collections.Counter()
    for move in found.communication:
        sent[move.kind] += move.bytes if "fsdp" in move.axes else 0
    share = of_weights(wide) / found.machine.mesh.get("tensor", 1)
    assert sent["all-gather"] > 2 * share
    assert sent["reduce-scatter"] + sent["collective-permute"] > 0  # or in steps, each beside a part of the product
    assert sent["all-reduce"] < share / 4
    assert sent["all-to-all"] == 0


@pytest.mark.slow
def test_along_an_axis_that_is_all_of_a_slice_there_are_but_all_reduces():
    """The compiler's choice, on a torus of three axes: its all-reduce takes all wires, its gather a ring of them."""
    wide = Shape(512, 64, 2, 16, 1024, 4096, 16)
    of = lambda mesh: preflight(job(gpt_spec(wide), gpt_loss, 64, wide.context), "v5p:4x4x4", mesh)
    whole, half = of("fsdp=64"), of("data=2,fsdp=32")
    assert {move.kind for move in whole.communication} == {"all-reduce"}
    assert any("run as all-reduces" in fault for fault in whole.faults)
    assert half.faults == ()
    assert {"all-gather", "reduce-scatter"} <= {move.kind for move in half.communication}
    assert sum(move.seconds for move in half.communication) < sum(move.seconds for move in whole.communication)


@pytest.mark.slow
def test_activations_without_names_take_little_more():
    """GPT-2 on 256 chips: the step puts together what the model does not gather, so that rows stay where they are."""
    gpt2 = job(gpt_spec(GPT2), gpt_loss, 256, GPT2.context)
    named = preflight(gpt2, "v5e:16x16", "fsdp=256")
    bare = preflight(dataclasses.replace(gpt2, loss=unconstrained), "v5e:16x16", "fsdp=256")
    assert named.fit.fits
    assert bare.fit.fits
    assert named.fit.parts["temporaries"] < bare.fit.parts["temporaries"] < 2**30


@pytest.mark.slow
def test_six_thousand_chips():
    wide = Shape(32000, 1024, 16, 16, 2048, 8192, 16)
    found = preflight(job(gpt_spec(wide), gpt_loss, 6144, 1024), "v5p:16x16x24", "data=96,fsdp=64")
    assert found.machine.devices == found.machine.chips == 6144
    assert found.fit.fits
    assert found.work.tokens == 6144 * 1024
    assert {axis for move in found.communication for axis in move.axes.split(",")} <= {"data", "fsdp"}


def test_deferred_sums_leave_attention_one_kernel():
    """Each device's own, in a shard_map of one axis; along that, gradients are summed once."""
    decoder = job(gpt_spec(Shape(256, 128, 4, 4, 64, 256, 4)), gpt_loss, 16, 128)
    machine = topology("v5e:2x2")
    place = layout(decoder.spec, mesh("data=2,fsdp=2", machine.devices))
    once = dataclasses.replace(decoder, options=decoder.options | {"sums": deferred_sums(place), "microbatches": 2})
    compiled = compile_for(prepare(once, place), machine)
    assert compiled.refused == ()
    rows = [row for row in collectives(compiled.text, place.mesh) if row.axes and "data" in row.axes]
    assert rows
    assert all(row.loops == () for row in rows)
