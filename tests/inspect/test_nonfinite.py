"""Programs with a known culprit, forwards and backwards; programs whose infinities are meant."""

import inspect
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, PartitionSpec

import jnn
from jnn import layers, models
from jnn.inspect.nonfinite import Summary, examine, first_bad
from jnn.train import LossOutput, create_state, make_step

ONES = jnp.ones(3)
WITH_ZERO = jnp.array([1.0, 2.0, 0.0, 4.0])


def log_of_zero(x):
    return jnp.sum(jnp.log(x))  # culprit


def zero_over_zero(x):
    y = x - x
    return jnp.sum(x + y / y)  # culprit


def overflow(x):
    big = jnp.exp(100 * x)  # culprit
    return big / jnp.sum(big)


def overflow_to_nan(x):
    y = x * 1e38  # finite
    z = y * 10  # culprit
    return jnp.sin(z)


def root_at_zero(x):
    return jnp.sum(jnp.sqrt(x))  # culprit


def norm_of_nothing(x):
    return jnp.linalg.norm(x * 0)  # culprit


def guarded_too_late(x):
    return jnp.sum(jnp.where(x > 0, jnp.log(x), 0.0))  # culprit


def scanned(x):
    def body(carry, row):
        y = carry * jnp.log(row)  # culprit
        return carry + 1, y

    return jax.lax.scan(body, 1.0, x)[1].sum()


def scanned_in_reverse(x):
    body = lambda carry, row: (carry + 1 / row, carry)  # culprit
    return jax.lax.scan(body, 0.0, x, reverse=True)[0]


def scanned_twice(x):
    def inner(carry, row):
        return carry + row, 1 / (carry - 5)  # culprit

    return jax.lax.scan(lambda c, _: jax.lax.scan(inner, c, x), 0.0, None, length=3)[1]


def branched(x):
    return jax.lax.cond(x[0] > 0, lambda x: jnp.log(x - x), jnp.sin, x)  # culprit


def switched(x):
    branches = [jnp.sin, jnp.cos, lambda x: x / 0]  # culprit
    return jax.lax.switch(7, branches, x)


def looped(x):
    def body(carry):
        i, y = carry
        return i + 1, y * 1e10  # culprit

    return jax.lax.while_loop(lambda carry: carry[0] < 6, body, (0, x))


@jax.custom_vjp
def identity(x):
    return x


identity.defvjp(lambda x: (x, None), lambda _, g: (g / (g - g),))


def with_custom_backward(x):
    return jnp.sum(identity(x * 2))  # culprit


@jax.custom_jvp
def doubled(x):
    return x * 2


@doubled.defjvp
def doubled_jvp(primals, tangents):
    return doubled(*primals), jnp.log(primals[0] - primals[0]) * tangents[0]  # culprit


def with_custom_forward(x):
    return jnp.sum(doubled(x))


def rematerialised(x):
    block = lambda x: jnp.sqrt(jnp.abs(x))  # culprit
    return jnp.sum(jax.checkpoint(block)(x) ** 2)


@jax.jit
def inner(x):
    return jnp.log(x - 1)  # culprit


def jit_in_jit(x):
    return jax.jit(lambda x: jnp.sum(inner(x) * 2))(x)


def vmapped(x):
    return jax.vmap(lambda row: row / jnp.sum(row * 0))(x)  # culprit


def half_precision(x):
    return x.astype(jnp.bfloat16) * jnp.bfloat16(3e38) * 3  # culprit


def all_masked(x):
    masked = jnp.where(x > 9, x, -jnp.inf)
    return jax.nn.softmax(masked)  # culprit


CULPRITS = [
    (log_of_zero, WITH_ZERO, "log", ()),
    (zero_over_zero, ONES, "div", ()),
    (overflow, ONES, "exp", ()),
    (overflow_to_nan, ONES, "mul", ()),
    (jax.grad(root_at_zero), WITH_ZERO, "div", ()),
    (jax.grad(norm_of_nothing), ONES, "div", ()),
    (jax.grad(guarded_too_late), WITH_ZERO, "div", ()),
    (scanned, WITH_ZERO, "log", ("scan iteration 2 of 4",)),
    (jax.value_and_grad(scanned), WITH_ZERO, "log", ("scan iteration 2 of 4",)),
    (scanned_in_reverse, WITH_ZERO, "div", ("scan iteration 2 of 4",)),
    (scanned_twice, ONES, "div", ("scan iteration 1 of 3", "scan iteration 2 of 3")),
    (branched, ONES, "log", ("branch 1 of 2",)),
    (switched, ONES, "div", ("branch 2 of 3",)),
    (looped, ONES, "mul", ("while iteration 3",)),
    (jax.grad(with_custom_backward), ONES, "div", ()),
    (jax.grad(with_custom_forward), ONES, "log", ()),
    (jax.grad(rematerialised), WITH_ZERO, "div", ()),
    (jit_in_jit, ONES, "log", ()),
    (vmapped, jnp.ones((2, 3)), "div", ()),
    (half_precision, ONES, "mul", ()),
    (all_masked, ONES, "sub", ()),
]


