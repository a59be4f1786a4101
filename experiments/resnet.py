"""CIFAR-10 with a residual network: ResNet-20, or a wide one; small images first.

Data      50,000 + 10,000 colour photographs, 32x32, 10 classes ("Learning Multiple Layers of Features from Tiny
          Images", Krizhevsky, 2009); 5,000 of the training set validate.
Network   ResNet-20 ("Deep Residual Learning for Image Recognition", He et al., 2015): three stages of 3 blocks, 16, 32
          and 64 wide; shortcuts that stride are 1x1 convolutions, and each branch ends with a scale of 0 at first.
          With --network wide, norm and activation first, without dropout ("Wide Residual Networks", Zagoruyko and
          Komodakis, 2016): WRN-(6 blocks + 4)-(width / 16).
Training  Nesterov SGD, batches of 128, rates up to 0.4 and down along a cosine, decay 5e-4; crops and flips on the
          device; the first steps on images of half the size.
Run       python -m experiments.resnet
Measured  one seed: test accuracy 0.834 (`cifar10`, two convolutions: 0.709), seven to eight and a half minutes on two
          CPU cores. Compared, five seeds of --steps 300 --half-steps 300 --warmup 60: 0.497+-0.005, the same in PyTorch
          0.493+-0.007; 46 and 19 seconds of one core, jnn's with its compilation.
One GPU   The paper's recipe, for its 91.25 %: --half-steps 0 --steps 64000 --schedule steps --warmup 0
          --learning-rate 0.1 --weight-decay 1e-4 --nesterov no. A WRN-16-4, 40 epochs, for about 94 %: --network wide
          --blocks 2 --width 64 --half-steps 0 --steps 14040 --warmup 1400 --smoothing 0.1 --compute-dtype bfloat16.
          Neither was measured here.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import datasets, pictures, small_images
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.small_images import CIFAR10, Halved, augment
from experiments.training import classified, evaluate, train
from jnn.data import Batches, in_order
from jnn.models import batch_stats_spec, preactivation_resnet, preactivation_resnet_spec, resnet, resnet_spec


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """CIFAR-10 with a residual network."""

    steps: int = 3400
    workdir: str = "runs/resnet"
    network: Literal["resnet", "wide"] = "resnet"  # wide: norm and activation before each convolution
    blocks: int = 3  # of each of three stages, two convolutions each
    width: int = 16  # of the first stage; the others are twice and four times as wide
    half_steps: int = 2400  # steps on images of 16x16; where they are all, so are the test's
    batch_size: int = 128
    learning_rate: float = 0.4
    warmup: int = 400
    schedule: Literal["cosine", "steps"] = "cosine"  # steps: a tenth after half of all steps, a hundredth after 3/4
    nesterov: Literal["yes", "no"] = "yes"
    weight_decay: float = 5e-4
    smoothing: float = 0.0
    compute_dtype: Literal["float32", "bfloat16"] = "float32"  # of products in training


def network_spec(config: Config) -> dict:
    depths, widths = (config.blocks,) * 3, [config.width * n for n in (1, 2, 4)]
    if config.network == "wide":
        return preactivation_resnet_spec(depths, widths, len(CIFAR10))
    return resnet_spec(depths, widths, len(CIFAR10), stem=config.width, kernel=3)


def network(params: dict, x: jax.Array, stats: Any, config: Config) -> tuple[jax.Array, Any]:
    """Images (b, size, size, 3) in 0..255 to logits (b, 10), and the statistics used."""
    model = preactivation_resnet if config.network == "wide" else resnet
    return model(params, datasets.scale_images(x).astype(params["out"]["w"].dtype), stats, key=None)


def loss(params, batch, ctx, config):
    """Cross-entropy; in training of another view of each image, by statistics of the whole batch: no row is padding."""
    x = batch["x"] if ctx.key is None else augment(batch["x"], ctx.key)
    logits, seen = network(params, x, ctx.stats, config)
    output = classified(logits, batch)._replace(stats=seen)
    if ctx.key is None:
        return output
    return output._replace(values=jnn.losses.cross_entropy(logits, batch["y"], smoothing=config.smoothing))


def schedule(config: Config) -> optax.Schedule:
    """Learning rate: a warm-up from 0; then down to 0 along a cosine, or in two steps of a tenth."""
    if config.schedule == "cosine":
        return optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, config.warmup, config.steps)
    stairs = optax.piecewise_constant_schedule(config.learning_rate, {config.steps * n // 4: 0.1 for n in (2, 3)})
    return lambda step: stairs(step) * jnp.minimum(1.0, step / config.warmup if config.warmup else 1.0)


def optimizer(config: Config, spec: dict) -> optax.GradientTransformation:
    """SGD with momentum; the decay is of weights alone, not of scales and biases."""
    decay = optax.add_decayed_weights(config.weight_decay, mask=jnn.weight_mask(spec))
    return optax.chain(decay, optax.sgd(schedule(config), momentum=0.9, nesterov=config.nesterov == "yes"))


def prepared(config: Config) -> datasets.Data:
    """The data; where no step sees whole images, validation and test do not either."""
    data = datasets.cifar10(config.data_dir)
    if config.half_steps < config.steps:
        return data
    small = [part | {"x": small_images.halve(part["x"])} for part in (data.validation, data.test)]
    return data._replace(validation=small[0], test=small[1])


def experiment(config: Config) -> Outcome:
    """Trains, validates, and tests at the end."""
    training, validation, test, _ = prepared(config)
    spec, own = network_spec(config), functools.partial(loss, config=config)
    batches = Batches(training, config.batch_size, seed=config.seed, drop_last=True)
    state, history = train(
        config,
        spec,
        own,
        optimizer(config, spec),
        Halved(batches, config.half_steps),
        every=500,
        validation=in_order(validation, 500),
        stats=batch_stats_spec(spec),
        compute_dtype=None if config.compute_dtype == "float32" else jnp.dtype(config.compute_dtype),
    )
    tested = evaluate(own, state, in_order(test, 500))
    shown = {name: test[name][:2000] for name in ("x", "y")}
    logits = jax.jit(lambda x: network(state.params, x, state.stats, config)[0])
    sure = lambda: np.asarray(jax.nn.softmax(logits(jnp.asarray(shown["x"]))))
    stem = state.params["stem"].get("conv", state.params["stem"])["w"]
    return Outcome(
        params=state.params,
        metrics={"test_accuracy": float(tested["accuracy"].value()), "test_loss": float(tested["loss"].value())},
        history=history,
        figures={
            "The test set: true class by row, predicted by column.": lambda: pictures.confusion(
                tested["confusion"].matrix, CIFAR10
            ),
            "How many of each class are right, and what it is most often taken for.": lambda: small_images.by_class(
                tested["confusion"].matrix, CIFAR10
            ),
            "The surest mistakes among 2,000 test images.": lambda: small_images.confident_mistakes(
                shown["x"], shown["y"], sure(), CIFAR10
            ),
            "The first layer's filters, and how strongly they answer to images.": lambda: small_images.filters(
                np.asarray(stem), shown["x"][:6]
            ),
        },
    )


if __name__ == "__main__":
    launch(experiment, Config)
