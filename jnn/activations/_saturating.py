"""Activations of `jax.nn` that are not finite over the whole range of a dtype, and here are.

What fails there: powers of x that overflow (`gelu`, `squareplus`, `sparse_plus`), the derivative of a product, which
multiplies what arrives with x before the factor that is zero (`silu`, `mish`, `glu`), and sums over features in 16 bits
(`softmax`, `log_softmax`: of 100,000 equal logits in float16 the sum is infinite).

Law: a value or gradient is infinite only where the dtype cannot hold the right one; other values are `jax.nn`'s.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks, flop_marks
from jnn.precision import wide

Activation = Callable[..., jax.Array]


def elementwise(f: Activation) -> Activation:
    """f of arrays of one shape, with its slope computed before what arrives is multiplied with it.

    In `dy * x * sigmoid'(x)` the first product may overflow where the second factor is zero, and that is NaN.

    >>> jax.grad(elementwise(lambda a, b: a * b), (0, 1))(2.0, 5.0)
    (Array(5., dtype=float32, weak_type=True), Array(2., dtype=float32, weak_type=True))
    """
    sloped = jax.custom_jvp(f)

    @sloped.defjvp
    def rule(xs: Any, dxs: Any) -> tuple[jax.Array, jax.Array]:
        one = lambda i: tuple(jnp.ones_like(x) if j == i else jnp.zeros_like(x) for j, x in enumerate(xs))
        slopes = [jax.jvp(f, xs, one(i))[1] for i in range(len(xs))]
        return f(*xs), sum(slope * dx for slope, dx in zip(slopes[1:], dxs[1:], strict=True)) + slopes[0] * dxs[0]

    return functools.wraps(f)(sloped)


def _identity_beyond(f: Activation, limit: float, x: jax.Array) -> jax.Array:
    """f, which is x above the limit and constant below -limit, as far as any dtype can tell."""
    return jnp.where(x > limit, x, f(jnp.clip(x, -limit, limit)))


_gelu_tanh = elementwise(functools.partial(_identity_beyond, functools.partial(jax.nn.gelu, approximate=True), 10.0))
_gelu = elementwise(functools.partial(jax.nn.gelu, approximate=False))
_silu, _mish = elementwise(jax.nn.silu), elementwise(jax.nn.mish)
_glu = elementwise(lambda a, b: a * jax.nn.sigmoid(b))
_sparse_plus = functools.partial(_identity_beyond, jax.nn.sparse_plus, 2.0)


def gelu(x: jax.Array, approximate: bool = True) -> jax.Array:
    """GELU: x times the normal distribution function of x; by default its tanh approximation, as in `jax.nn`.

    See "Gaussian Error Linear Units (GELUs)", Hendrycks and Gimpel, 2016.

    >>> gelu(jnp.array([-200.0, 0.0, 200.0], jnp.float16)).tolist()
    [-0.0, 0.0, 200.0]
    """
    checks.floats("gelu", x, ndim=0)
    return (_gelu_tanh if approximate else _gelu)(x)


def silu(x: jax.Array) -> jax.Array:
    """SiLU, also known as swish: x sigmoid(x).

    See "Searching for Activation Functions", Ramachandran, Zoph and Le, 2017.

    >>> silu(jnp.array([0.0, 100.0]))
    Array([  0., 100.], dtype=float32)
    """
    checks.floats("silu", x, ndim=0)
    return _silu(x)


swish = silu


def mish(x: jax.Array) -> jax.Array:
    """Mish: x tanh(softplus(x)).

    See "Mish: A Self Regularized Non-Monotonic Activation Function", Misra, 2019.

    >>> mish(jnp.array([0.0, 100.0]))
    Array([  0., 100.], dtype=float32)
    """
    checks.floats("mish", x, ndim=0)
    return _mish(x)


def glu(x: jax.Array, axis: int = -1) -> jax.Array:
    """Gated linear unit: the first half times the sigmoid of the second.

    See "Language Modeling with Gated Convolutional Networks", Dauphin, Fan, Auli and Grangier, 2017.

    >>> glu(jnp.array([3.0, 100.0]))
    Array([3.], dtype=float32)
    """
    checks.floats("glu", x)
    if x.shape[axis] % 2:
        raise ValueError(f"glu: expected an even size along axis {axis} to halve, found {checks.describe(x)}.")
    return _glu(*jnp.split(x, 2, axis=axis))


def squareplus(x: jax.Array, b: float = 4.0) -> jax.Array:
    """Squareplus: (x + sqrt(x² + b)) / 2, a ReLU with a smooth corner; computed in float32 at least.

    See "Squareplus: A Softplus-Like Algebraic Rectifier", Barron, 2021.

    >>> squareplus(jnp.array([0.0, 60000.0], jnp.float16)).tolist()
    [1.0, 60000.0]
    """
    checks.floats("squareplus", x, ndim=0)
    h = wide(x)
    limit = float(jnp.finfo(h.dtype).max) ** 0.5 / 2
    return _identity_beyond(lambda h: jax.nn.squareplus(h, b), limit, h).astype(x.dtype)


def sparse_plus(x: jax.Array) -> jax.Array:
    """Sparse plus: 0 below -1, (x + 1)² / 4 up to 1, x above: its slope is `sparse_sigmoid`.

    >>> sparse_plus(jnp.array([-2.0, 0.0, 3.0]))
    Array([0.  , 0.25, 3.  ], dtype=float32)
    """
    checks.floats("sparse_plus", x, ndim=0)
    return _sparse_plus(x)


def softmax(x: jax.Array, axis: int | tuple[int, ...] = -1, *, where: jax.Array | None = None) -> jax.Array:
    """Softmax: exp(x) over its sum along the axis, where a mask says so if there is one; in float32 at least.

    See "Probabilistic Interpretation of Feedforward Classification Network Outputs", Bridle, 1990.

    Args:
      x: any shape, floating point.
      axis: which elements add up to 1, one axis or several.
      where: bool, broadcasts to x; elements where it is False count as nothing. None: all are there.

    Returns:
      x's shape and dtype.

    >>> softmax(jnp.array([0.0, 0.0]))
    Array([0.5, 0.5], dtype=float32)
    """
    checks.floats("softmax", x)
    return _softmax(wide(x), where, axis).astype(x.dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _softmax(x: jax.Array, where: jax.Array | None, axis: int | tuple[int, ...]) -> jax.Array:
    """`jax.nn.softmax`, whose derivative needs no more than what it returns; so does JAX's own where
    `jax_softmax_custom_jvp` is set. Elsewhere that keeps exponentials and sums, and divides them once more: a training
    step of a GPT on two cores took 94 ms, and takes 84."""
    return jax.nn.softmax(x, axis=axis, where=where)


@_softmax.defjvp
def _softmax_jvp(axis: Any, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    y, where = _softmax(*primals, axis), primals[1]
    shown = lambda a: a if where is None else jnp.where(where, a, 0)  # not what a hidden element brings: 0 * NaN is NaN
    dx = shown(tangents[0])
    return y, shown(y * (dx - _product(y, dx, axis)))


def _product(a: jax.Array, b: jax.Array, axis: int | tuple[int, ...] | None) -> jax.Array:
    """`sum(a * b)` along the axis, with sizes of 1: by a dot, as XLA:CPU of JAX 0.10.2 fuses `b - sum(a * b)` where a
    is the same for a batch of b, as in a Jacobian, into a kernel of YNNPACK's whose numbers are wrong."""
    if any(jax.typeof(a).sharding.spec):  # explicit axes of a mesh, of which a dot does not sum
        return jnp.sum(a * b, axis, keepdims=True)
    every = [*range(a.ndim)]
    summed = every if axis is None else np.ravel(np.array(every)[np.array(axis, int)]).tolist()
    kept = [i for i in every if i not in summed]
    with flop_marks.pairs(0, 1):  # no product of a model's
        return jnp.expand_dims(jnp.einsum(a, every, b, every, kept, precision="highest"), summed)


def log_softmax(x: jax.Array, axis: int | tuple[int, ...] = -1, *, where: jax.Array | None = None) -> jax.Array:
    """Log-softmax: the logarithm of `softmax`, computed in float32 at least.

    Args:
      x: any shape, floating point.
      axis: along which probabilities add up to 1, one axis or several.
      where: bool, broadcasts to x; elements where it is False count as nothing. None: all are there.

    Returns:
      x's shape and dtype.

    >>> log_softmax(jnp.array([0.0, 1000.0]))
    Array([-1000.,     0.], dtype=float32)
    """
    checks.floats("log_softmax", x)
    return jax.nn.log_softmax(wide(x), axis=axis, where=where).astype(x.dtype)