def line_of_culprit(f):
    """The file and number of the line that says so, in the source of f or of what f calls."""
    f = inspect.unwrap(f)
    f = {jit_in_jit: inspect.unwrap(inner), with_custom_forward: doubled_jvp}.get(f, f)
    text, first = inspect.getsourcelines(f)
    (line,) = [first + n for n, code in enumerate(text) if "# culprit" in code]
    return __file__, line


@pytest.mark.parametrize(
    ("f", "x", "primitive", "loops"), CULPRITS, ids=[inspect.unwrap(f).__name__ for f, *_ in CULPRITS]
)
def test_names_the_primitive_and_its_line(f, x, primitive, loops):
    (result, found), compiled = examine(f, x), jax.jit(f)(x)
    assert found.primitive == primitive
    assert (found.lines[0].file, found.lines[0].number) == line_of_culprit(f)
    assert found.loops == loops
    assert found.given == ()
    assert any(summary.bad for summary in found.outputs)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), result, compiled)


def test_jitted_already_elsewhere_the_line_is_still_the_callers():
    softmax = jax.jit(jax.nn.softmax)
    softmax(ONES)  # traced here first
    found = first_bad(lambda x: softmax(jnp.where(x > 9, x, -jnp.inf)), ONES)
    again = first_bad(lambda x: softmax(jnp.where(x > 9, x, -jnp.inf)), ONES)
    assert [f.lines[0].code.split(" =")[0] for f in (found, again)] == ["found", "again"]


MEANT = {
    "masked softmax": lambda x: jax.nn.softmax(jnp.where(x > 1, x, -jnp.inf)),
    "logarithm chosen away": lambda x: jnp.where(x > 0, jnp.log(x), 0.0),
    "bool of an infinity": lambda x: jnp.isinf(jnp.log(x)),
    "minimum with infinity": lambda x: jnp.minimum(x, jnp.inf),
    "infinity in a loop": lambda x: jax.lax.scan(lambda c, r: (jnp.minimum(c, r), c), jnp.inf, x)[0],
    "integers": lambda x: jnp.arange(3),
    "keys": lambda x: jax.random.split(jax.random.key(3)),
    "nothing": lambda x: (),
    "a loop of no iterations": lambda x: jax.lax.scan(lambda c, r: (c, jnp.log(r)), 1.0, x[:0]),
}


@pytest.mark.parametrize("f", MEANT.values(), ids=MEANT)
def test_what_is_meant_is_no_finding(f):
    result, found = examine(f, WITH_ZERO)
    assert found is None
    assert jax.tree.structure(result) == jax.tree.structure(jax.jit(f)(WITH_ZERO))


def test_a_bad_argument_is_named_with_its_first_use():
    def f(w, batch):
        return jnp.sum(jnp.tanh(batch["x"] @ w)) + batch["y"].sum()

    batch = {"x": np.array([[1.0, 2.0, np.nan]]), "y": np.ones(2)}
    found = first_bad(f, ONES, batch)
    assert (found.primitive, found.given) == ("dot_general", ("batch/x",))
    assert str(found.inputs[0]).endswith("bad 1 of 3, first at [0, 2]")
    assert "the first to use batch/x, which came with bad numbers" in str(found)


def test_what_made_its_own_is_blamed_before_what_was_given():
    assert first_bad(lambda x, y: (x * 2, jnp.log(y - y)), jnp.full(3, jnp.inf), ONES).primitive == "log"


def test_an_argument_that_only_passes_is_nobodys_fault():
    assert first_bad(lambda x: (x, {"same": x}), jnp.full(3, jnp.nan)) is None


def test_an_infinity_that_the_program_wrote_and_returns():
    found = first_bad(lambda x: jnp.where(x > 1, x, -jnp.inf) * 2, WITH_ZERO)
    assert found.constant
    assert "-jnp.inf" in found.lines[0].code
    assert "written in the program" in str(found)


