"""Residual networks against torch, by published sizes, with real weights; statistics given back."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from torch import nn

import jnn
from jnn.data import data_root
from jnn.interop.torch import load_with_stats
from jnn.models import (
    RESNETS,
    TORCHVISION_RESNET,
    batch_stats_spec,
    preactivation_resnet,
    preactivation_resnet_spec,
    resnet,
    resnet_spec,
)
from tests.models.images import channels_last, check_with_stats, images, trained

SILENT = partial(resnet, key=None)
PUBLISHED = {  # torchvision's documentation
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnext50_32x4d": 25_028_904,
    "wide_resnet50_2": 68_883_240,
}


class Residual(nn.Module):
    """A block as torchvision names its parts."""

    def __init__(self, c_in, c_out, stride, bottleneck, groups):
        super().__init__()
        inner = c_out // bottleneck if bottleneck else c_out
        sizes = [(c_in, inner, 1), (inner, inner, 3), (inner, c_out, 1)] if bottleneck else [(c_in, c_out, 3)]
        sizes = sizes if bottleneck else [*sizes, (c_out, c_out, 3)]
        self.n, strides = len(sizes), [1, stride, 1] if bottleneck else [stride, 1]
        for i, ((a, b, k), s) in enumerate(zip(sizes, strides, strict=True), 1):
            grouped = groups if k == 3 else 1
            self.add_module(f"conv{i}", nn.Conv2d(a, b, k, s, k // 2, groups=grouped, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm2d(b))
        if stride > 1 or c_in != c_out:
            self.downsample = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x):
        h = x
        for i in range(1, self.n + 1):
            h = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(h))
            h = torch.relu(h) if i < self.n else h
        return torch.relu(h + (self.downsample(x) if hasattr(self, "downsample") else x))


class TorchResNet(nn.Module):
    def __init__(self, depths, widths, classes, bottleneck=None, groups=1, stem=64, kernel=7):
        super().__init__()
        self.conv1 = nn.Conv2d(3, stem, kernel, 2 if kernel == 7 else 1, kernel // 2, bias=False)
        self.bn1, self.stages, self.pool = nn.BatchNorm2d(stem), len(depths), kernel == 7
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            before = widths[i - 1] if i else stem
            first = Residual(before, width, 2 if i else 1, bottleneck, groups)
            rest = [Residual(width, width, 1, bottleneck, groups) for _ in range(depth - 1)]
            self.add_module(f"layer{i + 1}", nn.Sequential(first, *rest))
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = nn.functional.max_pool2d(x, 3, 2, 1) if self.pool else x
        for i in range(self.stages):
            x = getattr(self, f"layer{i + 1}")(x)
        return self.fc(x.mean((2, 3)))


class Preactivation(nn.Module):
    """A block of a wide residual network, its parts named as ours."""

    def __init__(self, c_in, c_out, stride):
        super().__init__()
        unit = lambda a, s: nn.ModuleDict({"norm": nn.BatchNorm2d(a), "conv": nn.Conv2d(a, c_out, 3, s, 1, bias=False)})
        self.unit1, self.unit2 = unit(c_in, stride), unit(c_out, 1)
        if c_in != c_out:
            self.shortcut = nn.Conv2d(c_in, c_out, 1, stride, bias=False)

    def forward(self, x):
        h = torch.relu(self.unit1["norm"](x))
        y = self.unit2["conv"](torch.relu(self.unit2["norm"](self.unit1["conv"](h))))
        return y + (self.shortcut(h) if hasattr(self, "shortcut") else x)


class TorchWide(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 1, 1, bias=False)
        self.stage1 = nn.Sequential(Preactivation(4, 6, 1), Preactivation(6, 6, 1), Preactivation(6, 6, 1))
        self.stage2 = nn.Sequential(Preactivation(6, 8, 2), Preactivation(8, 8, 1), Preactivation(8, 8, 1))
        self.norm, self.out = nn.BatchNorm2d(8), nn.Linear(8, 5)

    def forward(self, x):
        return self.out(torch.relu(self.norm(self.stage2(self.stage1(self.stem(x))))).mean((2, 3)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "sizes",
    [
        {"depths": (1, 3), "widths": (8, 16), "bottleneck": 2, "groups": 2, "stem": 4},
        {"depths": (2, 1), "widths": (4, 6), "stem": 4, "kernel": 3},
        {"depths": (3, 2, 2), "widths": (8, 16, 24), "bottleneck": 4, "stem": 8},
    ],
    ids=["resnext", "basic", "bottleneck"],
)
def test_matches_torch(sizes):
    module = TorchResNet(**sizes, classes=5)
    check_with_stats(SILENT, resnet_spec(**sizes, classes=5), module, images(2, 20, 19, 3), TORCHVISION_RESNET)


def test_torchvisions_names_are_those_of_parameters_and_of_running_statistics():
    sizes = {"depths": (1, 3), "widths": (4, 8), "bottleneck": 2, "stem": 4, "classes": 5}
    spec, module, x = resnet_spec(**sizes), trained(TorchResNet(**sizes)).eval(), images(2, 12, 12, 3)
    params, stats = load_with_stats(spec, batch_stats_spec(spec), module.state_dict(), TORCHVISION_RESNET)
    assert (jax.tree.structure(params), jax.tree.structure(stats)) == (
        jax.tree.structure(spec),
        jax.tree.structure(batch_stats_spec(spec)),
    )
    with torch.no_grad():
        theirs = channels_last(module, torch.tensor(x)).numpy()
    ours, _ = jax.jit(SILENT)(params, x, stats)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.slow
def test_preactivation_matches_torch():
    spec = preactivation_resnet_spec((3, 3), (6, 8), 5, stem=4)
    model = lambda p, x, stats: preactivation_resnet(p, x, stats, key=None)
    names = {"stage*/first/*": "stage*.0.*", "stage*/rest/*": "stage*.{i+1}.*"}
    check_with_stats(model, spec, TorchWide(), images(2, 9, 10, 3), names)


@pytest.mark.parametrize("name", RESNETS)
def test_published_sizes(name):
    assert jnn.count_params(resnet_spec(**RESNETS[name], classes=1000)) == PUBLISHED[name]


def test_sizes_of_small_images():
    """0.27 million parameters of ResNet-20, He et al., 2016, table 6; 36.5 of WRN-28-10, Zagoruyko, table 4."""
    resnet20 = resnet_spec((3, 3, 3), (16, 32, 64), 10, stem=16, kernel=3)
    assert round(jnn.count_params(resnet20) / 1e6, 2) == 0.27
    assert round(jnn.count_params(preactivation_resnet_spec((4,) * 3, (160, 320, 640), 10)) / 1e6, 1) == 36.5


@pytest.mark.slow
def test_imagenets_image_is_seen_seven_by_seven():
    spec = resnet_spec(**RESNETS["resnet50"], classes=1000)
    images = jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.float32)
    hlo = jax.jit(SILENT).lower(jnn.param.abstract(spec), images).as_text()
    assert "2x7x7x2048x" in hlo
    assert jax.eval_shape(SILENT, jnn.param.abstract(spec), images)[0].shape == (2, 1000)


def test_statistics_given_back_give_the_same_output():
    spec = resnet_spec((1, 3), (4, 8), 5, stem=4, kernel=3)
    p = jax.tree.map(lambda x: x + 0.1, jnn.init(spec, jax.random.key(0)))
    run, x = jax.jit(SILENT), images(4, 6, 6, 3)
    logits, seen = run(p, x)
    assert jnn.flatten(seen).keys() >= jnn.flatten(batch_stats_spec(spec)).keys()
    again, _ = run(p, x[:2], seen)
    np.testing.assert_allclose(again, logits[:2], rtol=1e-4, atol=1e-5)


def test_a_stage_without_width_is_one_clear_error():
    with pytest.raises(ValueError, match=r"resnet_spec: expected a depth of 1 or more and a width for each stage"):
        resnet_spec((2, 2), (8,), 5)


@pytest.fixture(scope="module")
def weights():
    path = data_root() / "weights" / "resnet50_augnet" / "model.pth"
    if not path.is_file():
        pytest.skip(f"weights/resnet50_augnet/model.pth is not in {data_root()}; set JNN_DATA to where it is.")
    found = torch.load(path, weights_only=True, map_location="cpu")
    return {name.removeprefix("module.pre."): x for name, x in found.items()}


@pytest.mark.slow
def test_a_real_resnet50_gives_torchs_outputs(weights):
    spec = resnet_spec(**RESNETS["resnet50"], classes=768)
    params, stats = load_with_stats(spec, batch_stats_spec(spec), weights, TORCHVISION_RESNET)
    module = TorchResNet(**RESNETS["resnet50"], classes=768).eval()
    module.load_state_dict(weights)
    x = images(2, 224, 224, 3)
    with torch.no_grad():
        theirs = module(torch.tensor(x).movedim(-1, 1)).numpy()
    ours, _ = jax.jit(SILENT)(params, x, stats)
    np.testing.assert_allclose(ours, theirs, atol=1e-3 * np.abs(theirs).max())


@pytest.mark.slow
def test_it_trains_and_is_evaluated_by_its_running_statistics():
    """Whether a bar lies across or stands up, with micro-batches and padded rows."""
    rng, labels = np.random.default_rng(0), np.arange(264) % 2
    pictures = rng.normal(0, 0.3, (264, 6, 6, 1)).astype(np.float32)
    for i, picture in enumerate(pictures):
        picture[i // 2 % 6 if labels[i] else (slice(None), i // 2 % 6)] += 1
    data = jnn.data.Batches({"x": pictures[:200], "y": labels[:200]}, 32, seed=0)
    held_out = jnn.data.in_order({"x": pictures[200:], "y": labels[200:]}, 48)  # the last one is padded

    def loss(params, batch, ctx):
        logits, seen = resnet(params, batch["x"], ctx.stats, key=None, weight=batch["weight"])
        metrics = {"accuracy": jnn.metrics.accuracy(logits, batch["y"], weight=batch["weight"])}
        values = jnn.losses.cross_entropy(logits, batch["y"])
        return jnn.train.LossOutput(values, batch["weight"], metrics=metrics, stats=seen)

    key, adam, spec = jax.random.key(0), optax.adam(1e-2), resnet_spec((3,), (8,), 2, stem=8, kernel=3, channels=1)
    stats = jnn.init(batch_stats_spec(spec), key)
    state = jnn.train.create_state(jnn.init(spec, key), adam, stats=stats)
    step = jnn.train.make_step(loss, adam, key, microbatches=2)
    state, _ = jnn.train.fit(step, state, data, steps=60, every=60)
    found = jnn.train.evaluate_on(jnn.train.make_eval(loss), held_out, state)
    assert found["accuracy"].value() > 0.9
