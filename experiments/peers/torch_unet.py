"""DDPM's U-Net of two levels in PyTorch, as `jnn.models.diffusion_unet` computes it with one block a level.

Names are those of jnn's parameters, for `jnn.parity` and `jnn.interop.torch`. Torch alone is imported: the benchmarks
have it, too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Two convolutions, the time added between them; then attention between pixels."""

    def __init__(self, a: int, b: int, time: int, attends: bool, groups: int) -> None:
        super().__init__()
        self.norm1, self.conv1, self.time = nn.GroupNorm(groups, a), nn.Conv2d(a, b, 3, padding=1), nn.Linear(time, b)
        self.norm2, self.conv2 = nn.GroupNorm(groups, b), nn.Conv2d(b, b, 3, padding=1)
        if a != b:
            self.shortcut = nn.Conv2d(a, b, 1)
        if attends:
            maps = nn.ModuleDict({name: nn.Linear(b, b, bias=name != "k") for name in "qkvo"})
            self.attend = nn.ModuleDict({"norm": nn.GroupNorm(groups, b), "attention": maps})

    def forward(self, x: Tensor, now: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x))) + self.time(now)[:, :, None, None]
        x = (self.shortcut(x) if hasattr(self, "shortcut") else x) + self.conv2(F.silu(self.norm2(h)))
        if not hasattr(self, "attend"):
            return x
        h = self.attend["norm"](x).flatten(2).mT
        q, k, v = (self.attend["attention"][name](h)[:, None] for name in "qkv")
        h = self.attend["attention"]["o"](F.scaled_dot_product_attention(q, k, v)[:, 0])
        return x + h.mT.reshape(x.shape)


class UNet(nn.Module):
    """Two levels of these widths: one block of each on the way down and two on the way up; the second level attends."""

    def __init__(self, widths: tuple[int, int], channels: int, channels_out: int, groups: int) -> None:
        super().__init__()
        a, b = widths
        block = lambda c_in, c_out, attends=False: Block(c_in, c_out, 4 * a, attends, groups)
        same = lambda c: nn.Conv2d(c, c, 3, padding=1)
        self.time = nn.ModuleDict({"fc1": nn.Linear(a, 4 * a), "fc2": nn.Linear(4 * a, 4 * a)})
        self.stem = nn.Conv2d(channels, a, 3, padding=1)
        self.down1 = nn.ModuleDict({"block1": block(a, a), "shrink": nn.Conv2d(a, a, 3, stride=2)})
        self.down2 = nn.ModuleDict({"block1": block(a, b, True)})
        self.middle = nn.ModuleDict({"block1": block(b, b, True), "block2": block(b, b)})
        self.up2 = nn.ModuleDict({"block1": block(2 * b, b, True), "block2": block(a + b, b, True), "enlarge": same(b)})
        self.up1 = nn.ModuleDict({"block1": block(a + b, a), "block2": block(2 * a, a)})
        self.norm, self.out = nn.GroupNorm(groups, a), nn.Conv2d(a, channels_out, 3, padding=1)
        self.rates = [10_000.0 ** (-2 * i / a) for i in range(a // 2)]

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        angles = t[:, None].to(x.dtype) * torch.tensor(self.rates, dtype=x.dtype)
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
