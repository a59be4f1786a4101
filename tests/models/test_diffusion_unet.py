"""The U-Net for diffusion against torch, by its published size; its time embedding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import jnn
from jnn.models import diffusion_unet, diffusion_unet_spec, time_embedding
from jnn.parity import check
from tests.models.images import images


class Block(nn.Module):
    def __init__(self, a, b, attends):
        super().__init__()
        self.norm1, self.conv1, self.time = nn.GroupNorm(2, a), nn.Conv2d(a, b, 3, padding=1), nn.Linear(16, b)
        self.norm2, self.conv2 = nn.GroupNorm(2, b), nn.Conv2d(b, b, 3, padding=1)
        if a != b:
            self.shortcut = nn.Conv2d(a, b, 1)
        if attends:
            maps = nn.ModuleDict({name: nn.Linear(b, b, bias=name != "k") for name in "qkvo"})
            self.attend = nn.ModuleDict({"norm": nn.GroupNorm(2, b), "attention": maps})

    def forward(self, x, now):
        h = self.conv1(F.silu(self.norm1(x))) + self.time(now)[:, :, None, None]
        x = (self.shortcut(x) if hasattr(self, "shortcut") else x) + self.conv2(F.silu(self.norm2(h)))
        if not hasattr(self, "attend"):
            return x
        h = self.attend["norm"](x).flatten(2).mT
        q, k, v = (self.attend["attention"][name](h)[:, None] for name in "qkv")
        h = self.attend["attention"]["o"](F.scaled_dot_product_attention(q, k, v)[:, 0])
        return x + h.mT.reshape(x.shape)


class TorchUNet(nn.Module):
    """Of widths 4 and 6, one block of each on the way down and two on the way up, the second level attends."""

    def __init__(self):
        super().__init__()
        same = lambda c: nn.Conv2d(c, c, 3, padding=1)
        self.time = nn.ModuleDict({"fc1": nn.Linear(4, 16), "fc2": nn.Linear(16, 16)})
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.down1 = nn.ModuleDict({"block1": Block(4, 4, False), "shrink": nn.Conv2d(4, 4, 3, stride=2)})
        self.down2 = nn.ModuleDict({"block1": Block(4, 6, True)})
        self.middle = nn.ModuleDict({"block1": Block(6, 6, True), "block2": Block(6, 6, False)})
        self.up2 = nn.ModuleDict({"block1": Block(12, 6, True), "block2": Block(10, 6, True), "enlarge": same(6)})
        self.up1 = nn.ModuleDict({"block1": Block(10, 4, False), "block2": Block(8, 4, False)})
        self.norm, self.out = nn.GroupNorm(2, 4), nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, x, t):
        angles = t[:, None].to(x.dtype) * torch.tensor([1.0, 0.01], dtype=x.dtype)
        now = self.time["fc1"](torch.cat([angles.sin(), angles.cos()], 1))
        now = F.silu(self.time["fc2"](F.silu(now)))
        stem = self.stem(x)
        one = self.down1["block1"](stem, now)
        small = self.down1["shrink"](F.pad(one, (0, 1, 0, 1)))
        two = self.down2["block1"](small, now)
        h = self.middle["block2"](self.middle["block1"](two, now), now)
        h = self.up2["block1"](torch.cat([h, two], 1), now)
        h = self.up2["block2"](torch.cat([h, small], 1), now)
        h = self.up2["enlarge"](F.interpolate(h, scale_factor=2))
        h = self.up1["block1"](torch.cat([h, one], 1), now)
        h = self.up1["block2"](torch.cat([h, stem], 1), now)
        return self.out(F.silu(self.norm(h)))


def without_key_bias(spec):
    """What is added to all keys changes no softmax, so its gradient is rounding alone."""
    if not isinstance(spec, dict):
        return spec
    return {name: {"w": part["w"]} if name == "k" else without_key_bias(part) for name, part in spec.items()}


@pytest.mark.slow
def test_matches_torch():
    spec = without_key_bias(diffusion_unet_spec((4, 6), blocks=1, channels=2))
    ours = lambda p, x, t: diffusion_unet(p, x, t, key=None, groups=2)
    call = lambda module, x, t: module(x.movedim(-1, 1), t).movedim(1, -1)
    check(ours, spec, TorchUNet(), (images(2, 4, 6, 2), np.array([3, 70])), call=call, tolerance=3e-5)


def test_cifars_has_the_papers_size():
    """35.7 million parameters: appendix B of "Denoising Diffusion Probabilistic Models"."""
    assert round(jnn.count_params(diffusion_unet_spec((128, 256, 256, 256))) / 1e6, 1) == 35.7


def test_a_time_between_steps_lies_between_them():
    t = jnp.array([2.0, 2.25, 3.0])
    slow = time_embedding(t, 8)[:, 3]
    np.testing.assert_array_equal(slow[::2], time_embedding(jnp.array([2, 3]), 8)[:, 3])
    assert slow[0] < slow[1] < slow[2]
    with pytest.raises(ValueError, match=r"time_embedding: pairs of features need an even size, found 3"):
        time_embedding(t, 3)


@pytest.mark.parametrize(
    ("shape", "t", "message"),
    [
        ((2, 5, 4, 3), (2,), r"diffusion_unet: 1 halvings need a height and width of multiples of 2"),
        ((2, 4, 4, 3), (), r"diffusion_unet: expected t \(2,\), one time an image, found int32\[\]"),
    ],
)
def test_bad_input_is_one_clear_error(shape, t, message):
    p = jnn.param.abstract(diffusion_unet_spec((4, 8), blocks=1))
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda p: diffusion_unet(p, jnp.ones(shape), jnp.ones(t, jnp.int32), key=None), p)
