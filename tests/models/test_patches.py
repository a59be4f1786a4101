"""ViT, MLP-Mixer and ConvNeXt against torch and by published sizes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

import jnn
from jnn.activations import gelu
from jnn.interop.torch import load_state_dict
from jnn.layers import layer_norm
from jnn.models import (
    CONVNEXTS,
    MLP_MIXERS,
    TORCHVISION_VIT,
    VITS,
    convnext,
    convnext_spec,
    mlp_mixer,
    mlp_mixer_spec,
    vit,
    vit_spec,
)
from jnn.parity import check
from tests.models.images import channels_last, images, matching

ATTENTION = {
    f"blocks/attention/{name}/{ours}": f"blocks.{{i}}.self_attn.in_proj_{theirs}[{n}/3]"
    for n, name in enumerate("qkv")
    for ours, theirs in {"w": "weight", "b": "bias"}.items()
} | {"blocks/attention/o/*": "blocks.{i}.self_attn.out_proj.*"}
ENCODER = ATTENTION | {"blocks/up/*": "blocks.{i}.linear1.*", "blocks/down/*": "blocks.{i}.linear2.*"}
ENCODER |= {"blocks/norm*/*": "blocks.{i}.norm*.*", "class": "cls", "position/table": "table"}


def frozen(p, *path):
    """Params of which one part has no gradient: where it is 0, rounding is all of it that two libraries compute."""
    if not path:
        return jax.lax.stop_gradient(p)
    return {**p, path[0]: frozen(p[path[0]], *path[1:])}


def call_without_key_bias(module, x):
    """ViT: what is added to all keys changes no softmax."""
    others = torch.arange(24) // 8 != 1
    for layer in module.blocks if torch.is_grad_enabled() else ():
        layer.self_attn.in_proj_bias.register_hook(lambda gradient: gradient * others)
    return channels_last(module, x)


def tanh_gelu(x):
    return nn.functional.gelu(x, approximate="tanh")


class TorchViT(nn.Module):
    """Of 8 features, with a class token and learned positions, or without both."""

    def __init__(self, tokens):
        super().__init__()
        self.patch, self.norm, self.out = nn.Conv2d(2, 8, 2, 2), nn.LayerNorm(8), nn.Linear(8, 3)
        layer = lambda: nn.TransformerEncoderLayer(8, 2, 12, 0.0, tanh_gelu, batch_first=True, norm_first=True)
        self.blocks = nn.Sequential(layer(), layer())
        if tokens:
            self.cls, self.table = nn.Parameter(torch.randn(8)), nn.Parameter(torch.randn(tokens, 8))

    def forward(self, x):
        h = self.patch(x)
        rows, columns = h.shape[2:]
        h = h.flatten(2).mT
        if hasattr(self, "cls"):
            h = torch.cat([self.cls.expand(len(x), 1, 8), h], 1) + self.table
            return self.out(self.norm(self.blocks(h))[:, 0])
        rates = torch.tensor([1.0, 0.01], dtype=h.dtype)
        waves = lambda i: torch.tensor([[torch.sin(i * r), torch.cos(i * r)] for r in rates], dtype=h.dtype).flatten()
        grid = [torch.cat([waves(y), waves(x)]) for y in range(rows) for x in range(columns)]
        return self.out(self.norm(self.blocks(h + torch.stack(grid))).mean(1))


@pytest.mark.slow
@pytest.mark.parametrize("plain", [False, True])
def test_vit_matches_torch(plain):
    how = {"class_token": not plain, "learned": not plain}
    spec = vit_spec((4, 6, 2), 2, 3, layers=2, heads=2, embed=8, hidden=12, **how)
    module = TorchViT(0 if plain else 7)
    ours = lambda p, x: vit(frozen(p, "blocks", "attention", "k", "b"), x, key=None)
    check(ours, spec, module, images(3, 4, 6, 2), names=matching(ENCODER, spec), call=call_without_key_bias)


class TorchvisionViT(nn.Module):
    """As torchvision names, initializes and computes it, at toy widths."""

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln_1, self.ln_2 = nn.LayerNorm(8, eps=1e-6), nn.LayerNorm(8, eps=1e-6)
            self.self_attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.mlp = nn.Sequential(nn.Linear(8, 12), nn.GELU(), nn.Dropout(0.0), nn.Linear(12, 8), nn.Dropout(0.0))

        def forward(self, x):
            h = self.ln_1(x)
            x = x + self.self_attention(h, h, h, need_weights=False)[0]
            return x + self.mlp(self.ln_2(x))

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.pos_embedding = nn.Parameter(torch.randn(1, 7, 8))
            self.layers, self.ln = nn.Sequential(), nn.LayerNorm(8, eps=1e-6)
            for i in range(2):
                self.layers.add_module(f"encoder_layer_{i}", TorchvisionViT.Layer())

        def forward(self, x):
            return self.ln(self.layers(x + self.pos_embedding))

    def __init__(self):
        super().__init__()
        self.conv_proj, self.class_token = nn.Conv2d(2, 8, 2, 2), nn.Parameter(torch.randn(1, 1, 8))
        self.encoder, self.heads = self.Encoder(), nn.Sequential()
        self.heads.add_module("head", nn.Linear(8, 3))

    def forward(self, x):
        h = self.conv_proj(x).flatten(2).mT
        return self.heads(self.encoder(torch.cat([self.class_token.expand(len(x), 1, 8), h], 1))[:, 0])


def test_torchvisions_weights_are_read_and_give_its_logits():
    spec = vit_spec((4, 6, 2), 2, 3, layers=2, heads=2, embed=8, hidden=12)
    torch.manual_seed(0)
    module, x = TorchvisionViT(), images(3, 4, 6, 2)
    for part in module.modules():
        if isinstance(part, nn.LayerNorm | nn.Linear):
            nn.init.normal_(part.bias)
    params = load_state_dict(spec, module.state_dict(), TORCHVISION_VIT)
    exact = {"norm": partial(layer_norm, epsilon=1e-6), "activation": partial(gelu, approximate=False)}
    ours = jax.jit(lambda p, x: vit(p, x, key=None, **exact))(params, x)
    np.testing.assert_allclose(ours, channels_last(module, torch.tensor(x)).detach(), rtol=1e-4, atol=1e-5)


class TorchMixer(nn.Module):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            two = lambda d, hidden: nn.ModuleDict({"up": nn.Linear(d, hidden), "down": nn.Linear(hidden, d)})
            self.norm1, self.tokens, self.norm2, self.channels = nn.LayerNorm(8), two(6, 5), nn.LayerNorm(8), two(8, 7)

        def forward(self, x):
            mlp = lambda p, x: p["down"](tanh_gelu(p["up"](x)))
            x = x + mlp(self.tokens, self.norm1(x).mT).mT
            return x + mlp(self.channels, self.norm2(x))

    def __init__(self):
        super().__init__()
        self.patch, self.norm, self.out = nn.Conv2d(2, 8, 2, 2), nn.LayerNorm(8), nn.Linear(8, 3)
        self.blocks = nn.Sequential(self.Block(), self.Block())

    def forward(self, x):
        return self.out(self.norm(self.blocks(self.patch(x).flatten(2).mT)).mean(1))


@pytest.mark.slow
def test_mlp_mixer_matches_torch():
    spec = mlp_mixer_spec((4, 6, 2), 2, 3, layers=2, embed=8, tokens_hidden=5, hidden=7)
    module, bias = TorchMixer(), ("blocks", "tokens", "down", "b")  # the norms take out what all channels share
    for block in module.blocks:
        block.tokens["down"].bias.requires_grad_(False)
    ours = lambda p, x: mlp_mixer(frozen(p, *bias), x, key=None)
    check(ours, spec, module, images(3, 4, 6, 2), names={"blocks/*": "blocks.{i}.*"}, call=channels_last)


class Last(nn.LayerNorm):
    """Layer norm of the channels of (b, c, y, x)."""

    def forward(self, x):
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class TorchConvNeXt(nn.Module):
    class Block(nn.Module):
        def __init__(self, c):
            super().__init__()
            self.depthwise, self.norm = nn.Conv2d(c, c, 7, padding=3, groups=c), nn.LayerNorm(c, 1e-6)
            self.up, self.down = nn.Linear(c, 4 * c), nn.Linear(4 * c, c)
            self.layer_scale = nn.Parameter(torch.rand(c))

        def forward(self, x):
            h = self.norm(self.depthwise(x).movedim(1, -1))
            return x + (self.down(nn.functional.gelu(self.up(h))) * self.layer_scale).movedim(-1, 1)

    def __init__(self):
        super().__init__()
        down = lambda conv, norm: nn.ModuleDict({"conv": conv, "norm": norm})
        stage = lambda down, *blocks: nn.ModuleDict({"down": down, "blocks": nn.Sequential(*blocks)})
        block = self.Block
        self.stage1 = stage(down(nn.Conv2d(3, 4, 4, 4), Last(4, 1e-6)), block(4), block(4))
        self.stage2 = stage(down(nn.Conv2d(4, 6, 2, 2), Last(4, 1e-6)), block(6))
        self.norm, self.out = nn.LayerNorm(6, 1e-6), nn.Linear(6, 5)

    def forward(self, x):
        x = self.stage1["down"]["norm"](self.stage1["down"]["conv"](x))
        x = self.stage2["down"]["conv"](self.stage2["down"]["norm"](self.stage1["blocks"](x)))
        return self.out(self.norm(self.stage2["blocks"](x).mean((2, 3))))


@pytest.mark.slow
def test_convnext_matches_torch():
    spec = convnext_spec((2, 1), (4, 6), 5)
    names = {"stage*/blocks/*": "stage*.blocks.{i}.*"}
    check(partial(convnext, key=None), spec, TorchConvNeXt(), images(2, 24, 16, 3), names=names, call=channels_last)


IMAGENET = ((224, 224, 3), 16, 1000)


def test_published_sizes():
    """torchvision's documentation; of MLP-Mixer table 1 of the paper, in millions and without the head."""
    vits = {name: jnn.count_params(vit_spec(*IMAGENET, **VITS[name])) for name in ("vit_base", "vit_large")}
    assert vits == {"vit_base": 86_567_656, "vit_large": 304_326_632}
    assert {name: jnn.count_params(convnext_spec(**sizes, classes=1000)) for name, sizes in CONVNEXTS.items()} == {
        "convnext_tiny": 28_589_128,
        "convnext_small": 50_223_688,
        "convnext_base": 88_591_464,
        "convnext_large": 197_767_336,
    }
    for (name, sizes), millions in zip(MLP_MIXERS.items(), (18, 59, 207), strict=True):
        spec = mlp_mixer_spec(*IMAGENET, **sizes)
        assert (jnn.count_params(spec) - jnn.count_params(spec["out"])) // 1_000_000 == millions, name


