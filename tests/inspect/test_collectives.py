"""Collectives of known programs on eight devices, and the forms in which replica groups are written."""

import itertools

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jnn.inspect import axes_of, collectives, report
from jnn.inspect._groups import parse_groups

P = PartitionSpec
NAMES = ("data", "fsdp", "tensor")
SUBSETS = [axes for n in (1, 2, 3) for axes in itertools.combinations(NAMES, n)]


def mesh():
    return jax.make_mesh((2, 2, 2), NAMES, axis_types=(AxisType.Auto,) * 3)


def compiled(f, x):
    spec = P(NAMES)
    return jax.jit(jax.shard_map(f, mesh=mesh(), in_specs=spec, out_specs=spec, check_vma=False)).lower(x).compile()


@pytest.mark.parametrize("axes", SUBSETS)
def test_a_sum_over_any_axes_of_the_mesh(axes):
    (row,) = collectives(compiled(lambda x: lax.psum(x, axes), jnp.ones((8, 16))), mesh())
    assert (row.kind, row.axes, row.times, row.bytes, row.dtypes) == ("all-reduce", axes, 1, 16 * 4, ("f32",))
    assert "test_collectives.py" in str(row.place)
    assert not row.loops


@pytest.mark.parametrize("axis", NAMES)
@pytest.mark.parametrize(
    ("kind", "f", "bytes_"),
    [
        ("all-gather", lax.all_gather, 2 * 256),
        ("reduce-scatter", lambda x, axis: lax.psum_scatter(x, axis, scatter_dimension=1, tiled=True), 256),
        ("all-to-all", lambda x, axis: lax.all_to_all(x, axis, 1, 1, tiled=True), 256),
        ("collective-permute", lambda x, axis: lax.ppermute(x, axis, [(0, 1), (1, 0)]), 256),
    ],
)
def test_each_kind_along_each_axis(kind, f, bytes_, axis):
    (row,) = collectives(compiled(lambda x: f(x, axis), jnp.ones((8, 64))), mesh())
    assert (row.kind, row.axes, row.bytes, row.total) == (kind, (axis,), bytes_, bytes_)


def test_in_a_loop_it_counts_as_often_as_the_loop_runs():
    def f(x):
        return lax.scan(lambda c, _: (jnp.sin(lax.psum(c, "fsdp")), None), x, None, length=7)[0]

    (row,) = collectives(compiled(f, jnp.ones((8, 4), jnp.float32)), mesh())
    assert (row.times, row.total, len(row.loops)) == (7, 7 * 16, 1)
    assert "7" in report([row])
    assert "fsdp" in report([row])

    def g(x):
        return lax.while_loop(lambda c: c.sum() < 9, lambda c: lax.psum(c, "fsdp"), x)

    (row,) = [row for row in collectives(compiled(g, jnp.ones((8, 4))), mesh()) if row.loops]
    assert (row.times, row.total) == (None, None)


def test_a_data_parallel_gradient_is_one_reduction():
    data = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    on = lambda spec, *shape: jax.ShapeDtypeStruct(shape, "float32", sharding=NamedSharding(data, spec))
    grad = jax.grad(lambda w, x: jnp.sum(jnp.tanh(x @ w) ** 2))
    rows = collectives(
        jax.jit(grad, out_shardings=NamedSharding(data, P())).lower(on(P(), 16, 4), on(P("data"), 64, 16)).compile(),
        data,
    )
    assert [(row.kind, row.axes, row.bytes) for row in rows] == [("all-reduce", ("data",), 16 * 4 * 4)]


ENTRY = "HloModule m\n\nENTRY %main (x: f32[8]) -> f32[8] {{\n  %x = f32[8]{{0}} parameter(0)\n{}\n}}\n"


