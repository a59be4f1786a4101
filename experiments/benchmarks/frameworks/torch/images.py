"""Networks of images in torch: MobileNetV2's blocks, ResNet-18, ViT and DDPM's U-Net."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from experiments.benchmarks import problems
from experiments.benchmarks.frameworks.torch.blocks import Block
from experiments.peers.torch_unet import UNet as TwoLevels

M = 1 - problems.STATISTICS_MOMENTUM


def unit(c_in: int, c_out: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(c_in, c_out, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(c_out, momentum=M))


class InvertedResidual(nn.Module):
    """Widened, convolved depthwise, narrowed, and added where the shape is the same."""

    def __init__(self, c_in: int, c_out: int, stride: int, wide: int):
        super().__init__()
        depthwise = unit(wide, wide, 3, stride, wide)
        self.parts = nn.Sequential(*unit(c_in, wide, 1), nn.ReLU6(), *depthwise, nn.ReLU6(), *unit(wide, c_out, 1))
        self.same = stride == 1 and c_in == c_out

    def forward(self, x):
        return x + self.parts(x) if self.same else self.parts(x)


def mobilenet() -> nn.Module:
    size, c, blocks = problems.MOBILENET, problems.MOBILENET.stem, []
    for width, stride in zip(size.widths, size.strides, strict=True):
        blocks.append(InvertedResidual(c, width, stride, size.widen * c))
        c = width
    ends = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(size.last, problems.CLASSES)]
    return nn.Sequential(*unit(3, size.stem, 3), nn.ReLU6(), *blocks, *unit(c, size.last, 1), nn.ReLU6(), *ends)


class Residual(nn.Module):
    """Two convolutions, added to the input or to what a shortcut makes of it."""

    def __init__(self, c_in: int, c_out: int, stride: int):
        super().__init__()
        self.parts = nn.Sequential(*unit(c_in, c_out, 3, stride), nn.ReLU(), *unit(c_out, c_out, 3))
        self.shortcut = unit(c_in, c_out, 1, stride) if stride > 1 or c_in != c_out else nn.Identity()

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.parts(x))


def resnet() -> nn.Module:
    size, c, blocks = problems.RESNET, problems.RESNET.widths[0], []
    for width, stride in size.blocks:
        blocks.append(Residual(c, width, stride))
        c = width
    ends = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, problems.CLASSES)]
    return nn.Sequential(*unit(3, size.widths[0], 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1), *blocks, *ends)


class ViT(nn.Module):
    """Patches and a class token, from which the logits are read."""

    def __init__(self, size: problems.Transformer, channels: int):
        super().__init__()
        self.patch = nn.Conv2d(channels, size.width, problems.PATCH, problems.PATCH)
        self.token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.positions = nn.Parameter(torch.randn(size.tokens + 1, size.width) * 0.02)
        self.blocks = nn.Sequential(*(Block(size.width, size.heads, causal=False) for _ in range(size.layers)))
        self.norm, self.out = nn.LayerNorm(size.width), nn.Linear(size.width, problems.CLASSES)

    def forward(self, x):
        h = torch.cat([self.token.expand(len(x), -1, -1), self.patch(x).flatten(2).mT], 1)
        return self.out(self.norm(self.blocks(h + self.positions)[:, 0]))


class UNet(TwoLevels):
    """The U-Net of the diffusion experiment's peer, which begins with zeros where DDPM's does; all maps have biases."""

    def __init__(self):
        channels = problems.PROBLEMS["diffusion"].shape[-1]
        super().__init__(problems.UNET_WIDTHS, channels, channels, problems.UNET_GROUPS)
        for name, part in [*self.named_modules()]:
            if name.endswith("attention"):
                part["k"] = nn.Linear(part["q"].in_features, part["q"].out_features)
            if name == "out" or name.endswith("conv2"):
                nn.init.zeros_(part.weight)
                nn.init.zeros_(part.bias)


NETWORKS = {
    "mobilenet": mobilenet,
    "resnet": resnet,
    "vit": lambda: ViT(problems.VIT, problems.PROBLEMS["vit"].shape[-1]),
    "diffusion": UNet,
}
