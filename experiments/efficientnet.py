"""EfficientNet-Lite0 as it was published: its weights, photographs for it, and itself as stages that are explained.

    lite0(data_dir) -> params, stats
    lite0_stages(params, stats) -> stages     a batch norm is folded into the convolution before it
    photographs(shown) -> names, pixels

Law: the stages compute what `jnn.models.efficientnet_lite` does, to rounding (`tests/experiments/test_explain.py`).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import partial

import jax
import numpy as np

from experiments.photographs import Photograph, photograph
from jnn.data import find
from jnn.explain import Rule, Stage, activation_stage, epsilon_rule, positive_rule, residual_stage
from jnn.interop.torch import load_with_stats
from jnn.layers import conv, depthwise_conv, global_avg_pool, linear
from jnn.models import batch_stats_spec, efficientnet_lite_spec
from jnn.optional import optional

FILE = "weights/efficientnet_lite0/efficientnet-lite0-57934424.pth"
BLOCKS, STRIDES = (1, 2, 2, 3, 3, 4, 1), (1, 2, 2, 2, 1, 2, 1)  # of the stages of residual blocks
SIZE, EPSILON = 224, 1e-3
POSITIVE = positive_rule()
SCIKIT_IMAGE: dict[str, Photograph] = {"cat": "chelsea", "cup": "coffee", "astronaut": "astronaut", "rocket": "rocket"}
CLASSES = {  # of ImageNet's thousand
    108: "sea anemone", 281: "tabby", 282: "tiger cat", 285: "Egyptian cat", 287: "lynx", 309: "bee", 310: "ant",
    422: "barbell", 442: "bell cote", 450: "bobsled", 483: "castle", 504: "coffee mug", 540: "drilling platform",
    560: "football helmet", 573: "go-kart", 657: "missile", 663: "monastery", 668: "mosque", 698: "palace",
    744: "projectile", 747: "punching bag", 812: "space shuttle", 904: "window screen", 925: "consomme",
    947: "mushroom", 960: "chocolate sauce", 967: "espresso", 968: "cup", 975: "lakeside", 985: "daisy",
}  # fmt: skip
NORMS = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}
NAMES = {
    "stem/conv/*": "_conv_stem.*",
    "stem/norm/*": "_bn0.*",
    "last/conv/*": "_conv_head.*",
    "last/norm/*": "_bn1.*",
    "out/*": "_fc.*",
} | {
    f"stage*/{ours}/{unit}/{part}/*": f"stage*.{theirs}.{name}.*"
    for unit, norm in NORMS.items()
    for part, name in (("conv", f"_{unit}_conv"), ("norm", norm))
    for ours, theirs in (("first", "0"), ("rest", "{i+1}"))
}


def state_dict(data_dir: str | None = None) -> dict:
    """The file's tensors, "_blocks.3." renamed "stage3.0.", and so on."""
    path = find(data_dir, FILE, how="put EfficientNet-Lite0's there")
    places = [f"stage{i}.{j}" for i, blocks in enumerate(BLOCKS, 1) for j in range(blocks)]
    named = lambda block, rest: f"{places[int(block)]}.{rest}"
    return {
        named(*name.split(".", 2)[1:]) if name.startswith("_blocks.") else name: tensor
        for name, tensor in optional("torch", "test").load(path, weights_only=True, map_location="cpu").items()
    }


def lite0(data_dir: str | None = None) -> tuple[dict, dict]:
    """Parameters, and the statistics of the batch norms."""
    spec = efficientnet_lite_spec(1000)
    return load_with_stats(spec, batch_stats_spec(spec), state_dict(data_dir), NAMES)


def lite0_stages(p: dict, stats: dict, activation=jax.nn.relu6, rule: Rule = POSITIVE) -> list[Stage]:
    """From an image (y, x, 3) to logits; the first `len(stages) - 2` make the last maps.

    Args:
      p, stats: as `lite0` gives them.
      activation: behind convolutions.
      rule: of convolutions.
    """
    unit = partial(_unit, rule=rule)
    stages = [unit(p["stem"], stats["stem"], stride=2), activation_stage(activation)]
    for i, (blocks, stride) in enumerate(zip(BLOCKS, STRIDES, strict=True), 1):
        own, seen = p[f"stage{i}"], stats[f"stage{i}"]
        stages += _block(own["first"], seen["first"], activation, unit, stride)
        for j in range(blocks - 1):
            same = jax.tree.map(lambda x, j=j: x[j], (own["rest"], seen["rest"]))
            stages.append(residual_stage(_block(*same, activation, unit, 1)))
    stages += [unit(p["last"], stats["last"]), activation_stage(activation)]
    return [*stages, Stage(lambda _, x: global_avg_pool(x)), Stage(linear, p["out"], epsilon_rule())]


def _block(p: dict, stats: dict, activation, unit, stride: int) -> list[Stage]:
    """An inverted residual, but for what its input adds."""
    act = activation_stage(activation)
    expand = [unit(p["expand"], stats["expand"]), act] if "expand" in p else []
    depthwise = unit(p["depthwise"], stats["depthwise"], stride=stride, layer=depthwise_conv)
    return [*expand, depthwise, act, unit(p["project"], stats["project"])]


def _unit(p: dict, stats: dict, *, rule: Rule, stride: int = 1, layer=conv) -> Stage:
    """A convolution with the batch norm behind it, as one map with a bias."""
    scale = p["norm"]["scale"] * jax.lax.rsqrt(stats["norm"]["var"] + EPSILON)
    folded = {
        "w": p["conv"]["w"] * scale[None, None, None],
        "b": p["norm"]["bias"] - stats["norm"]["mean"] * scale,
    }
    return Stage(partial(layer, stride=stride), folded, rule)


def photographs(shown: Sequence[str] = ("cat", "cup")) -> tuple[list[str], np.ndarray]:
    """scikit-learn's two, and those shown of scikit-image's where it is installed: (n, 224, 224, 3), as it reads them.

    Each is scaled so that its shorter side is 256, and the middle is cut out.
    """
    found: dict[str, Photograph] = {"palace": "china", "flower": "flower"}
    if importlib.util.find_spec("skimage") is not None:
        found |= {name: SCIKIT_IMAGE[name] for name in shown}
    return list(found), (np.stack([_middle(photograph(name)) for name in found.values()]) - 127) / 128


def _middle(image: np.ndarray) -> np.ndarray:
    images = optional("PIL.Image", "images")
    small = 256 / min(image.shape[:2])
    size = [round(n * small) for n in image.shape[1::-1]]
    left, top = ((n - SIZE) // 2 for n in size)
    scaled = images.fromarray(image).resize(size, images.Resampling.BICUBIC)
    return np.asarray(scaled.crop((left, top, left + SIZE, top + SIZE)), np.float32)


def label(index: int) -> str:
    """The name of a class, of those that the photographs show."""
    return CLASSES.get(index, f"class {index}")