def test_what_starts_here_and_is_done_there_is_one():
    """As XLA:GPU writes it, compiled ahead of time for an H100."""
    text = ENTRY.format(
        "  %all-gather-start.1 = ((f32[8]{0}), f32[16]{0}) all-gather-start(%x), channel_id=3, "
        "replica_groups=mesh['axis_0'=4,'axis_1'=2] {'axis_1'}, dimensions={0}, use_global_device_ids=true\n"
        "  %all-gather-done.1 = f32[16]{0} all-gather-done(%all-gather-start.1)\n"
        "  %reduce-scatter-start = ((f32[16]{0}), f32[8]{0}) reduce-scatter-start(%all-gather-done.1), channel_id=18, "
        "replica_groups=[4,2]<=[8], use_global_device_ids=true, dimensions={0}, to_apply=%add\n"
        "  ROOT %reduce-scatter-done = f32[8]{0} reduce-scatter-done(%reduce-scatter-start)"
    )
    pairs = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    rows = collectives(text, pairs)
    assert [(row.kind, row.bytes, row.axes, row.asynchronous) for row in rows] == [
        ("all-gather", 64, ("model",), True),
        ("reduce-scatter", 64, ("model",), True),
    ]


def test_a_tpus_chain_of_fusions_is_one_and_its_reduce_scatter_is_told():
    """As XLA:TPU writes them: begun, worked on and ended in three fusions; a reduction and a slice in one."""
    gather = (
        "  %p = f32[8]{0} parameter(0)\n  ROOT %g = f32[16]{0} all-gather(%p), channel_id=14, "
        "replica_groups=mesh['axis_0'=1,'axis_1'=4,'axis_2'=2], device_ids=([2,4]T(1,0)) {'axis_2'}, dimensions={0}, "
        'frontend_attributes={chain_id="0"}\n}\n'
    )
    computations = "".join(f"%step.{i} (p: f32[8]) -> f32[16] {{\n{gather}\n" for i in range(3))
    scatter = (
        "%all-reduce-scatter (p: f32[8]) -> f32[4] {\n  %p = f32[8]{0} parameter(0)\n  %r = f32[8]{0} all-reduce(%p), "
        "channel_id=45, replica_groups={{0,1},{2,3},{4,5},{6,7}}, to_apply=%add\n"
        "  ROOT %s = f32[4]{0} slice(%r), slice={[0:4]}\n}\n\n"
    )
    entry = ENTRY.format(
        "".join(f"  %f.{i} = f32[16]{{0}} fusion(%x), kind=kCustom, calls=%step.{i}\n" for i in range(3))
        + '  ROOT %s = f32[4]{0} fusion(%x), kind=kCustom, calls=%all-reduce-scatter, metadata={op_name="jit(f)/dot"}'
    )
    rows = collectives("HloModule m\n\n" + computations + scatter + entry.removeprefix("HloModule m\n\n"))
    assert [(row.kind, row.bytes, row.asynchronous) for row in rows] == [
        ("all-gather", 64, True),
        ("reduce-scatter", 32, False),
    ]
    assert rows[0].groups == ((0, 4), (1, 5), (2, 6), (3, 7))
    assert rows[1].scope == "jit(f)/dot"
    assert rows[0].axes is None


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        (None, ()),
        ("{}", ()),
        ("{{0,2},{1,3}}", ((0, 2), (1, 3))),
        ("[2,2]<=[4]", ((0, 1), (2, 3))),
        ("[2,2]<=[2,2]T(1,0)", ((0, 2), (1, 3))),
        ("[1,8]<=[8]", (tuple(range(8)),)),
        ("mesh['a'=2,'b'=2] {'a'}", ((0, 2), (1, 3))),
        ("mesh['a'=2,'b'=2] {'a','b'}", ((0, 1, 2, 3),)),
        ("mesh['a'=2,'b'=4] {'b':(1)2}", ((0, 2), (1, 3), (4, 6), (5, 7))),
        ("mesh['a'=2,'b'=4] {'b':(2)2}", ((0, 1), (2, 3), (4, 5), (6, 7))),
        ("mesh['a'=2,'b'=2], device_ids=(0,2,1,3) {'b'}", ((0, 2), (1, 3))),
    ],
)
def test_replica_groups_in_every_form(text, groups):
    assert parse_groups(text) == groups


@pytest.mark.parametrize("text", ["[2,2]<=what", "mesh[a] and b"])
def test_replica_groups_of_another_form_are_one_clear_error(text):
    with pytest.raises(ValueError, match="collectives: expected replica groups such as"):
        parse_groups(text)


def test_groups_that_are_along_no_axis():
    assert axes_of(((0, 3), (1, 2), (4, 7), (5, 6)), mesh()) is None
    assert axes_of((), mesh()) == NAMES
