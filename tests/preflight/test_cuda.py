"""Pre-flights for GPUs, where their compiler is installed: no GPU is needed."""

import importlib.util

import pytest

from jnn.preflight import preflight
from tests.preflight.published import Shape, gpt_loss, gpt_spec, job

pytestmark = pytest.mark.skipif(
    not any(importlib.util.find_spec(f"jax_cuda{version}_plugin") for version in (12, 13)),
    reason="no CUDA compiler: pip install 'jnn[cuda]'",
)


@pytest.mark.parametrize(("machine", "mesh", "nodes"), [("h100:8", "fsdp=8", 1), ("2*h200:8", "slice=2,fsdp=8", 2)])
def test_nodes_of_eight(machine, mesh, nodes):
    decoder = job(gpt_spec(Shape(256, 64, 3, 4, 128, 512, 4)), gpt_loss, 16, 64)
    found = preflight(decoder, machine, mesh)
    assert found.fit.fits
    assert found.fit.capacity == 0.75 * (141 if "h200" in machine else 80) * 10**9  # the allocator's, by default
    assert found.fit.needed == pytest.approx(1.01 * (found.fit.needed - found.fit.parts["spare"]))
    assert (found.machine.chips, found.machine.hosts) == (8 * nodes, nodes)
    assert {axis for move in found.communication for axis in move.axes.split(",")} == {"fsdp"} | (
        {"slice"} if nodes > 1 else set()
    )
    assert (found.roofline.expected is None) == ("h100" in machine)
    assert found.roofline.compute == pytest.approx(found.work.hardware / (8 * nodes * 989.4e12))
