"""LeNet-5 against torch with its table of connections, and by the sizes in the paper."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jnn
from jnn.models import lenet5, lenet5_spec
from tests.layers.channels import first, kernel, last
from tests.models.images import images
from tests.oracle import assert_matches_torch

# table I of the paper, column by column: which maps of S2 the maps of C3 read
TABLE = [
    "X...XXX..XXXX.XX",
    "XX...XXX..XXXX.X",
    "XXX...XXX..X.XXX",
    ".XXX..XXXX..X.XX",
    "..XXX..XXXX.XX.X",
    "...XXX..XXXX.XXX",
]


def theirs(codes, paths):
    def run(x, *arrays):
        p = dict(zip(paths, arrays, strict=True))
        squash = lambda x: 1.7159 * torch.tanh(2 / 3 * x)
        conv = torch.nn.functional.conv2d

        def subsample(name, x):
            sums = 4 * torch.nn.functional.avg_pool2d(x, 2)
            return squash(sums * p[f"{name}/scale"][:, None, None] + p[f"{name}/bias"][:, None, None])

        h = subsample("s2", squash(conv(first(x), kernel(p["c1/w"]), p["c1/b"])))
        maps, at = [], {"three": 0, "four": 0, "six": 0}
        for column in range(16):
            reads = [row for row in range(6) if TABLE[row][column] == "X"]
            name = {3: "three", 4: "four", 6: "six"}[len(reads)]
            w, b = (p[f"c3/{name}/{part}"][..., at[name], None] for part in "wb")
            maps.append(conv(h[:, reads], kernel(w), b))
            at[name] += 1
        h = subsample("s4", squash(torch.cat(maps, 1)))
        h = last(squash(conv(h, kernel(p["c5/w"]), p["c5/b"]))).flatten(1)
        h = squash(h @ p["f6/w"] + p["f6/b"])
        return ((h[:, None] - torch.tensor(codes, dtype=torch.float64)) ** 2).sum(-1)

    return run


@pytest.mark.slow
def test_matches_torch():
    rng, spec = np.random.default_rng(0), lenet5_spec()
    codes = rng.choice([-1.0, 1.0], (10, 84)).astype(np.float32)
    params = jnn.init(spec, jax.random.key(0))
    arrays = [x + rng.normal(0, 0.05, x.shape).astype(np.float32) for x in jax.tree.leaves(params)]
    ours = lambda x, *arrays: lenet5(jax.tree.unflatten(jax.tree.structure(spec), arrays), x, codes)
    assert_matches_torch(ours, theirs(codes, [*jnn.flatten(spec)]), [images(2, 32, 32, 1), *arrays])


def test_sizes_are_the_papers():
    spec = lenet5_spec()
    sizes = {name: jnn.count_params(part) for name, part in spec.items()}
    assert sizes == {"c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164}
    assert jnn.count_params(spec) == 60_000


@pytest.mark.parametrize(
    ("shape", "codes", "message"),
    [
        ((2, 28, 28, 1), (10, 84), r"lenet5: its parameters expect input \[...,32,32,1\], found float32\[2,28,28,1\]"),
        ((2, 32, 32, 1), (10, 80), r"lenet5: expected codes \(classes, 84\).*found float32\[10,80\]"),
    ],
)
def test_bad_input_is_one_clear_error(shape, codes, message):
    p = jnn.param.abstract(lenet5_spec())
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lenet5, p, jnp.ones(shape), jnp.ones(codes))
