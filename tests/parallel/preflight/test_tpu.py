"""Pre-flights for TPUs, where their compiler is installed: no chip is needed."""

import dataclasses

import jax
import pytest

from jnn.axes import laid_out
from jnn.parallel.preflight import Budget, preflight
from tests.parallel.preflight.published import GPT2, Shape, gpt_loss, gpt_spec, job
from tests.parallel.preflight.small import needs_libtpu, report, small

pytestmark = needs_libtpu


def unconstrained(params, batch, stats, key):
    """The model without a word of where its activations lie."""
    with laid_out(None):
        return gpt_loss(params, batch, stats, key)


def test_four_chips():
    found = preflight(small(compute_dtype=jax.numpy.bfloat16), "v5e:2x2", "data=2,fsdp=2", tokens=1e9, price=1.25)
    assert found.fit.fits
    assert 15 * 2**30 < found.fit.capacity < 16 * 2**30
    assert found.work.model == report().work.model  # the machine and the layout change no arithmetic
    assert found.over(Budget()) == []
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


def test_two_slices_talk_over_the_network():
    """The gradients, each device its share of them; nothing else goes between slices."""
    found = preflight(small(rows=96), "2*v5e:2x2", "slice=2,fsdp=4")
    across = [move for move in found.moves if move.axes == "slice"]
    assert {move.kind for move in across} == {"all-reduce"}
    assert {move.axes for move in found.moves} == {"slice", "fsdp"}
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


@pytest.mark.slow
def test_activations_without_names_are_caught():
    """GPT-2 on 256 chips: with names a few hundred megabytes of temporaries, without them more than a chip has."""
    gpt2 = job(gpt_spec(GPT2), gpt_loss, 256, GPT2.context)
    right = preflight(gpt2, "v5e:16x16", "fsdp=256")
    assert right.fit.fits
    assert right.fit.parts["temporaries"] < 2**30
    wrong = preflight(dataclasses.replace(gpt2, loss=unconstrained), "v5e:16x16", "fsdp=256", explain=False)
    assert not wrong.fit.fits
    assert wrong.fit.needed > 40 * right.fit.parts["temporaries"]


@pytest.mark.slow
def test_six_thousand_chips():
    wide = Shape(32000, 1024, 16, 16, 2048, 8192, 16)
    found = preflight(job(gpt_spec(wide), gpt_loss, 6144, 1024), "v5p:16x16x24", "data=96,fsdp=64")
    assert found.machine.devices == found.machine.chips == 6144
    assert found.fit.fits
    assert found.work.tokens == 6144 * 1024
    assert {axis for move in found.moves for axis in move.axes.split(",")} <= {"data", "fsdp"}
