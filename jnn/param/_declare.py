"""`Param`, one parameter declared; and the same layer many times."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from jnn.param._dtypes import Kind, dtype_kind, within_x64
from jnn.param._paths import flatten

Initializer = Callable[[jax.Array, Sequence[int], Any], jax.Array]
Rules = Mapping[str, str | tuple[str, ...] | None]  # logical axis name -> mesh axis or axes
Spec = Any  # nested dicts of Param
Params = Any  # the same tree, of arrays


@runtime_checkable
class NamedInitializer(Protocol):
    """An initializer that reads axis names, such as `jnn.initializers.he_normal`."""

    def resolve(self, param: Param) -> Initializer: ...


def existing(key: jax.Array, shape: Sequence[int], dtype: Any) -> jax.Array:
    """The initializer of arrays that exist already: there is none."""
    raise ValueError(
        f"Param: an array {tuple(shape)} that jnn.spec_of took from elsewhere has no initial values. "
        "Use the arrays themselves (of an imported network its params), or give spec_of(..., init=...)."
    )


@dataclasses.dataclass(frozen=True)
class Param:
    """Parameter, declared: its shape, initial values, names of axes and dtype.

    Args:
      shape, dtype: of the array.
      init: `(key, shape, dtype) -> array` as in `jax.nn.initializers`, or a `NamedInitializer`.
      axes: one name per dimension; sharding rules and fans refer to these.
      fan_in, fan_out: the axes that a *weight* sums over and makes.
      receptive: those of its receptive field, which both fans are multiplied by: a kernel's spatial axes. An axis that
        none of the three names holds one map beside another, and counts in no fan.
      stacked: how many leading axes hold one layer beside another, each drawn as if it were alone: see `stack`.

    >>> axes = {"axes": ("x", "in", "out"), "fan_in": ("in",), "fan_out": ("out",), "receptive": ("x",)}
    >>> Param((3, 16, 32), jax.nn.initializers.zeros, **axes).fans
    (48, 96)
    """

    shape: tuple[int, ...]
    init: Initializer | NamedInitializer
    axes: tuple[str, ...]
    dtype: jax.typing.DTypeLike = jnp.float32
    fan_in: tuple[str, ...] = ()
    fan_out: tuple[str, ...] = ()
    receptive: tuple[str, ...] = ()
    stacked: int = 0

    def __post_init__(self) -> None:
        if len(self.axes) != len(self.shape) or len(set(self.axes)) != len(self.axes):
            raise ValueError(f"Param: shape {self.shape} needs {len(self.shape)} distinct names, not {self.axes}.")
        if not 0 <= self.stacked <= len(self.axes) or any(size < 0 for size in self.shape):
            raise ValueError(f"Param: found shape {self.shape} with {self.stacked} stacked axes.")
        named, own = self.fan_in + self.fan_out + self.receptive, self.axes[self.stacked :]
        if unknown := [a for a in named if a not in own]:
            raise ValueError(f"Param: fans name {unknown}, which are not among its axes {own}.")
        if len(set(named)) != len(named):
            raise ValueError(
                f"Param: fan_in {self.fan_in}, fan_out {self.fan_out} and receptive {self.receptive} share a name."
            )

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            """What a layer asks of an array that is still a declaration."""
            if name.startswith("__"):  # what `copy` and `pickle` ask of anything
                raise AttributeError(name)
            raise AttributeError(
                f"found a Param {self.shape} where an array belongs (it has no {name!r}): "
                "params = jnn.init(spec, jax.random.key(0)) makes arrays of a spec."
            )

    @property
    def fans(self) -> tuple[int, int]:
        """How many numbers of the input an output sums up, and how many of the output an input goes to."""
        size = dict(zip(self.axes, self.shape, strict=True))
        product = lambda names: math.prod(size[name] for name in (*names, *self.receptive))
        return product(self.fan_in), product(self.fan_out)

    def draw(self, key: jax.Array) -> jax.Array:
        """An array of this shape and dtype.

        Raises:
          ValueError: the dtype is wider than JAX is set to, or `init` returns another shape.
          TypeError: or numbers of another kind, such as floats for a Param of integers.
        """
        dtype = within_x64(self.dtype)
        if 0 in self.shape:
            return jnp.zeros(self.shape, dtype)
        if self.stacked:
            one = dataclasses.replace(self, shape=self.shape[1:], axes=self.axes[1:], stacked=self.stacked - 1)
            return jax.vmap(lambda i: one.draw(jax.random.fold_in(key, i)))(jnp.arange(self.shape[0]))
        init = self.init.resolve(self) if isinstance(self.init, NamedInitializer) else self.init
        # in 16 bits a uniform number has 7 to 10 of them, and a normal one stops at three standard deviations
        narrow = dtype_kind(dtype) == Kind.FLOATING and jnp.finfo(dtype).bits < 32
        values = jnp.asarray(init(key, self.shape, jnp.float32 if narrow else dtype))
        if values.shape != self.shape:
            raise ValueError(f"Param: init returned shape {values.shape}, declared is {self.shape}.")
        if dtype_kind(values.dtype) > dtype_kind(dtype):
            raise TypeError(f"Param: init returned {values.dtype}, declared is {dtype}.")
        return values.astype(dtype)


def check_spec(name: str, spec: Spec) -> None:
    """Raises TypeError unless all leaves are `Param`s."""
    for path, leaf in flatten(spec).items():
        if not isinstance(leaf, Param):
            raise TypeError(
                f"{name}: expected a spec, found {type(leaf).__name__} at {path!r}. Give what a function such as "
                "jnn.layers.linear_spec returns, or jnn.spec_of(params)."
            )


def stack(spec: Spec, n: int, axis: str = "layers") -> Spec:
    """Stack of layers: the same spec n times along a new leading axis; layer i's draw does not depend on n.

    Raises:
      TypeError: spec is none.
      ValueError: n is negative, or an axis has that name already.

    >>> stack({"b": Param((2,), jax.nn.initializers.zeros, ("hidden",))}, 3)["b"].shape
    (3, 2)
    """
    check_spec("stack", spec)
    more = lambda p: dataclasses.replace(p, shape=(n, *p.shape), axes=(axis, *p.axes), stacked=p.stacked + 1)
    return jax.tree.map(more, spec)
