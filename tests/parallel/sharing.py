"""Values and gradients of one function by many devices and by one; and what the compiled program moves."""

import re
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np

from jnn.parallel import mesh

OPERATIONS = r" (all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute)(?:-start)?\("


def some(text):
    """The mesh of that string, on as many of the devices as it names."""
    sizes = [int(size) for size in re.findall(r"=(\d+)", text)]
    return mesh(text, jax.devices()[: int(np.prod(sizes))])


def value_and_gradients(f, *args):
    """f's outputs, and the gradients of a fixed projection of them."""

    def scalar(*args):
        y = f(*args)
        return jnp.sum(y.astype(jnp.float32) * jnp.cos(jnp.arange(y.size)).reshape(y.shape)), y

    return jax.value_and_grad(scalar, tuple(range(len(args))), has_aux=True)(*args)


def assert_close(ours, theirs, tolerance=2e-5):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for pair in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        a, b = (np.asarray(x, np.float32) for x in pair)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, float(np.abs(b).max())))


def moved(compiled):
    """How often each collective stands in the program."""
    return Counter(re.findall(OPERATIONS, compiled.as_text()))
