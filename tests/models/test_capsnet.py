"""CapsNet: the paper's size, its layers against torch's, and what a drawn image hangs on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional as F

import jnn
from jnn.models import capsnet, capsnet_reconstruct, capsnet_spec
from tests.oracle import assert_matches_torch

SMALL = capsnet_spec(3, image=(8, 6, 2), width=4, kernel=3, maps=2, below=3, above=4, decoder=(32, 32))


def test_published_size():
    """In millions: the paper's table, with the decoder and without."""
    sizes = jnn.count_params(capsnet_spec()), jnn.count_params(capsnet_spec(decoder=()))
    assert [round(n / 1e6, 1) for n in sizes] == [8.2, 6.8]


def squash(s):
    length = s.norm(dim=-1, keepdim=True)
    return length**2 / (1 + length**2) * s / length


def torch_capsnet(p, x):
    """The paper's procedure 1, three times."""
    kernel = lambda p: p["w"].permute(3, 2, 0, 1)
    h = torch.relu(F.conv2d(x.movedim(-1, 1), kernel(p["conv"]), p["conv"]["b"]))
    h = F.conv2d(h, kernel(p["primary"]), p["primary"]["b"], 2).movedim(1, -1)
    votes = torch.einsum("nid,idok->niok", squash(h.reshape(len(x), -1, 3)), p["capsules"]["w"])
    logits = torch.zeros(votes.shape[:-1])
    for _ in range(3):
        said = squash((logits.softmax(-1)[..., None] * votes).sum(1))
        logits = logits + (votes * said[:, None]).sum(-1)
    return said


@pytest.mark.slow
def test_matches_torch():
    rng = np.random.default_rng(0)
    spec = {name: part for name, part in SMALL.items() if name != "decoder"}
    leaves, tree = jax.tree.flatten(
        jax.tree.map(lambda p: rng.normal(size=p.shape, scale=0.5).astype(np.float32), spec)
    )
    assert_matches_torch(
        lambda x, *leaves: capsnet(tree.unflatten(leaves), x),
        lambda x, *leaves: torch_capsnet(tree.unflatten(leaves), x),
        [rng.normal(size=(3, 8, 6, 2)).astype(np.float32), *leaves],
    )


@pytest.mark.slow
def test_an_image_is_drawn_of_the_labels_capsule_alone():
    p = jnn.init(SMALL, jax.random.key(0))
    said = jax.random.normal(jax.random.key(1), (4, 3, 4))
    labels = jnp.array([0, 1, 2, 1])
    slope = jax.grad(lambda v: capsnet_reconstruct(p, v, labels).sum())(said)
    assert capsnet_reconstruct(p, said, labels).shape == (4, 8 * 6 * 2)
    np.testing.assert_array_equal(jnp.any(slope != 0, -1), np.eye(3)[labels] == 1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: capsnet_spec(image=(16, 28, 1)), ValueError, "capsnet_spec: expected images of 17 pixels a side"),
        (
            lambda: capsnet_reconstruct({"decoder": {}}, jnp.ones((2, 3, 4)), jnp.array(0)),
            ValueError,
            "expected a label for each example",
        ),
        (
            lambda: capsnet_reconstruct({"decoder": {}}, jnp.ones((3, 4)), jnp.array(0.0)),
            TypeError,
            "capsnet_reconstruct: expected integers",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
