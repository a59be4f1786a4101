"""Neural ODEs against SciPy's solver and matrix exponentials, with gradients, where Diffrax is there; bad input."""

import doctest
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.layers import linear, neural_ode
from tests.oracle import configurations

TIMES = np.array([0.0, 0.3, 0.5, 1.5])
EXACT = {"rtol": 1e-10, "atol": 1e-10}
slow = pytest.mark.slow


def diffrax():
    return pytest.importorskip("diffrax", reason="Diffrax is an extra: pip install 'jnn[ode]'")


def network(p, x, t):
    """tanh of a linear map, turned by time."""
    return jnp.cos(t) * jnp.tanh(linear(p["up"], x)) @ p["down"]


@slow
@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_it_is_what_scipy_solves_with_its_gradient(rng):
    """Forwards or backwards in time; the gradient along a random direction, by differences of SciPy's solutions."""
    diffrax()
    integrate = pytest.importorskip("scipy.integrate")
    n, d, h = rng.integers(1, 5, 3).tolist()
    times = rng.normal() + np.cumsum(rng.uniform(0.1, 0.6, rng.integers(2, 6)))[:: rng.choice([-1, 1])]
    draw = lambda: ({"up": {"w": draw_of(d, h), "b": draw_of(h)}, "down": draw_of(h, d)}, draw_of(n, d))
    draw_of = lambda *shape: rng.normal(size=shape)
    at, toward, onto = draw(), draw(), draw_of(len(times), n, d)

    def theirs(p, x):
        up, down = p["up"], p["down"]
        f = lambda t, y: (np.cos(t) * np.tanh(y.reshape(x.shape) @ up["w"] + up["b"]) @ down).ravel()
        how = {"method": "DOP853", "t_eval": times, "rtol": 1e-12, "atol": 1e-12}
        return integrate.solve_ivp(f, times[[0, -1]], x.ravel(), **how).y.T.reshape(onto.shape)

    def ours(p, x):
        found = neural_ode(network, p, x, jnp.asarray(times), **EXACT)
        return jnp.sum(found * onto), found

    with jax.enable_x64(True):
        grads, found = jax.jit(jax.grad(ours, (0, 1), has_aux=True))(*at)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, theirs(*at), rtol=1e-8, atol=1e-8)
    along = sum(map(np.vdot, jax.tree.leaves(grads), jax.tree.leaves(toward)))
    ahead, behind = (theirs(*jax.tree.map(lambda a, b, e=e: a + e * b, at, toward)) for e in (1e-4, -1e-4))
    np.testing.assert_allclose(along, np.sum((ahead - behind) * onto) / 2e-4, rtol=1e-5, atol=1e-5)


def solved(adjoint, a, x, t):
    return neural_ode(lambda a, x, t: a @ x, a, x, jnp.stack([t * 0, t]), adjoint=adjoint, **EXACT)[-1]


def derivatives(f, adjoint):
    """Of a projection, by the matrix and the state, and by the time where there is such a gradient."""
    by = (0, 1) if adjoint == "BacksolveAdjoint" else (0, 1, 2)
    derive = jax.jacfwd if adjoint == "ForwardMode" else jax.grad
    return derive(lambda *args: jnp.sum(jnp.cos(jnp.arange(3.0)) * f(*args)), by)


@slow
@pytest.mark.parametrize("adjoint", [None, "BacksolveAdjoint", "DirectAdjoint", "ForwardMode"])
def test_a_linear_equation_is_a_matrix_exponential_with_its_gradient(adjoint):
    solver = diffrax()
    chosen = None if adjoint is None else getattr(solver, adjoint)()
    a, x = np.random.default_rng(1).normal(size=(3, 3)), np.ones(3)
    with jax.enable_x64(True):
        ours = partial(solved, chosen)
        theirs = lambda a, x, t: jax.scipy.linalg.expm(a * t) @ x
        args = jnp.asarray(a), jnp.asarray(x), jnp.asarray(0.7)
        found = jax.jit(lambda *args: (ours(*args), derivatives(ours, adjoint)(*args)))(*args)
        wanted = jax.jit(lambda *args: (theirs(*args), derivatives(theirs, adjoint="of both")(*args)))(*args)
    wanted = wanted[0], wanted[1][: len(found[1])]
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-7, atol=1e-7), found, wanted)


