"""Programs with a known culprit, forwards and backwards: the primitive and its line are named."""

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.inspect.nonfinite import examine, first_bad

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
