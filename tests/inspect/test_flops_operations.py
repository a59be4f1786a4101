"""FLOPs of each operation of JAX: loops as often as they run, what is wrapped once, what is unknown named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.custom_derivatives import linear_call
from jax.experimental import pallas as pl
from jax.sharding import AxisType, PartitionSpec

from jnn.inspect import flops
from tests.oracle import configurations

S = jax.ShapeDtypeStruct
X = S((4, 4), "float32")
ONE = 2 * 4**3  # x @ x
twice = lambda x: x @ x @ x
loop = lambda start, test, step: (
    lambda x: jax.lax.while_loop(lambda c: test(c[0]), lambda c: (step(c[0]), c[1] @ c[1]), (start, x))
)
rolled = lambda n, f: lambda x: jax.lax.scan(lambda c, _: (f(c), None), x, None, length=n)[0]
solved = lambda a, b: jax.lax.custom_linear_solve(
    lambda v: a @ v, b, solve=lambda _, b: a @ b, transpose_solve=lambda _, b: a.T @ b
)
called = lambda a, b: linear_call(lambda a, b: a @ b, lambda a, b: a.T @ b, a, b)

OPERATIONS = {  # function, arguments, FLOPs
    "batched": (lambda x, y: jnp.einsum("bij,bjk->bik", x, y), (S((3, 4, 5), "float32"), S((3, 5, 6), "float32")), 720),
    "batch axes alone": (lambda x, y: jnp.einsum("bi,bi->b", x, y), (S((3, 5), "float32"), S((3, 5), "float32")), 30),
    "scan": (rolled(5, lambda x: x @ x), (X,), 5 * ONE),
    "scan of 0": (rolled(0, lambda x: x @ x), (X,), 0),
    "scan in a scan": (rolled(3, rolled(5, twice)), (X,), 30 * ONE),
    "scan of 0 in a scan": (rolled(3, rolled(0, twice)), (X,), 0),
    "its gradient": (jax.grad(lambda x: rolled(5, lambda x: jnp.sin(x) @ x)(x).sum()), (X,), 15 * ONE),
    "fori": (lambda x: jax.lax.fori_loop(2, 9, lambda _, c: c @ c, x), (X,), 7 * ONE),
    "fori downwards": (lambda x: jax.lax.fori_loop(5, 3, lambda _, c: c @ c, x), (X,), 0),
    "while": (loop(0, lambda i: i < 7, lambda i: i + 2), (X,), 4 * ONE),
    "while, mirrored": (loop(0, lambda i: jax.lax.gt(7, i), lambda i: jax.lax.add(2, i)), (X,), 4 * ONE),
    "while of 0": (loop(0, lambda i: i < 0, lambda i: i + 1), (X,), 0),
    "while of 0, by anything": (loop(0, lambda i: i < 0, lambda i: i * 3), (X,), 0),
    "while up to": (loop(1, lambda i: i <= 7, lambda i: i + 2), (X,), 4 * ONE),
    "while down": (loop(7, lambda i: i > 0, lambda i: i - 2), (X,), 4 * ONE),
    "while not": (loop(8, lambda i: i != 0, lambda i: i - 2), (X,), 4 * ONE),
    "while in floats": (loop(0.0, lambda i: i < 2.5, lambda i: i + 1), (X,), 3 * ONE),
    "while in a scan": (rolled(3, lambda x: loop(0.5, lambda i: i < 2, lambda i: i + 0.5)(x)[1]), (X,), 9 * ONE),
    "the branch of a constant": (lambda x: jax.lax.cond(False, twice, lambda x: x @ x, x), (X,), ONE),
    "a solver, once": (solved, (X, X), ONE),
    "a linear map, once": (called, (X, X), ONE),
    "composite": (jax.lax.composite(twice, "jnn.twice"), (X,), 2 * ONE),
    "associative scan": (lambda x: jax.lax.associative_scan(jnp.matmul, x), (S((8, 4, 4), "float32"),), 11 * ONE),
    "pmap": (jax.pmap(jnp.dot, in_axes=(None, 0)), (X, S((8, 4, 4), "float32")), 8 * ONE),
    "ragged": (
        jax.vmap(jax.lax.ragged_dot),
        (S((3, 9, 4), "float32"), S((3, 2, 4, 5), "float32"), S((3, 2), int)),
        2 * 3 * 9 * 4 * 5,
    ),
    "scaled": (
        jax.nn.scaled_matmul,
        (*[S((2, 4, 64), "float8_e4m3fn")] * 2, *[S((2, 4, 2), "float8_e8m0fnu")] * 2),
        2 * 2 * 4 * 4 * 64,
    ),
    "no products": (lambda x: jnp.fft.fft(jnp.sort(jnp.cumsum(x * x))).real, (X,), 0),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_its_formula(name):
    f, args, expected = OPERATIONS[name]
    count = flops(f, *args)
    assert (count.model, count.hardware, count.notes) == (expected, expected, ())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32"])
@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_a_counting_loop_is_counted_as_it_runs(rng, dtype):
    """Against the loop itself, run, whichever way it counts, in steps that floats round."""
    test, way = [(jax.lax.lt, 1), (jax.lax.le, 1), (jax.lax.gt, -1), (jax.lax.ge, -1), (jax.lax.ne, 1)][rng.integers(5)]
    by, steps, off = way * rng.uniform(1, 4), rng.integers(0, 20), 0 if test is jax.lax.ne else rng.integers(-1, 2)
    start = float(np.asarray(rng.uniform(-9, 9), dtype))
    by = float(np.asarray(by, "int32" if test is jax.lax.ne else dtype))  # else it may never be met
    limit = start + by * float(steps) + off
    start, by, limit = (np.asarray(v, dtype) for v in (start, by, limit))
    program = loop(start, lambda i: test(i, limit), lambda i: i + by)
    with jax.disable_jit():
        ran, i = 0, start
        while bool(test(i, limit)) and ran < 1000:
            ran, i = ran + 1, np.asarray(i + by, dtype)
    count = flops(program, X)
    assert (count.model, count.notes) == (ran * ONE, ()) if ran < 1000 else "counted once" in count.notes[0]


def test_of_branches_the_dearest_counts_and_is_named():
    cond = flops(lambda x: jax.lax.cond(x[0, 0] > 0, twice, lambda x: x @ x, x), X)
    assert cond.model == 2 * ONE
    assert "dearest branch" in cond.notes[0]
    again = flops(jax.grad(lambda x: jax.lax.cond(x[0, 0] > 0, jax.checkpoint(twice), twice, x).sum()), X)
    assert again.model == flops(jax.grad(lambda x: twice(x).sum()), X).model


@pytest.mark.parametrize("axes", [("data",), ("data", "model"), ()])
def test_what_is_alike_on_several_devices_is_the_models_once(axes):
    """Values and gradients, where JAX knows what differs; the hardware does it on each."""
    place = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    rows = PartitionSpec(axes or None)
    sharded = jax.shard_map(lambda w, x: x @ w, mesh=place, in_specs=(PartitionSpec(), rows), out_specs=rows)
    devices = {(): 8, ("data",): 2, ("data", "model"): 1}[axes]
    loss = lambda f: lambda w, x: (f(w, x) ** 2).sum()
    for f in (sharded, jax.grad(loss(sharded), (0, 1))):
        count = flops(f, X, S((8, 4), "float32"))
        expected = 2 * 8 * 4 * 4 * (1 if f is sharded else 3)
        assert (count.model, count.hardware) == (expected, devices * expected)


def test_a_loop_of_unknown_length_is_counted_once_and_named():
    unknown = lambda x: jax.lax.while_loop(lambda x: x[0, 0] < 7, lambda x: x @ x, x)
    count = flops(unknown, S((4, 4), "float32"))
    assert count.model == 2 * 4**3
    assert "counted once" in count.notes[0]
    assert "test_flops_operations.py" in count.notes[0]
    assert count.notes[0] in str(count)
    assert not flops(lambda x: jax.lax.while_loop(lambda x: x < 7, lambda x: 2 * x, x), S((), "float32")).notes


def test_what_jax_wraps_is_counted_once():
    x = S((4, 4), "float32")
    product = jax.jit(lambda x: x @ x)
    derived = jax.custom_vjp(product)
    derived.defvjp(lambda x: (product(x), x), lambda x, g: (g @ x.T + x.T @ g,))
    one = 2 * 4**3
    assert flops(product, x).model == one
    assert flops(derived, x).model == one
    assert flops(jax.grad(lambda x: derived(x).sum()), x).model == 2 * one  # the forward product is not needed
    assert flops(jax.grad(lambda x: (derived(x) ** 2).sum()), x).model == 3 * one
    assert flops(jax.checkpoint(product), x).model == one
    forward = jax.custom_jvp(product)
    forward.defjvp(lambda primals, tangents: (product(*primals), tangents[0] @ primals[0]))
    assert flops(forward, x).model == one
    assert flops(lambda x: jax.jvp(forward, (x,), (x,)), x).model == 2 * one
    assert flops(jax.vmap(product), S((5, 4, 4), "float32")).model == 5 * one
    assert flops(lambda x: jnp.cumsum(x).sum() + jnp.exp(x).max(), x).model == 0


def test_a_pallas_kernel_counts_its_estimate_or_is_named():
    def kernel(x, y):
        y[...] = 2 * x[...]

    shape = S((8, 128), "float32")
    plain = pl.pallas_call(kernel, out_shape=shape)
    assert flops(plain, shape).model == 0
    assert "Pallas kernel" in flops(plain, shape).notes[0]
    estimate = pl.CostEstimate(flops=1234, transcendentals=0, bytes_accessed=0)
    told = flops(pl.pallas_call(kernel, out_shape=shape, cost_estimate=estimate), shape)
    assert (told.model, told.notes) == (1234, ())
    several = flops(
        jax.vmap(pl.pallas_call(kernel, out_shape=shape, cost_estimate=estimate)), S((5, 8, 128), "float32")
    )
    assert several.model == 5 * 1234


def test_what_has_no_jaxpr_is_named():
    exported = jax.export.export(jax.jit(twice))(X)
    assert "not counted: the call_exported" in flops(exported.call, X).notes[0]
