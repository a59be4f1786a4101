"""Laws of values: what noise, leading axes, compilation and devices may change, which is nothing."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.interpreters.partial_eval import dce_jaxpr

from jnn.axes import use_layout
from jnn.laws._block import Block, value_and_gradient
from jnn.laws._close import assert_close
from jnn.laws._equations import equations
from jnn.parallel import layout, mesh


def noise_is_an_argument(block: Block) -> None:
    """Law 4: without a key the answer is always the same, a key gives one answer, and another key another."""
    params, inputs = block.params, block.inputs(4)
    run = lambda key: block.compiled(params, *inputs, key=key)
    if not block.noisy:
        traced = lambda key, p, *x: block.apply(p, *x, key=key)
        jaxpr = jax.make_jaxpr(traced)(jax.random.key(0), params, *inputs).jaxpr
        if dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))[1][0]:
            raise AssertionError("a key changes the outputs, but it is to be noiseless")
        return
    silent, once, other = run(None), run(jax.random.key(0)), run(jax.random.key(1))
    assert_close(once, run(jax.random.key(0)), tolerance=0, what="twice with one key")
    for before, words in ((silent, "a key changes nothing"), (once, "another key makes the same noise")):
        if jax.tree.all(jax.tree.map(np.array_equal, before, other)):
            raise AssertionError(words)


def batch_is_vmap(block: Block) -> None:
    """Law 5: leading axes are free, and a batch is the examples one by one.

    So are gradients, by JAX's own rules; where a block has a rule of its own, they are compared.
    """
    inputs = block.inputs(2, 3)
    apply = lambda p, *x: block.apply(p, *x, key=None)
    one = jax.vmap(jax.vmap(apply, in_axes=(None, *[0] * len(inputs))), in_axes=(None, *[0] * len(inputs)))
    rows = lambda tree: jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), tree)
    jaxpr = jax.make_jaxpr(apply)(block.params, *inputs).jaxpr
    own = any(eqn.primitive.name.startswith("custom_vjp_call") for eqn in equations(jaxpr))
    run = value_and_gradient if own else lambda f, *args: f(*args)

    @jax.jit
    def three(params: Any, *inputs: Any) -> Any:
        return [*(run(f, params, *inputs) for f in (apply, one)), apply(params, *rows(inputs))]

    batch, each, flat = three(block.params, *inputs)
    assert_close(batch, each, what="a batch and its examples one by one")
    assert_close(flat, rows(batch[0] if own else batch), what="a batch of one axis and of two")


def compiled_is_eager_and_sharded_is_single(block: Block) -> None:
    """Law 6: `jit` changes nothing, nor do devices that share rows and parameters."""
    inputs, run = block.inputs(8), block.differentiated
    whole = run(block.params, *inputs)
    assert_close(block.apply(block.params, *inputs, key=block.key), whole[0], what="eager and compiled")
    place = layout(block.spec, mesh(_shared_by_all()), uneven="replicate")
    with use_layout(place):
        params, inputs = jax.tree.map(np.asarray, (block.params, inputs))  # cut by NumPy, not by programs
        sharded = run(jax.device_put(params, place.parameters), *jax.device_put(inputs, place.batch()))
    assert_close(sharded, whole, what=f"on {place.mesh.devices.size} devices and on one")


def _shared_by_all() -> str:
    """A mesh of all devices that share rows, parameters and widths, as far as their number can be halved."""
    shares, left = {}, jax.device_count()
    for axis in ("tensor", "fsdp"):
        shares[axis] = 2 - left % 2
        left //= shares[axis]
    return ",".join(f"{axis}={n}" for axis, n in ({"data": left} | shares).items())
