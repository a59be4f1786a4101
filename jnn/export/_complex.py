"""Complex numbers as pairs of real ones, for formats that have none: rules of an equation and its operands.

    with_pairs(rules)        the rules, and for whatever is complex those of pairs

Loops and branches carry pairs as they carry any tree.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jnn.export._fourier import fourier
from jnn.export._pairs import Pair, absolute, exponential, exponential_less_one, power, quotient, times
from jnn.export._primitives import Rule, Rules
from jnn.export._terms_indices import COMBINED
from jnn.export._terms_products import product


def with_pairs(rules: Rules) -> Rules:
    """Rules, and where an equation has complex numbers those of pairs."""
    pairs = PAIRS | {name: _of_parts(rules.get(name, _same)) for name in LINEAR}
    pairs = {name: _either(own, rules.get(name)) for name, own in pairs.items()}
    return {**rules, **pairs, "constant": lambda _, x: _pair(x)}


def _either(own: Rule, other: Rule | None) -> Rule:
    def rule(eqn: Any, *given: Any) -> Any:
        if any(jnp.issubdtype(v.aval.dtype, jnp.complexfloating) for v in (*eqn.invars, *eqn.outvars)):
            return own(eqn, *given)
        return other(eqn, *given) if other else None

    return rule


def _pair(x: Any) -> Any:
    """An array as a pair if it is complex; all else as it is."""
    if isinstance(x, Pair) or not jnp.iscomplexobj(x):
        return x
    return Pair(np.real(x), np.imag(x))


def _of_parts(rule: Rule) -> Rule:
    """What is done to the real parts, and to the imaginary ones."""
    part = lambda i, given: [x[i] if isinstance(x, Pair) else x for x in given]

    def one(eqn: Any, *given: Any) -> Any:
        found = rule(eqn, *given)
        return _same(eqn, *given) if found is None else found

    def both(eqn: Any, *given: Any) -> Any:
        if eqn.primitive.name == "scatter" and eqn.params["update_jaxpr"] is not None:
            return None  # a function, of both parts together: refused as what has no rule
        real, imag = (one(eqn, *part(i, given)) for i in (0, 1))
        return [*map(Pair, real, imag)] if eqn.primitive.multiple_results else Pair(real, imag)

    return both


def _same(eqn: Any, *given: Any) -> Any:
    """The primitive itself, of real numbers: what is added up by a scatter, too."""
    name, params = eqn.primitive.name, eqn.params
    if params.get("update_jaxpr") is not None:
        number = jax.ShapeDtypeStruct((), given[0].dtype)
        params = params | {"update_jaxpr": jax.make_jaxpr(COMBINED[name])(number, number).jaxpr}
    return eqn.primitive.bind(*given, **params)


def _dot(eqn: Any, x: Pair, y: Pair) -> Pair:
    return times(x, y, lambda x, y: product(x, y, eqn.params["dimension_numbers"]))


def _converted(eqn: Any, x: Any) -> Any:
    to = jnp.dtype(eqn.params["new_dtype"])
    part = np.finfo(to).dtype if to.kind == "c" else to
    if isinstance(x, Pair):
        real, imag = (lax.convert_element_type(x, part) for x in x)
        return Pair(real, imag) if to.kind == "c" else real
    real = lax.convert_element_type(x, part)
    return Pair(real, jnp.zeros_like(real))


LINEAR = {  # done to both parts alike
    *("reshape", "transpose", "broadcast_in_dim", "slice", "squeeze", "expand_dims", "concatenate", "rev", "select_n"),
    *("gather", "dynamic_slice", "dynamic_update_slice", "split", "stack", "unstack", "pad"),
    *("scatter", "scatter-add", "scatter-sub"),
    *("add", "add_any", "sub", "neg", "reduce_sum", "cumsum"),
}
PAIRS: dict[str, Rule] = {
    "complex": lambda _, real, imag: Pair(real, imag),
    "real": lambda _, x: x.real,
    "imag": lambda _, x: x.imag,
    "eq": lambda _, x, y: (x.real == y.real) & (x.imag == y.imag),
    "ne": lambda _, x, y: (x.real != y.real) | (x.imag != y.imag),
    "conj": lambda _, x: Pair(x.real, -x.imag),
    "abs": absolute,
    "mul": lambda _, x, y: times(x, y),
    "div": lambda _, x, y: quotient(x, y),
    "square": power,
    "integer_pow": power,
    "exp": exponential,
    "expm1": exponential_less_one,
    "dot_general": _dot,
    "convert_element_type": _converted,
    "fft": fourier,
}
