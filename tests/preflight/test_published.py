"""Published models: parameters, FLOPs of a token and bytes of state are the papers' arithmetic, to the last digit.

For these nothing is compiled: the counts are those of the jaxpr, the bytes those of the shapes on the real topologies.
Published speeds are held against the bounds of compiled steps: slow tests, of some minutes each.
"""

import dataclasses
import functools
from typing import Any

import jax
import pytest

from jnn.axes import use_layout
from jnn.inspect import flops
from jnn.parallel import layout, mesh
from jnn.param import count_params
from jnn.preflight import preflight, topology
from jnn.preflight._compile import prepare
from jnn.train import make_step
from tests.preflight.published import (
    GPT2,
    GPT3,
    LADDER,
    LLAMA_7B,
    LLAMA_70B,
    Shape,
    gpt_loss,
    gpt_spec,
    job,
    llama_loss,
    llama_spec,
)
from tests.preflight.small import needs_libtpu

LLAMA = {"Llama-2-7B": LLAMA_7B, "Llama-2-70B": LLAMA_70B}
GPT = {"GPT-2": GPT2, "GPT-3": GPT3}


def matrices(s, gated):
    """The weights that a token is multiplied by, the read-out among them."""
    attention = 2 * s.embed * s.embed + 2 * s.embed * s.embed * s.kv_heads // s.heads
    return s.layers * (attention + (3 if gated else 2) * s.embed * s.hidden) + s.vocab * s.embed


@pytest.mark.parametrize(("name", "published"), [("Llama-2-7B", 6_738_415_616), ("Llama-2-70B", 68_976_648_192)])
def test_llama_has_as_many_parameters_as_the_published_weights(name, published):
    shape = LLAMA[name]
    assert count_params(llama_spec(shape)) == published
    assert published == matrices(shape, gated=True) + shape.vocab * shape.embed + (2 * shape.layers + 1) * shape.embed


def test_gpt3_has_as_many_parameters_as_its_paper_says():
    """175 billion, in table 2.1: 12 d^2 + 13 d a layer, the embeddings, the last norm."""
    d = GPT3.embed
    expected = GPT3.layers * (12 * d * d + 13 * d) + (GPT3.vocab + GPT3.context) * d + 2 * d
    assert count_params(gpt_spec(GPT3)) == expected
    assert round(expected / 1e9) == 175


@functools.cache
def cost(name, rows=2):
    """What a step of a published model costs, and its tokens."""
    shape = (LLAMA | GPT)[name]
    spec, loss = (llama_spec(shape), llama_loss) if name in LLAMA else (gpt_spec(shape), gpt_loss)
    step = job(spec, loss, rows, shape.context)
    make = functools.partial(make_step, step.loss, step.optimizer, jax.random.key(0), **step.options)
    one = layout(spec, mesh("data=1", jax.devices()[:1]))
    shapes = prepare(step, one)
    with use_layout(one):
        return flops(make(), shapes.state, shapes.batch), step.tokens


@pytest.mark.parametrize("name", LLAMA | GPT)
def test_flops_of_a_token_are_the_papers_arithmetic(name):
    """Six for each weight that a token meets, and attention's two products, of which causality leaves half."""
    shape, (counted, tokens) = (LLAMA | GPT)[name], cost(name)
    rows = tokens // shape.context
    assert counted.model == 6 * matrices(shape, name in LLAMA) * tokens + rows * shape.attention_flops(shape.context)
    assert counted.hardware > counted.model  # both compute again
    assert not counted.notes


def test_gpt3_takes_what_its_paper_says():
    """3.14e23 FLOPs for 300 billion tokens in table D.1, which leaves attention out: six a parameter and token."""
    counted, tokens = cost("GPT-3")
    attention = tokens // GPT3.context * GPT3.attention_flops(GPT3.context)
    assert (counted.model - attention) / tokens * 300e9 == pytest.approx(3.14e23, rel=0.01)


