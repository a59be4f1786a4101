"""Laws of the declaration: parameters are what the spec says, all of them are read, and a draw hangs on its path."""

from __future__ import annotations

from typing import Any

import jax
from jax.interpreters.partial_eval import dce_jaxpr
from jax.sharding import AxisType

from jnn import activations
from jnn.laws._block import Block
from jnn.laws._close import assert_close
from jnn.param import abstract, flatten, init, misfits


def spec_is_params(block: Block) -> None:
    """Law 1: `init` gives the tree, the shapes and the dtypes of the spec."""
    if problems := misfits(flatten(block.drawn), flatten(abstract(block.spec))):
        raise AssertionError(f"init does not give what the spec declares: {'; '.join(problems)}")


def every_parameter_is_read(block: Block) -> None:
    """Law 1: every parameter that the spec declares goes into the outputs, whatever becomes of it there."""
    inputs, key = block.inputs(4), block.key
    jaxpr = jax.make_jaxpr(lambda params, *x: block.apply(params, *x, key=key))(block.params, *inputs).jaxpr
    _, used = dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))  # of parameters first, in their order, then of inputs
    if unread := [path for path, read in zip(flatten(block.params), used, strict=False) if not read]:
        raise AssertionError(f"these parameters are declared and never read: {', '.join(unread)}")


def draws_hang_on_their_paths(block: Block) -> None:
    """Law 2: what else a model draws, and how many devices share a parameter, does not change its initial values."""
    axis, devices = _divisible(block.spec), jax.device_count()
    mesh = jax.make_mesh((devices,), ("x",), axis_types=(AxisType.Auto,))
    among: Any = {"others": activations.prelu_spec(), block.name: block.spec}
    model = init(among, jax.random.key(0), mesh=mesh, rules={axis: "x"} if axis else {})
    assert_close(
        model[block.name], block.drawn, tolerance=0, what=f"drawn among others on {devices} devices, and alone"
    )


def _divisible(spec: Any) -> str | None:
    """The first axis that all devices can share."""
    sizes: dict[str, list[int]] = {}
    for param in jax.tree.leaves(spec):
        for name, size in zip(param.axes, param.shape, strict=True):
            sizes.setdefault(name, []).append(size)
    return next((name for name, found in sizes.items() if not any(size % jax.device_count() for size in found)), None)
