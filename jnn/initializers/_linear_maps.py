"""Initial values that are chosen for a linear map as a whole: orthogonal, the identity, mostly zero.

The map of a `Param` with fans goes from what is summed over (its rows) to what is made (its columns); along axes that
no fan names one map lies beside another.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jnn.param import Initializer, Param

Matrices = Callable[[jax.Array, tuple[int, ...], int, int, Any], jax.Array]  # key, how many, rows, columns, dtype


@dataclasses.dataclass(frozen=True)
class Orthogonal:
    """Orthogonal initial values: `scale` times a matrix of orthonormal rows or columns, whichever are fewer.

    See "Exact Solutions to the Nonlinear Dynamics of Learning in Deep Linear Neural Networks", Saxe, McClelland and
    Ganguli, 2014. The matrix of a `Param` with fans is the linear map that they name, from what is summed over to what
    is made; without fans its columns are the last axis.

    >>> fans = {"fan_in": ("embed",), "fan_out": ("heads", "head")}
    >>> weight = Param((6, 2, 3), orthogonal(), ("embed", "heads", "head"), **fans)
    >>> w = weight.draw(jax.random.key(0)).reshape(6, 6)
    >>> bool(jnp.allclose(w @ w.T, jnp.eye(6), atol=1e-5))
    True
    """

    scale: float = 1.0

    def __call__(self, key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        return jax.nn.initializers.orthogonal(self.scale)(key, tuple(shape), _decomposed(dtype)).astype(dtype)

    def resolve(self, param: Param) -> Initializer:
        """The draw of this Param's linear maps, one for each place on the axes that no fan names."""
        return _of_maps(param, self._matrices) if param.fan_in and param.fan_out else self

    def _matrices(self, key: jax.Array, many: tuple[int, ...], n: int, m: int, dtype: Any) -> jax.Array:
        return self.scale * jax.random.orthogonal(key, n, many, _decomposed(dtype), m).astype(dtype)


def orthogonal(scale: float = 1.0) -> Orthogonal:
    """Orthogonal initial values: orthonormal rows or columns, times `scale`; see `Orthogonal`."""
    return Orthogonal(scale)