@slow
def test_trees_keep_their_dtypes_and_gradients_add_up_in_float32():
    diffrax()
    f = lambda p, x, t: {"a": -p["rate"] * x["a"], "b": x["b"] * 0 + x["a"].sum().astype(jnp.float32)}
    rate, x = jnp.ones((), jnp.bfloat16), {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.zeros(())}

    def total(rate):
        found = neural_ode(f, {"rate": rate, "unused": jnp.arange(3)}, x, jnp.array([0.0, 1.0]))
        return found["b"][-1], found

    (_, found), slope = jax.value_and_grad(total, has_aux=True)(rate)
    assert jax.tree.map(lambda a: (a.dtype, a.shape), found) == {"a": (jnp.bfloat16, (2, 2)), "b": (np.float32, (2,))}
    np.testing.assert_allclose(found["b"], [0, 2 * (1 - np.exp(-1))], rtol=2e-3)  # x is rounded where f sees it
    np.testing.assert_allclose(slope.astype(np.float32), 2 * (2 / np.e - 1), rtol=2e-2)


def test_what_f_returns_takes_the_dtype_of_the_state():
    diffrax()
    with jax.enable_x64(True):
        x = neural_ode(lambda p, x, t: p, jnp.ones(()), jnp.zeros((), jnp.float32), np.array([0.0, 1.0]))
    np.testing.assert_allclose(x, np.array([0, 1], np.float32), rtol=1e-6)
    x = neural_ode(lambda p, x, t: 2.0, {}, jnp.zeros(()), jnp.array([0.0, 1.0]))
    np.testing.assert_allclose(x, [0, 2], rtol=1e-6)


@slow
@pytest.mark.parametrize(("f", "steps"), [(lambda p, x, t: p * x, 2), (lambda p, x, t: p * x / 0, 64)])
def test_too_many_steps_are_an_error(f, steps):
    diffrax()
    with pytest.raises(RuntimeError, match="maximum number of solver steps"):
        neural_ode(f, jnp.ones(()), jnp.ones(2), jnp.asarray(TIMES, jnp.float32), max_steps=steps)


@slow
def test_the_example_runs():
    diffrax()
    text = neural_ode.__doc__.replace("# doctest: +SKIP", "")
    example = doctest.DocTestParser().get_doctest(text, {"jnp": jnp, "neural_ode": neural_ode}, "example", None, None)
    assert doctest.DocTestRunner().run(example) == (0, 3)


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffrax", None)
    with pytest.raises(ImportError, match=r"pip install 'jnn\[ode\]'"):
        neural_ode(lambda p, x, t: x, {}, np.ones(2, np.float32), np.array([0.0, 1.0]))


@pytest.mark.parametrize(
    ("f", "x", "times", "error", "message"),
    [
        (lambda p, x, t: x, np.ones(2, int), [0.0, 1.0], TypeError, "expected floating-point input, found int64"),
        (lambda p, x, t: x, np.ones(2), [0, 1], TypeError, "times: expected floating-point input"),
        (lambda p, x, t: x, np.ones(2), [0.0], ValueError, r"2 times or more in order.*found \[0.0\]"),
        (lambda p, x, t: x, np.ones(2), [0.0, 2.0, 1.0], ValueError, r"in order, increasing or decreasing, found"),
        (lambda p, x, t: x, np.ones(2), [[0.0, 1.0]], ValueError, r"in order, .* found float64\[1,2\]"),
        (lambda p, x, t: x[:1], np.ones(2), [0.0, 1.0], ValueError, r"derivative of x, float64\[2\], found float32\[1"),
        (lambda p, x, t: [x], np.ones(2), [0.0, 1.0], ValueError, r"derivative of x, float64\[2\], found \['float32"),
    ],
)
def test_bad_input_is_one_clear_error(f, x, times, error, message):
    with pytest.raises(error, match=message):
        neural_ode(f, {}, x, np.array(times))
