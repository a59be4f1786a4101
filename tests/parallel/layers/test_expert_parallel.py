"""Experts on an axis of the mesh: the layer's values and gradients, what moves, memory of weights, bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec

import jnn
from jnn.axes import gather, use_layout
from jnn.inspect import collectives
from jnn.layers import mixture_of_experts, mixture_of_experts_spec, route
from jnn.layers._mixture_of_experts import answers
from jnn.parallel import expert_parallel, layout
from jnn.parallel._shard_map import shard_map
from jnn.parallel.layers._expert_parallel import _local
from jnn.parallel.layers._model_parallel import model_parallel
from tests.parallel.sharing import assert_close, some, value_and_gradients

SPEC = mixture_of_experts_spec(6, 10, 8, gate=True)


def arguments(batch=8, t=4, dtype=jnp.float32):
    p = jnn.init(SPEC, jax.random.key(0))
    return p, jax.random.normal(jax.random.key(1), (batch, t, 6), dtype)


def answer(p, x, top=2):
    return mixture_of_experts(p, x, top=top)[0]


@pytest.mark.parametrize(
    ("text", "top"),
    [
        ("expert=8", 2),
        ("slice=2,fsdp=2,expert=2", 1),
        ("data=2,expert=2,context=2", 2),
        ("expert=4,tensor=2", 8),
    ],
)
def test_it_is_the_layer_on_any_number_of_devices(text, top):
    args, f = arguments(), partial(value_and_gradients, partial(answer, top=top))
    whole = jax.jit(f)(*args)
    with model_parallel(some(text)):
        assert_close(jax.jit(f)(*args), whole)


def test_none_is_dropped_when_all_tokens_go_to_one_device():
    p, x = arguments()
    p["router"]["w"] = jnp.zeros((6, 8)).at[:, 5].set(1.0).at[:, 4].set(0.5)
    x, f = jnp.abs(x), partial(value_and_gradients, answer)
    whole = jax.jit(f)(p, x)
    with model_parallel(some("expert=8")):
        assert_close(jax.jit(f)(p, x), whole)


def by_definition(operand, output, input_offsets, send_sizes, output_offsets, recv_sizes, *, axis_name):
    """`jax.lax.ragged_all_to_all` as it is documented, from everything that everyone has; no CPU has its own."""
    me = jax.lax.axis_index(axis_name)
    everyone = jax.lax.all_gather((operand, input_offsets, send_sizes, output_offsets), axis_name)
    for rows, first, size, there in zip(*everyone, strict=True):
        place = jnp.where(jnp.arange(len(rows)) < size[me], there[me] + jnp.arange(len(rows)), len(output))
        output = output.at[place].set(jnp.roll(rows, -first[me], 0), mode="drop")
    return output


def test_with_a_ragged_exchange_it_is_the_layer_too(monkeypatch):
    p, x = arguments()
    mesh, routing = some("expert=4"), route(p, x.reshape(-1, 6), top=2)
    monkeypatch.setattr(jax.lax, "ragged_all_to_all", by_definition)
    weights = {name: p[name] for name in ("up", "gate", "down")}

    def ours(weights, x):
        local = partial(_local, activation=jax.nn.gelu, axis="expert", has_ragged=True)
        return shard_map(mesh, "expert", PartitionSpec("expert"), PartitionSpec("expert"))(local)(weights, x, routing)

    theirs = lambda weights, x: answers(weights, x, routing, jax.nn.gelu)
    both = jax.jit(lambda *args: (value_and_gradients(ours, *args), value_and_gradients(theirs, *args)))
    assert_close(*both(weights, x.reshape(-1, 6)))


def test_what_moves_are_exchanges_alone_and_each_device_keeps_its_experts():
    """In a layout, where a model gathers what it uses: the router's pieces are put together, of experts nothing."""
    place, (p, x) = layout({"experts": SPEC}, some("data=2,expert=4")), arguments()
    on = lambda a, sharding: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding)
    given = jax.tree.map(on, p, place.parameters["experts"])
    with use_layout(place), model_parallel(place.mesh):
        used = lambda p, x: answer(gather(p, "experts"), x)
        program = jax.jit(used).lower(given, on(x, place.batch())).compile()
    assert {c.kind for c in collectives(program)} == {"all-to-all", "all-gather"}
    assert sum(c.bytes for c in collectives(program) if c.kind == "all-gather") == p["router"]["w"].nbytes


@pytest.mark.parametrize(
    ("text", "batch", "message"),
    [
        ("data=2", 8, "expert_parallel: the mesh has axes data, no 'expert'"),
        ("expert=3", 9, "expert_parallel: 3 devices do not divide the 8 experts"),
        ("data=2,expert=4", 3, r"8 devices \(mesh axes data, expert\) do not divide 12 of the tokens float32\[12,6\]"),
    ],
)
def test_bad_input_is_one_clear_error(text, batch, message):
    p, x = arguments(batch)
    with pytest.raises(ValueError, match=message):
        expert_parallel(p, x, route(p, x, top=2), jax.nn.gelu, mesh=some(text))
