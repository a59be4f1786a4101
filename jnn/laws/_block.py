"""What a law is about: a function with its declaration and examples, and what several laws ask of it, made once."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.axes import gathered
from jnn.param import Spec, init, path_key

Rng = np.random.Generator
Inputs = tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True, eq=False)  # what is cached goes by which block it is, not by its fields
class Block:
    """A block as the laws see it: pure function, spec and examples.

    Attributes:
      name: shown where a law does not hold, and the path of its parameters.
      spec: its declaration; {} where it has no parameters.
      apply: `(params, *inputs, key) -> outputs`, any tree of arrays; a block without noise ignores the key.
      example: `(rng) -> inputs` of ONE example, without batch axes: a tuple of NumPy arrays.
      per_example: False where the examples of a batch see each other, as in batch normalization.
      noisy: whether a key makes noise.
      causal: whether outputs at a time (the first axis of an example) see inputs up to that time alone.
      chunk: `(params, *inputs, memory) -> (outputs, memory)`, the same function of a part of a sequence.
      begin: `(params, length, leading) -> memory`, that of a sequence of this length that has not begun.
      most: the greatest leading axis of inputs, to look for the smallest batch that breaks a law.
    """

    name: str
    spec: Spec
    apply: Callable[..., Any]
    example: Callable[[Rng], Inputs]
    per_example: bool = True
    noisy: bool = False
    causal: bool = False
    chunk: Callable[..., Any] | None = None
    begin: Callable[..., Any] = lambda params, length, leading: None
    most: int | None = None

    def inputs(self, *leading: int, seed: int = 0) -> tuple[jax.Array, ...]:
        """Inputs with these leading axes, or smaller ones; always the same for a seed."""
        rng, leading = np.random.default_rng(seed), tuple(min(n, self.most or n) for n in leading)
        columns = zip(*(self.example(rng) for _ in range(math.prod(leading))), strict=True)
        return tuple(jnp.asarray(np.stack(rows).reshape(*leading, *np.shape(rows[0]))) for rows in columns)

    def shapes(self) -> str:
        """The shapes of the greatest inputs so far allowed, for people."""
        lead = "..." if self.most is None else f"{self.most}"
        return ", ".join(f"{x.dtype}[{','.join([lead, *map(str, x.shape[1:])])}]" for x in self.inputs(1))

    @functools.cached_property
    def drawn(self) -> dict[str, Any]:
        """Initial parameters, as a part of this name has them in a larger model."""
        return init(self.spec, path_key(jax.random.key(0), self.name))

    @functools.cached_property
    def params(self) -> dict[str, Any]:
        """Parameters moved off their initial values, so that no law holds by a zero or a one; floating ones in float32.

        Laws are about the function, whatever dtype its spec declares.
        """
        wide = lambda x: x.astype(np.float32) if jnp.issubdtype(x.dtype, jnp.floating) else x
        return jax.tree.map(wide, moved(self.drawn))

    @property
    def key(self) -> jax.Array | None:
        """What makes its noise."""
        return jax.random.key(1) if self.noisy else None

    @functools.cached_property
    def compiled(self) -> Callable[..., Any]:
        """`(params, *inputs, key=...)`: laws that call it with equal shapes share its programs."""
        return jax.jit(self.apply)

    @functools.cached_property
    def differentiated(self) -> Callable[..., Any]:
        """`(params, *inputs)`: compiled, outputs and gradients, with its noise, as a loss on a mesh would have them."""
        apply = gathered(lambda p, *x: self.apply(p, *x, key=self.key))
        return jax.jit(lambda *args: value_and_gradient(apply, *args))


def moved(params: Any) -> Any:
    """Parameters, each a little greater or less."""
    move = lambda x: x + (0.1 * np.cos(np.arange(x.size))).astype(x.dtype).reshape(x.shape)
    return jax.tree.map(lambda x: jnp.asarray(move(np.asarray(x))), params)


def value_and_gradient(f: Callable[..., Any], *args: Any) -> tuple[Any, list[jax.Array]]:
    """Outputs, and the gradients of a fixed projection of them with respect to every floating argument."""
    out, back = jax.vjp(f, *args)
    grads = back(jax.tree.map(direction, out))
    return out, [g for g in jax.tree.leaves(grads) if jnp.issubdtype(g.dtype, jnp.floating)]


def direction(x: jax.Array) -> np.ndarray:
    """What an output is projected on; integers have no gradient."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return np.zeros(x.shape, jax.dtypes.float0)
    return np.cos(np.arange(x.size)).astype(x.dtype).reshape(x.shape)


def examples_like(example: Any) -> Callable[[Rng], Inputs]:
    """Draws of the shapes of one example: normal in float32, or of integers from 0 to the greatest there is.

    Raises:
      TypeError: an input is no array of numbers.
    """
    arrays = [np.asarray(x) for x in (example if isinstance(example, tuple) else (example,))]
    for x in arrays:
        if not (jnp.issubdtype(x.dtype, jnp.floating) or np.issubdtype(x.dtype, np.integer) or x.dtype == bool):
            raise TypeError(
                f"check: expected an array, or a tuple of arrays, of real numbers, found {x.dtype} {example!r:.80}."
            )

    def draw(rng: Rng, x: np.ndarray) -> np.ndarray:
        if jnp.issubdtype(x.dtype, jnp.floating):
            return rng.normal(size=x.shape).astype(np.float32)
        if x.dtype == bool:
            return rng.integers(0, 2, x.shape).astype(bool)
        return rng.integers(0, int(x.max(initial=0)) + 1, x.shape).astype(x.dtype)

    return lambda rng: tuple(draw(rng, x) for x in arrays)


def name_of(function: Callable[..., Any]) -> str:
    """The name of a function, or of what it is a part of."""
    return str(getattr(getattr(function, "func", function), "__name__", "block"))
