"""A map whose weights another map makes of a code, against its formula in torch; bad input."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn.layers import hyper_linear, hyper_linear_spec, hyper_weights
from tests.layers.attentions import leaves_of
from tests.layers.channels import some_biases
from tests.oracle import assert_matches_torch, configurations


def weights(p, code):
    w = torch.einsum("...c,cio->...io", code, p["weights"]["w"]) + p["weights"].get("b", 0)
    return w, code @ p["offset"]["w"] + p["offset"].get("b", 0)


def drawn(rng):
    """Rows and codes with leading axes, and parameters, whose maps have biases or none, as leaves and their tree."""
    d_in, d_out, d_code, t = rng.integers(1, 7, 4).tolist()
    leaves, tree = leaves_of(some_biases(rng, hyper_linear_spec(d_in, d_out, d_code)), rng)
    leading = tuple(rng.integers(1, 4, rng.integers(0, 3)).tolist())
    draw = lambda *shape: rng.normal(size=(*leading, *shape)).astype(np.float32)
    return draw(t, d_in), draw(d_code), leaves, tree


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_weights_are_linear_in_the_code(rng):
    _, code, leaves, tree = drawn(rng)

    def ours(code, *leaves):
        made = hyper_weights(tree.unflatten(leaves), code)
        return jnp.concatenate([made["w"], made["b"][..., None, :]], -2)

    def theirs(code, *leaves):
        w, b = weights(tree.unflatten(leaves), code)
        return torch.cat([w, b[..., None, :]], -2)

    assert_matches_torch(ours, theirs, [code, *leaves])


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_all_rows_of_an_example_have_its_weights(rng):
    x, code, leaves, tree = drawn(rng)

    def theirs(x, code, *leaves):
        w, b = weights(tree.unflatten(leaves), code)
        return x @ w + b[..., None, :]

    ours = lambda x, code, *leaves: hyper_linear(tree.unflatten(leaves), x, code)
    assert_matches_torch(ours, theirs, [x, code, *leaves])


def test_other_leading_axes_are_one_clear_error():
    _, _, leaves, tree = drawn(np.random.default_rng(0))
    p = tree.unflatten(leaves)
    d_code, d_in, _ = p["weights"]["w"].shape
    with pytest.raises(ValueError, match=r"a code for each example of x, of leading axes \(\), found float32\[2,"):
        hyper_linear(p, jnp.ones((2, d_in)), jnp.ones((2, d_code)))
