"""Initial values of a module that draws all its parameters at once, as one initializer for each of them.

    drawn_by(initialize) -> shapes, {path: initializer}

The whole is traced once; of it, an initializer runs the equations that its array is made by, and no other: a
forward pass that a library's initialization includes is not computed, and every parameter is drawn where it shall lie.

Law: an initializer of a key gives what the module's own initialization by this key gives at this path, to the rounding
of a compiled program.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal, jaxpr_as_fun

from jnn.param import Params, flatten, is_key


def drawn_by(initialize: Callable[[jax.Array], Params]) -> tuple[Any, dict[str, Drawn]]:
    """Shapes of what `initialize(key)` makes, and an initializer for each of its arrays, by path."""
    traced, shapes = jax.make_jaxpr(initialize, return_shape=True)(jax.random.key(0))
    return shapes, {path: Drawn(traced, i) for i, path in enumerate(flatten(shapes))}


def filled(inputs: Any) -> Any:
    """Example inputs, of which some may be shapes alone: these are zeros."""
    shape = lambda x: isinstance(x, jax.ShapeDtypeStruct)
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype) if shape(x) else x, inputs, is_leaf=shape)


@dataclasses.dataclass(frozen=True, eq=False)
class Drawn:
    """Initializer of one array among those that are drawn together.

    Attributes:
      traced: the initialization of all.
      index: which one.
    """

    traced: ClosedJaxpr
    index: int

    def __call__(self, key: jax.Array, shape: Sequence[int], dtype: Any) -> jax.Array:
        """The array; its shape and dtype are the module's."""
        jaxpr = self.traced.jaxpr
        alone = jaxpr.replace(eqns=self._equations(), outvars=[jaxpr.outvars[self.index]])
        key = key if is_key(key) else jax.random.wrap_key_data(key)
        (array,) = jaxpr_as_fun(ClosedJaxpr(alone, self.traced.consts))(key)
        return array

    def _equations(self) -> list[Any]:
        """Those that the array needs, in their order."""
        jaxpr = self.traced.jaxpr
        out, needed = jaxpr.outvars[self.index], []
        wanted = set() if isinstance(out, Literal) else {out}  # a number that is always the same is made by nothing
        for equation in reversed(jaxpr.eqns):
            if not wanted.isdisjoint(equation.outvars):
                needed.append(equation)
                wanted.update(x for x in equation.invars if not isinstance(x, Literal))
        return needed[::-1]
