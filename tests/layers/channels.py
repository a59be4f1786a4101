"""Between jnn's layout, channels last, and torch's, channels first; random images, and blocks of them."""

import jax
import numpy as np
import torch

from tests.oracle import assert_matches_torch


def first(x: torch.Tensor) -> torch.Tensor:
    """(b, *spatial, c) -> (b, c, *spatial)."""
    return x.movedim(-1, 1)


def last(x: torch.Tensor) -> torch.Tensor:
    """(b, c, *spatial) -> (b, *spatial, c)."""
    return x.movedim(1, -1)


def kernel(w: torch.Tensor) -> torch.Tensor:
    """(*kernel, c_in, c_out) -> (c_out, c_in, *kernel)."""
    return w.movedim(-1, 0).movedim(-1, 1).contiguous()  # a gradient of torch's asks for it


def pad_argument(pairs) -> list[int]:
    """Pairs per axis, first axis first -> torch's flat list, last axis first."""
    return [int(side) for pair in reversed(list(pairs)) for side in pair]


def normals(rng, *shapes):
    """An array of each shape, around 1."""
    return [rng.normal(1, 2, size=s).astype(np.float32) for s in shapes]


def image_shape(rng, channels):
    """(b, *spatial, c) with 1 to 3 spatial axes."""
    return (3, *rng.integers(2, 5, rng.integers(1, 4)).tolist(), channels)


def some_biases(rng, spec):
    """The declaration, with the bias of a map or without it, as the coin falls."""
    if isinstance(spec, dict):
        bare = "w" in spec and rng.integers(3) == 0
        return {name: some_biases(rng, part) for name, part in spec.items() if name != "b" or not bare}
    return [some_biases(rng, part) for part in spec] if isinstance(spec, list) else spec


def assert_block_matches(spec, ours, theirs, *shapes, rng):
    """`ours(p, *x)` and `theirs(p, *x)`, with their gradients, of random parameters and inputs."""
    declared, tree = jax.tree.flatten(spec)
    inputs = normals(rng, *shapes)
    leaves = [rng.normal(0.1, 0.5, p.shape).astype(np.float32) for p in declared]
    n = len(inputs)
    assert_matches_torch(
        lambda *a: ours(jax.tree.unflatten(tree, a[n:]), *a[:n]),
        lambda *a: theirs(jax.tree.unflatten(tree, a[n:]), *a[:n]),
        [*inputs, *leaves],
    )