@needs_libtpu
@pytest.mark.parametrize(("machine", "text"), [("v5p:8x8x8", "fsdp=512"), ("v5e:16x16", "fsdp=256")])
@pytest.mark.parametrize("name", LLAMA | GPT)
def test_the_state_takes_twelve_bytes_a_parameter(name, machine, text):
    """float32 masters and AdamW's two moments: 12 N and three scalars; on each device its share, to the byte."""
    shape = (LLAMA | GPT)[name]
    spec, loss = (llama_spec(shape), llama_loss) if name in LLAMA else (gpt_spec(shape), gpt_loss)
    there = topology(machine)
    n, devices, rows = count_params(spec), len(there.devices), len(there.devices)
    placed = layout(spec, mesh(text, there.devices), uneven="replicate")
    found = prepare(job(spec, loss, rows, shape.context), placed)
    assert found.state_bytes == 12 * n + 3 * 4
    whole = sum(p.size for p in jax.tree.leaves(found.state.params) if p.sharding.is_fully_replicated)
    batch = 2 * 4 * shape.context  # a row
    assert found.device_bytes == 12 * ((n - whole) // devices + whole) + 3 * 4 + batch


@dataclasses.dataclass(frozen=True)
class Run:
    """A published run of a decoder, and the layout that this repository's pre-flight gives it."""

    shape: Shape
    machine: str
    mesh: str
    rows: int  # of the whole batch, each of the shape's context
    mfu: float  # as published
    rules: dict[str, Any] = dataclasses.field(default_factory=dict)


# MaxText, `docs/reference/models/tiering.md` (70B) and `configs/tpu/v5e` (the ladder); AXLearn,
# `experiments/text/gpt/fuji.py` (7B).
RUNS = {
    "70B on v5p": Run(LLAMA_70B, "v5p:8x8x8", "fsdp=512", 2 * 512, 0.654),
    "7B on v5e": Run(LLAMA_7B, "4*v5e:16x16", "slice=4,fsdp=256", 1024, 0.46),
    "70B on v6e": Run(LLAMA_70B, "v6e:16x16", "fsdp=256", 2 * 256, 0.438),
    "16B on v5e": Run(LADDER[16], "v5e:16x16", "fsdp=256", 6 * 256, 0.6110),
    "32B on v5e": Run(LADDER[32], "v5e:16x16", "fsdp=256", 4 * 256, 0.6686),
    "64B on v5e": Run(LADDER[64], "v5e:16x16", "fsdp=256", 2 * 256, 0.5990),
    "128B on v5e": Run(
        LADDER[128], "v5e:16x16", "fsdp=16,tensor=16", 256, 0.5606, {"activations": {"time": ("context", "tensor")}}
    ),
}


@functools.cache
def line(name):
    """The roofline of a published run."""
    run = RUNS[name]
    step = job(llama_spec(run.shape), llama_loss, run.rows, run.shape.context)
    return preflight(step, run.machine, run.mesh, explain=False, **run.rules).roofline


@pytest.mark.slow
@needs_libtpu
@pytest.mark.parametrize("name", RUNS)
def test_published_utilization_lies_below_the_bound(name):
    found = line(name)
    best, scheduled = found.mfu(found.floor), found.mfu(found.seconds)
    print(f"{name}: {best:.1%} at best, {scheduled:.1%} as scheduled, {RUNS[name].mfu:.1%} published", flush=True)
    assert RUNS[name].mfu < best <= 1
    assert found.floor <= found.seconds


@pytest.mark.slow
@needs_libtpu
@pytest.mark.parametrize("name", ["70B on v5p", "70B on v6e"])
def test_chips_with_sparse_cores_are_scheduled_as_at_best(name):
    assert line(name).seconds < 1.05 * line(name).floor


@pytest.mark.slow
@needs_libtpu
def test_layouts_that_are_better_as_published_are_better_as_scheduled():
    names = ["32B on v5e", "64B on v5e", "128B on v5e"]
    scheduled = [line(name).mfu(line(name).seconds) for name in names]
    assert sorted(scheduled, reverse=True) == scheduled
    assert sorted(names, key=lambda name: -RUNS[name].mfu) == names