def test_rows_of_a_loop_that_came_bad_and_rows_that_were_written_so():
    def f(x):
        rows = jax.lax.scan(lambda c, r: (c + 1, jnp.where(c > 2, -jnp.inf, r)), 0, x)[1]
        return rows * 2

    found = first_bad(f, jnp.array([1.0, jnp.inf, 2.0, 3.0]))
    assert found.given == ("x",)


def test_nan_comes_from_nan_and_not_from_a_mask():
    def f(x):
        scores = jnp.log(x - 2)  # NaN, and -inf at 2
        mask = jnp.log(jnp.where(jnp.arange(4) < 3, 1.0, 0.0))
        return jax.nn.softmax(scores + mask)

    found = first_bad(f, WITH_ZERO)
    assert found.primitive == "log"
    assert "scores" in found.lines[0].code


def test_one_weight_of_a_transformer_block():
    spec = models.transformer_spec(11, 6, layers=3, heads=2, embed=8)
    params = jnn.init(spec, jax.random.key(0))
    path = next(path for path in jnn.flatten(params) if re.search(r"blocks.*/w$", path))
    broken = jnn.map_paths(lambda name, x: x.at[1].mul(jnp.inf) if name == path else x, params)
    tokens = jnp.zeros((2, 6), jnp.int32)
    forward = lambda params: models.transformer(params, tokens, key=None)
    assert first_bad(forward, params) is None
    found = first_bad(jax.grad(lambda params: forward(params).sum()), broken)
    assert found.given == (f"params/{path}",)
    assert "scan iteration 1 of 3" in found.loops


def test_a_train_step_with_an_overflow_in_its_loss():
    def loss(params, batch, ctx):
        x = layers.dropout(layers.linear(params, batch["x"]), 0.5, key=ctx.key)
        return LossOutput(jnp.exp(x)[:, 0])  # overflows

    state = create_state(jnn.init(layers.linear_spec(3, 1), jax.random.key(0)), optax.adam(0.1))
    for settings, loops in [({}, ()), ({"microbatches": 2}, ("scan iteration 0 of 2",))]:
        step = make_step(loss, optax.adam(0.1), jax.random.key(1), **settings)
        x = jnp.full((4, 3), 1e4) * jnp.sign(state.params["w"]).T
        found = first_bad(step, state, {"x": x})
        assert (found.primitive, found.loops, found.backward) == ("exp", loops, False)
        assert "# overflows" in found.lines[0].code
        assert first_bad(step, state, {"x": x * 0}) is None


def test_the_backward_pass_is_told():
    @jax.custom_vjp
    def f(x):
        return x

    f.defvjp(lambda x: (x, x), lambda x, g: (g * jnp.log(x - x),))
    found = first_bad(jax.grad(lambda x: jnp.sum(f(x))), ONES)
    assert found.backward
    assert "within the backward pass" in str(found)


def test_within_shard_map_it_is_one_equation():
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    each = jax.shard_map(jnp.log, mesh=mesh, in_specs=PartitionSpec("x"), out_specs=PartitionSpec("x"))
    found = first_bad(lambda x: each(x) * 2, jnp.arange(8.0))
    assert (found.primitive, found.outputs[0].first) == ("shard_map", (0,))


@pytest.mark.parametrize("seed", range(20))
def test_the_index_and_the_count(seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(1, 2, tuple(rng.integers(1, 5, rng.integers(1, 4)))).astype(np.float32)
    x[rng.uniform(size=x.shape) < 0.3] = 0
    found = first_bad(jnp.log, jnp.asarray(x))
    if (x > 0).all():
        assert found is None
    else:
        assert found.outputs[0].bad == (x == 0).sum()
        assert found.outputs[0].first == tuple(np.argwhere(x == 0)[0])
        assert found.inputs[0].norm == pytest.approx(np.linalg.norm(x), rel=1e-6)


def test_summaries():
    assert str(Summary.of(jnp.array([True, False]))) == "bool[2]  min 0  max 1  norm 1"
    assert str(Summary.of(jnp.array([jnp.nan]))) == "float32[1]  bad 1 of 1, first at [0]"
    assert Summary.of(jnp.array([1, 2], jnp.bfloat16)).high == 2
    assert Summary.of(jax.random.key(0)).size == 1
    assert Summary.of(jnp.array([3 + 4j])).high == 5