def test_the_mean_of_patches_takes_images_of_any_size():
    spec = vit_spec((4, 4, 1), 2, 3, layers=1, heads=2, embed=8, class_token=False, learned=False)
    large = jax.ShapeDtypeStruct((5, 8, 12, 1), jnp.float32)
    assert jax.eval_shape(lambda p, x: vit(p, x, key=None), jnn.param.abstract(spec), large).shape == (5, 3)


@pytest.mark.slow
def test_layer_scale_of_zero_passes_x_on():
    p = jnn.init(convnext_spec((2,), (4,), 3), jax.random.key(0))
    x, none = images(2, 8, 8, 3), {**p["stage1"]["blocks"], "layer_scale": jnp.zeros((2, 4))}
    without = {**p, "stage1": {**p["stage1"], "blocks": jax.tree.map(lambda x: x[:1], none)}}
    silent = {**p, "stage1": {**p["stage1"], "blocks": none}}
    np.testing.assert_array_equal(convnext(silent, x, key=None), convnext(without, x, key=None))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: vit_spec((4, 4, 1), (2, 2), 3, **VITS["vit_tiny"]),
            r"one number of pixels, such as 16, found \(2, 2\)",
        ),
        (lambda: vit_spec((5, 4, 1), 2, 3, **VITS["vit_tiny"]), r"vit_spec: expected image .* of whole patches of 2"),
        (
            lambda: mlp_mixer_spec((5, 4, 1), 2, 3, **MLP_MIXERS["mlp_mixer_base"]),
            r"mlp_mixer_spec: expected image .* patches of 2",
        ),
        (lambda: convnext_spec((2, 2), (4,), 3), r"convnext_spec: expected a depth of 1 or more and a width"),
    ],
)
def test_bad_declarations_are_one_clear_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_another_number_of_patches_is_one_clear_error():
    p = jnn.param.abstract(vit_spec((4, 4, 1), 2, 3, layers=1, heads=2, embed=8))
    with pytest.raises(ValueError, match=r"vit: found 4 x 2 patches, 9 tokens; its params have 5 positions"):
        jax.eval_shape(lambda p, x: vit(p, x, key=None), p, jnp.ones((2, 8, 4, 1)))