@dataclasses.dataclass(frozen=True)
class Sparse:
    """Sparse initial values: normal of standard deviation `stddev`, and a share of each column, drawn anew, is zero.

    See "Deep Learning via Hessian-free Optimization", Martens, 2010: a column is what one output reads, of which
    `ceil(sparsity * rows)` are zero. (Of a weight laid out (out, in), torch's `sparse_` counts by inputs.) Without fans
    the columns are the last axis.

    >>> w = Param((10, 4), sparse(0.75), ("in", "out"), fan_in=("in",), fan_out=("out",)).draw(jax.random.key(0))
    >>> (w != 0).sum(0).tolist()
    [2, 2, 2, 2]
    """

    sparsity: float
    stddev: float = 0.01

    def __post_init__(self) -> None:
        for name, value, most in (("share of zeros", self.sparsity, 1), ("stddev", self.stddev, math.inf)):
            if not isinstance(value, numbers.Real) or not 0 <= value <= most:
                raise ValueError(f"sparse: expected a {name} in [0, {most}], found {value!r}.")

    def __call__(self, key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        if not shape:
            raise ValueError("sparse: expected a shape of one axis or more, found a number's, ().")
        *rows, m = shape
        return self._matrices(key, (), math.prod(rows), m, dtype).reshape(shape)

    def resolve(self, param: Param) -> Initializer:
        """The draw of this Param's linear maps, one for each place on the axes that no fan names."""
        return _of_maps(param, self._matrices) if param.fan_in and param.fan_out else self

    def _matrices(self, key: jax.Array, many: tuple[int, ...], n: int, m: int, dtype: Any) -> jax.Array:
        values, order = jax.random.split(key)
        rank = jax.random.permutation(order, jax.lax.broadcasted_iota(jnp.int32, (*many, n, m), len(many)), -2, True)
        there = rank >= math.ceil(self.sparsity * n)
        return jnp.where(there, self.stddev * jax.random.normal(values, (*many, n, m), dtype), 0)


def sparse(sparsity: float, stddev: float = 0.01) -> Sparse:
    """Sparse initial values: a share `sparsity` of what each output reads is zero, the rest normal; see `Sparse`."""
    return Sparse(sparsity, stddev)


@dataclasses.dataclass(frozen=True)
class Dirac:
    """Dirac initial values: a convolution that hands its first channels on as they are, and a linear map likewise.

    See "DiracNets: Training Very Deep Neural Networks Without Skip-Connections", Zagoruyko and Komodakis, 2017. Each
    group's first outputs are its inputs, in order; the outputs that are left over are zero. The 1 of a kernel stands
    where padding "SAME" makes it the identity: in its middle, and of an even size, before it.

    >>> axes = {"axes": ("x", "in", "out"), "fan_in": ("in",), "fan_out": ("out",), "receptive": ("x",)}
    >>> Param((3, 1, 2), dirac(), **axes).draw(jax.random.key(0))[..., 0, :].tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]
    """

    groups: int = 1

    def resolve(self, param: Param) -> Initializer:
        """The values of this Param's linear maps.

        Raises:
          ValueError: it declares no fans, or its outputs are not in this many groups.
        """
        if not (param.fan_in and param.fan_out):
            raise ValueError(
                f"{self} needs fans, but the Param with axes {param.axes} declares none: give fan_in=(...) and "
                "fan_out=(...)."
            )
        outputs = math.prod(param.shape[param.axes.index(name)] for name in param.fan_out)
        if self.groups < 1 or outputs % self.groups:
            raise ValueError(
                f"{self}: the {outputs} outputs of the Param with axes {param.axes} are not in such groups."
            )

        def draw(key: jax.Array, shape: Sequence[int], dtype: Any) -> jax.Array:
            number = lambda *names: _numbered(shape, [param.axes.index(name) for name in names])
            there = number(*param.fan_out) % (outputs // self.groups) == number(*param.fan_in)
            for name in param.receptive:
                there &= number(name) == (shape[param.axes.index(name)] - 1) // 2
            return there.astype(dtype)

        return draw


def dirac(groups: int = 1) -> Dirac:
    """Dirac initial values: a convolution that begins as the identity, in `groups`; see `Dirac`."""
    return Dirac(groups)


def beside(param: Param) -> list[str]:
    """The axes that no fan names: along them one linear map lies beside another."""
    return [name for name in param.axes if name not in param.fan_in + param.fan_out + param.receptive]


def _of_maps(param: Param, matrices: Matrices) -> Initializer:
    """The draw of a Param's linear maps as matrices (*beside, rows, columns)."""
    apart, columns = beside(param), param.fan_out
    rows = [name for name in param.axes if name in param.receptive + param.fan_in]
    order = [param.axes.index(name) for name in (*apart, *rows, *columns)]

    def draw(key: jax.Array, shape: Sequence[int], dtype: Any) -> jax.Array:
        sizes = [shape[i] for i in order]
        m = math.prod(sizes[len(order) - len(columns) :])
        n = math.prod(sizes[len(apart) :]) // m
        each = matrices(key, tuple(sizes[: len(apart)]), n, m, dtype)
        return each.reshape(sizes).transpose([order.index(i) for i in range(len(order))])

    return draw


def _numbered(shape: Sequence[int], axes: Sequence[int]) -> jax.Array:
    """Each element's number along some axes together, the last of them the fastest."""
    at = jnp.zeros(shape, jnp.int32)
    for i in axes:
        at = at * shape[i] + jax.lax.broadcasted_iota(jnp.int32, shape, i)
    return at


def _decomposed(dtype: Any) -> Any:
    """The dtype that a matrix is decomposed in."""
    return dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32
