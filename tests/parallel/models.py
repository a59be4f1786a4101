"""Three small models that the files here train, and how to look at what was compiled."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import jnn
from jnn.axes import constrain, gather
from jnn.layers import batch_norm, batch_norm_spec, batch_norm_stats_spec, conv, conv_spec, linear, linear_spec
from jnn.losses import cross_entropy
from jnn.models import mlp, mlp_spec, transformer, transformer_spec
from jnn.train import LossOutput


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A model as a parallel step sees it: its specs, its loss, and a batch of so many rows."""

    name: str
    spec: Any
    loss: Callable[..., LossOutput]
    batch: Callable[..., dict[str, np.ndarray]]
    stats: Any = None


def mlp_loss(params, batch, ctx):
    logits = mlp(params, batch["x"], key=ctx.key, rate=0.2)
    return LossOutput(cross_entropy(logits, batch["y"]), batch["weight"])


def images_loss(params, batch, ctx):
    """A convolution, batch norm, a dense layer."""
    h = constrain(conv(gather(params["conv"], "conv"), batch["x"]), "y", "x", "channels")
    h, new = batch_norm(params["norm"], h, ctx.stats, weight=batch["weight"])
    logits = linear(params["out"], jax.nn.relu(h).mean((-3, -2)))
    return LossOutput(cross_entropy(logits, batch["y"]), batch["weight"], stats=new)


def text_loss(params, batch, ctx, rate=0.2):
    logits = transformer(params, batch["x"], key=ctx.key, rate=rate)
    return LossOutput(cross_entropy(logits, batch["y"]), batch["weight"])


def rows(rng, n, x, y):
    """Rows and labels with uneven weights, the last row padding."""
    weight = rng.uniform(0.5, 2, n).astype(np.float32)
    weight[-1] = 0
    return {"x": x, "y": y.astype(np.int32), "weight": weight}


def vectors(n=16, seed=0):
    rng = np.random.default_rng(seed)
    return rows(rng, n, rng.normal(size=(n, 8)).astype(np.float32), rng.integers(0, 4, n))


def images(n=16, seed=0):
    rng = np.random.default_rng(seed)
    return rows(rng, n, rng.normal(size=(n, 6, 6, 3)).astype(np.float32), rng.integers(0, 4, n))


def text(n=16, seed=0, time=6):
    rng = np.random.default_rng(seed)
    tokens = (rng.integers(0, 16, (n, 1)) + np.arange(time + 1)) % 16
    return rows(rng, n, tokens[:, :-1].astype(np.int32), tokens[:, 1:])


def decoder(layers=2, embed=16, hidden=32):
    return transformer_spec(16, 8, layers=layers, heads=4, embed=embed, hidden=hidden)


MLP = Model("mlp", mlp_spec((8, 16, 16, 4)), mlp_loss, vectors)
CNN = Model(
    "cnn",
    {
        "conv": conv_spec(3, 8, (3, 3), bias=False),
        "norm": batch_norm_spec(8),
        "out": linear_spec(8, 4, axes=("channels", "classes")),
    },
    images_loss,
    images,
    batch_norm_stats_spec(8),
)
TRANSFORMER = Model("transformer", decoder(), text_loss, text)
MODELS = [MLP, CNN, TRANSFORMER]

KINDS = "all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute"


@dataclasses.dataclass(frozen=True)
class Collective:
    """One collective of compiled HLO: its kind, the shapes it makes, and the computation that it is in."""

    kind: str
    shapes: tuple[tuple[int, ...], ...]
    inside: str


def collectives(compiled) -> list[Collective]:
    """Those of a compiled program, in order; `inside` is "ENTRY" for what runs once."""
    found, inside = [], ""
    for line in compiled.as_text().splitlines():
        if re.match(r"\S.*\{$", line):
            inside = line.split()[0]
        if match := re.search(rf" = (.*?) ({KINDS})(?:-start)?\(", line):
            shapes = re.findall(r"\w+\[([\d,]*)\]", match[1])
            sizes = tuple(tuple(map(int, filter(None, shape.split(",")))) for shape in shapes)
            found.append(Collective(match[2], sizes, inside))
    return found


def of_gradients(compiled, batch) -> list[Collective]:
    """Those collectives that do more than give every device a real row of the batch, to overwrite padding by."""
    row = {(), *(x.shape[1:] for x in batch.values())}
    return [found for found in collectives(compiled) if not row >= set(found.shapes)]


def assert_close(a, b, **tolerance):
    a, b = jnn.flatten(a), jnn.flatten(b)
    assert a.keys() == b.keys()
    for path in a:
        np.testing.assert_allclose(a[path], b[path], err_msg=path, **(tolerance or {"rtol": 2e-5, "atol": 2e-5}))


def assert_same(a, b):
    """Bit for bit."""
    a, b = jnn.flatten(a), jnn.flatten(b)
    assert a.keys() == b.keys()
    for path in a:
        assert np.array_equal(a[path], b[path]), path


def first(devices: int) -> list[jax.Device]:
    return jax.devices()[:devices]
