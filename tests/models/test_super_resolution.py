"""ESPCN and EDSR against torch, and what they do not depend on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from torch import nn

import jnn
from jnn.models import edsr, edsr_spec, espcn, espcn_spec
from jnn.parity import check
from tests.models.images import channels_last, images
from tests.oracle import configurations


def conv(c_in, c_out, kernel=3):
    return nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2)


class TorchEDSR(nn.Module):
    def __init__(self, scale, blocks, width, channels, residual_scale):
        super().__init__()
        self.residual_scale, steps = residual_scale, {4: (2, 2)}.get(scale, (scale,))
        self.stem, self.last, self.out = conv(channels, width), conv(width, width), conv(width, channels)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"conv1": conv(width, width), "conv2": conv(width, width)}) for _ in range(blocks)
        )
        for i, step in enumerate(steps, 1):
            self.add_module(f"enlarge{i}", nn.Sequential(conv(width, width * step**2), nn.PixelShuffle(step)))
        self.steps = len(steps)

    def forward(self, x):
        stem = h = self.stem(x)
        for block in self.blocks:
            h = h + self.residual_scale * block["conv2"](block["conv1"](h).relu())
        h = stem + self.last(h)
        for i in range(self.steps):
            h = getattr(self, f"enlarge{i + 1}")(h)
        return self.out(h)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
def test_espcn_matches_torch(rng):
    scale, channels, first, second = (int(n) for n in rng.integers(1, 5, 4))
    net = nn.Sequential(
        *(conv(channels, first, 5), nn.Tanh(), conv(first, second), nn.Tanh()),
        *(conv(second, channels * scale**2), nn.PixelShuffle(scale)),
    )
    spec = espcn_spec(scale, widths=(first, second), channels=channels)
    names = {"conv1/*": "0.*", "conv2/*": "2.*", "out/*": "4.*"}
    check(espcn, spec, net, images(2, *rng.integers(1, 7, 2), channels), names=names, call=channels_last)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
def test_edsr_matches_torch(rng):
    (scale, blocks, width, channels), by = (int(n) for n in rng.integers((2, 1, 1, 1), 5)), float(rng.uniform(0.1, 1))
    spec = edsr_spec(scale, blocks=blocks, width=width, channels=channels)
    names = {"enlarge*/*": "enlarge*.0.*", "blocks/*": "blocks.{i}.*"}
    ours = lambda p, x: edsr(p, x, residual_scale=by)
    net, x = TorchEDSR(scale, blocks, width, channels, by), images(2, *rng.integers(1, 6, 2), channels)
    check(ours, spec, net, x, names=names, call=channels_last)


def test_published_sizes():
    """Of three channels: the paper's 1.5 and 43 million."""
    assert jnn.count_params(edsr_spec(4)) == 1_517_571
    assert jnn.count_params(edsr_spec(4, blocks=32, width=256)) == pytest.approx(43e6, rel=0.01)


@pytest.mark.parametrize(("model", "spec"), [(espcn, espcn_spec(2)), (edsr, edsr_spec(2, blocks=1, width=4))])
def test_at_first_nothing_is_added(model, spec):
    assert (model(jnn.init(spec, jax.random.key(0)), images(1, 4, 4, 3)) == 0).all()


def test_a_pixel_reaches_the_block_that_it_becomes():
    """And what is around it, as far as three kernels reach; nothing beyond."""
    p = jax.tree.map(lambda w: w + 0.1, jnn.init(espcn_spec(2, channels=1), jax.random.key(0)))
    moved = np.abs(
        jax.jvp(lambda x: espcn(p, x), (jnp.zeros((11, 11, 1)),), (jnp.zeros((11, 11, 1)).at[5, 5].set(1),))[1]
    )
    rows, columns, _ = np.nonzero(moved)
    assert {rows.min(), columns.min()} == {2 * (5 - 4)}
    assert {rows.max(), columns.max()} == {2 * (5 + 4) + 1}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: espcn_spec(2, widths=(4,)), "espcn_spec: expected a scale of 1 or more and two widths"),
        (lambda: edsr_spec(1), "edsr_spec: expected a scale of 2 or more, found 1"),
    ],
)
def test_bad_declarations_are_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
