"""Neural ordinary differential equations: a layer of as many steps as the tolerance asks, by the solvers of Diffrax.

neural_ode(f, p, x, times) -> (n, ...)       dx/dt = f(p, x, t), read at n times
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.optional import optional
from jnn.param import Params
from jnn.precision import wide

Field = Callable[[Params, Any, jax.Array], Any]  # params, state, time -> the state's derivative by time


def neural_ode(
    f: Field,
    p: Params,
    x: Any,
    times: jax.Array,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    solver: Any = None,
    adjoint: Any = None,
    max_steps: int = 4096,
) -> Any:
    """Neural ODE: the solution of `dx/dt = f(p, x, t)` that begins at x, differentiable by p, x and the times.

    See "Neural Ordinary Differential Equations", Chen et al., 2018; "On Neural Differential Equations", Kidger, 2022,
    whose library Diffrax does the work and comes with the extra `ode`. A batch is one state, of which all examples
    share their steps; under `jax.vmap` each has its own. It is solved in float32 at least.

    Args:
      f: `(p, x, t) -> dx/dt`, a tree like x; it sees p and x in their own dtypes.
      p: parameters, any tree of arrays. What is differentiated must be in it, or be x.
      x: the state at the first time, an array or a tree of them, floating point.
      times: (n,), floating point, increasing or decreasing: from the first to the last, 2 or more.
      rtol, atol: how far a step may err, of the state and in all.
      solver: of Diffrax; `Tsit5()` by default, of order 5.
      adjoint: of Diffrax: how gradients go back. `RecursiveCheckpointAdjoint()` by default, which has the gradient of
        the steps as they were, in reverse mode alone; `BacksolveAdjoint()` solves backwards in O(1) memory, to the
        tolerance, and has no gradient of the times; `ForwardMode()`; `DirectAdjoint()` has both modes.
      max_steps: how many steps there may be, of all times together.

    Returns:
      x at each time, (n, ...), in x's dtypes; the first is x itself.

    Raises:
      ImportError: Diffrax is not installed.
      TypeError: x or times are not floating point.
      ValueError: times are not one list in order, or f does not return what is like x.
      RuntimeError: more steps are needed, as where f is not finite.

    >>> decay = lambda p, x, t: -p["rate"] * x
    >>> x = neural_ode(decay, {"rate": jnp.ones(())}, jnp.ones(2), jnp.array([0.0, 1.0]))  # doctest: +SKIP
    >>> x.shape, bool(jnp.allclose(x[-1], jnp.exp(-1.0), atol=1e-5))  # doctest: +SKIP
    ((2, 2), True)
    """
    _check(f, p, x, times)
    diffrax = optional("diffrax", "ode")
    p, x, times = jax.tree.map(jnp.asarray, (p, x, times))

    def field(t: jax.Array, state: Any, params: Any) -> Any:
        return _like(f(_like(params, p), _like(state, x), t), state)

    times = times.astype(jnp.result_type(*map(wide, (times, *jax.tree.leaves(x)))))
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Tsit5() if solver is None else solver,
        times[0],
        times[-1],
        None,  # the first step is chosen, too
        _wide(x),
        _wide(p),
        saveat=diffrax.SaveAt(ts=times),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
        adjoint=diffrax.RecursiveCheckpointAdjoint() if adjoint is None else adjoint,
        max_steps=max_steps,
    )
    return _like(solution.ys, x)


def _wide(tree: Any) -> Any:
    """Floating leaves in float32 at least: so the gradient adds up over the steps."""
    return jax.tree.map(lambda a: wide(a) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree)


def _like(tree: Any, like: Any) -> Any:
    """Leaves in the dtypes of others."""
    return jax.tree.map(lambda a, b: jnp.asarray(a, b.dtype), tree, like)


def _check(f: Field, p: Params, x: Any, times: jax.Array) -> None:
    """Raises unless states, times and what f returns fit each other."""
    for leaf in jax.tree.leaves(x):
        checks.floats("neural_ode", leaf, ndim=0)
    checks.array("neural_ode", times, "times")
    checks.floats("neural_ode: times", times)
    known = None if isinstance(times, jax.core.Tracer) else np.diff(np.asarray(times, np.float64), axis=0)
    if times.ndim != 1 or len(times) < 2 or not (known is None or (known > 0).all() or (known < 0).all()):
        found = checks.describe(times) if known is None or times.ndim != 1 else np.asarray(times).tolist()
        raise ValueError(f"neural_ode: expected 2 times or more in order, increasing or decreasing, found {found}.")
    shapes = lambda tree: jax.tree.map(jnp.shape, tree)
    told = jax.eval_shape(f, p, x, jax.ShapeDtypeStruct((), times.dtype))
    if shapes(told) != shapes(x):
        found, want = (jax.tree.map(checks.describe, tree) for tree in (told, x))
        raise ValueError(f"neural_ode: expected f to return the derivative of x, {want}, found {found}.")
