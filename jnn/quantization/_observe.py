"""Calibration: what the inputs of a model's linear maps are, as sums over all that they meet.

    observe(f, p, spec, x) -> {path: {"rows", "gram", "magnitude"}}

`f` is any function of parameters and inputs. The statistics come as the gradient to zeros beside the weights (see
`jnn.input_sums`), so there is nothing to register and no state: what differentiates, maps and shards a model serves.

Laws: sums of two batches are those of both together; a model's outputs are what they are unobserved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.input_sums import INPUT_SUMS, sums_shape
from jnn.param import Param, Params, Spec, Where, flatten, linear_maps, matching
from jnn.precision import wide
from jnn.quantization._weights import change_weights, inputs_of

Sums = dict[str, dict[str, jax.Array]]  # by path


def observe(
    f: Callable[..., Any],
    p: Params,
    spec: Spec,
    *inputs: Any,
    of: str | Sequence[str] = ("gram", "magnitude"),
    where: Where = "*",
) -> Sums:
    """Calibration statistics of the inputs of a model's linear maps: of GPTQ, of AWQ, and of scales of activations.

    Args:
      f: (p, *inputs) -> floats, in any tree: a model. Whatever of it no output hangs on, is not observed.
      p, spec: its parameters, and what declares them. Maps that are quantized already are passed over, so that one
        layer after another can be.
      inputs: as f takes them, a batch of examples without padding.
      of: which sums: "gram", of the products of each two features, (d, d); "magnitude", of each feature's, (d,);
        "histogram", how many magnitudes begin with the same bits, (16384,).
      where: patterns of paths, "*" for all linear maps.

    Returns:
      By path {"rows": how many inputs, ...}, float32, with what is stacked in front. Those of several batches
      are added up: jax.tree.map(jnp.add, a, b). All rows are 0 of a map that nothing met.

    Raises:
      TypeError: f is no function or gives no floats, or spec is none.
      ValueError: no map fits, or a layer multiplies one by itself: leave it out.

    >>> from jnn.layers import linear, linear_spec
    >>> p, x = {"w": jnp.ones((2, 1))}, jnp.array([[1.0, -2.0], [3.0, 0.0]])
    >>> sums = observe(linear, p, linear_spec(2, 1, bias=False), x)
    >>> int(sums["w"]["rows"]), sums["w"]["gram"].tolist(), sums["w"]["magnitude"].tolist()
    (2, [[10.0, -2.0], [-2.0, 4.0]], [4.0, 2.0])
    """
    if not callable(f):
        raise TypeError(f"observe: expected a function first, found {checks.describe(f)}: observe(f, p, spec, x).")
    of = (of,) if isinstance(of, str) else of
    if unknown := sorted({*of} - {*INPUT_SUMS}):
        raise ValueError(f"observe: expected statistics of {sorted(INPUT_SUMS)}, found {unknown[0]!r}.")
    have = flatten(p)
    maps = matching("observe", linear_maps("observe", spec), where, "linear map")
    chosen = {path: param for path, param in maps.items() if path in have}

    def total(sums: Sums) -> jax.Array:
        watch = lambda path, param, w: {"float": w, "sums": sums[path]}
        leaves = jax.tree.leaves(f(change_weights("observe", p, spec, chosen, watch), *inputs))
        floats = [wide(y).sum().astype(jnp.float32) for y in leaves if jnp.issubdtype(y.dtype, jnp.floating)]
        if not floats:
            raise TypeError(f"observe: expected floats of f, found {[checks.describe(y) for y in leaves]}.")
        return jnp.stack(floats).sum()

    zeros = {path: {name: _zeros(name, param) for name in ("rows", *of)} for path, param in chosen.items()}
    return jax.grad(total)(zeros)


def _zeros(name: str, param: Param) -> jax.Array:
    return jnp.zeros((*param.shape[: param.stacked], *sums_shape(name, inputs_of(param))), jnp.float32)


def histogram(x: jax.Array) -> jax.Array:
    """Histogram of magnitudes by their first bits, as of `observe`.

    Args:
      x: floating point, of any shape.

    Returns:
      (16384,), float32.

    Raises:
      TypeError: x is no floating-point array.

    >>> h = histogram(jnp.array([1.0, -1.001, 2.0]))
    >>> h.max().item(), h.sum().item()
    (2.0, 3.0)
    """
    checks.floats("histogram", x, ndim=0)
    return INPUT_SUMS["histogram"](wide(x).reshape(-1, 1))


def statistics_of(name: str, sums: Sums, path: str, *need: str) -> dict[str, jax.Array]:
    """The statistics of one map, "gram" among those that are needed; raises where they were not made of any numbers."""
    if not isinstance(sums, Mapping) or path not in sums:
        found = f"of {', '.join([*sums][:6]) or 'nothing'}" if isinstance(sums, Mapping) else checks.describe(sums)
        raise ValueError(
            f"{name}: expected statistics of {path}, found {found}. Give observe(f, p, spec, *inputs), or leave it out "
            "by where."
        )
    if lacking := [kind for kind in need if kind not in sums[path]]:
        raise ValueError(f'{name}: expected "{lacking[0]}" of {path}: observe(..., of={need}).')
    gram = sums[path]["gram"]
    if not isinstance(gram, jax.core.Tracer) and not (bool(jnp.isfinite(gram).all()) and bool(gram.any())):
        raise ValueError(
            f"{name}: {path} was not observed: its inputs were none, all 0, or no numbers. Leave it out by "
            "where=[...], or observe inputs that reach it."
        )
    return sums[path]
