"""Why a network says what it says: ten explanations side by side, and whether any of them can be trusted.

Data      scikit-learn's digits and diabetes patients, three parts each, of which the last is explained; two photographs
          that scikit-learn ships, and two of scikit-image's where it is installed.
Networks  digits: conv 1-16-32, 3x3, ReLU, 2x2 max pooling, dense 64, 10. Patients: 10-32-16-1. Photographs:
          EfficientNet-Lite0 as published (`weights/efficientnet_lite0/`; pip install 'jnn[experiments,images,test]').
Methods   `jnn.explain`, which names the papers. LRP takes z+ in convolutions and epsilon in linear maps.
Measures  the area under the deletion curve (small is good) and the insertion curve (large is good) of the class's
          probability ("RISE", Petsiuk et al., 2018); the rank correlation of a map with that of the same network, all
          of its weights drawn anew ("Sanity Checks for Saliency Maps", Adebayo et al., 2018; near 0 is good); what is
          missing from completeness; the mean error against exact Shapley values, as a share of their mean size.
          TCAV (Kim et al., 2018): digits with a bar across the top against the same without.
Training  Adam, cosine from 2e-3 to 0, batches of 64; the digits shifted by up to one pixel.
Run       python -m experiments.explain [--networks digits patients photographs]
Measured  one seed, 3 minutes of one CPU core; all rows are in docs/explain.md. Digits (accuracy 0.981): occlusion and
          Kernel SHAP have the best curves (deletion 0.09 and 0.10, insertion 0.88 and 0.83). With weights drawn anew,
          saliency, SmoothGrad and Grad-CAM have a rank correlation of 0.11, 0.11 and 0.01, guided gradients 0.47, LRP
          and what multiplies by the input over 0.9. Patients: off the exact values by 0.05 are 256 coalitions of
          Kernel SHAP, by 0.33 GradientSHAP. Photographs: Grad-CAM and LRP have the best insertion, 0.75 and 0.73.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import jnn
from experiments import datasets, heatmaps
from experiments.attributions import Network, cnn_stages, explained, methods, sanity, tcav
from experiments.efficientnet import label, lite0, lite0_stages, photographs
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.training import classified, evaluate, named, train
from jnn import explain
from jnn.data import Batches, in_order, random_crop
from jnn.models import cnn, cnn_spec, mlp, mlp_spec
from jnn.train import LossOutput


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Why a network says what it says."""

    steps: int = 600
    workdir: str = "runs/explain"
    networks: tuple[Literal["digits", "patients", "photographs"], ...] = ("digits", "patients", "photographs")
    batch_size: int = 64
    learning_rate: float = 2e-3
    channels: tuple[int, ...] = (16, 32)
    dense: int = 64
    hidden: tuple[int, ...] = (32, 16)
    examples: int = 64  # digits and patients that are explained
    samples: int = 24  # of whatever is averaged; Kernel SHAP draws eight times as many


Part = tuple[Any, dict[str, Any], list[dict[str, float]], dict[str, Callable[[], Figure]]]  # as in an Outcome


def experiment(config: Config) -> Outcome:
    """One network after another: trained, or read; then explained."""
    params, metrics, history, figures = {}, {}, [], {}
    for name in config.networks:
        own, measured, rows, drawn = {"digits": digits, "patients": patients, "photographs": lite}[name](config)
        params[name] = own
        metrics |= {f"{name}_{what}": value for what, value in measured.items()}
        history += named(rows, name)
        figures |= drawn
    return Outcome(params, metrics, history, figures)


def digits(config: Config) -> Part:
    """A small CNN, what explains it, and which of that its weights matter for; and a concept."""
    data = datasets.digits()
    spec = cnn_spec((8, 8, 1), config.channels, config.dense, 10)

    def loss(params, batch, ctx):
        x = batch["x"] if ctx.key is None else random_crop(batch["x"], padding=1, key=ctx.key)
        return classified(cnn(params, x, key=None), batch)

    p, history, tested = fitted(config, "digits", spec, loss, data)
    net = Network(cnn_stages, jax.nn.relu, maps=5, window=2, stride=1, grid=4, noise=0.15, samples=config.samples)
    x = jnp.asarray(data.test["x"][: config.examples])
    every = methods(net)
    target, maps, rows = explained(net, every, p, x, seed=config.seed)
    parts = ["head/fc1", "head/fc0", *sorted((name for name in p if name != "head"), reverse=True)]
    cascade = explain.randomized_weights(p, spec, jax.random.key(config.seed + 1), parts)
    alike = {name: sanity(method, x, target, p, cascade, seed=config.seed) for name, method in every.items()}
    rows["randomized"] = [float(found[parts[-1]]) for found in alike.values()]
    tcav = concept(config, p, data)
    shown = slice(0, 8)
    figures = {
        "Digits: red speaks for the class that the network sees, blue against it.": lambda: heatmaps.maps(
            np.asarray(x[shown, ..., 0]),
            {name: found[shown] for name, found in maps.items()},
            [f"seen: {y}" for y in target[shown]],
        ),
        "Rank correlation of maps with those of weights drawn anew, from the output down.": lambda: heatmaps.curves(
            {name: [1.0, *found.values()] for name, found in alike.items()}, ["trained", *parts], "rank correlation"
        ),
        "TCAV: how often a score grows towards a bar across the top, or towards none; spread of ten vectors.": lambda: (
            heatmaps.bars(
                {name: shares.mean(0) for name, shares in tcav.items()},
                [str(i) for i in range(10)],
                "share of held-out digits",
                {name: shares.std(0) for name, shares in tcav.items()},
            )
        ),
    }
    measured = {"accuracy": float(tested["accuracy"].value())} | rows
    return p, measured | {f"tcav_{name}": shares.mean(0) for name, shares in tcav.items()}, history, figures


def patients(config: Config) -> Part:
    """A perceptron of ten features, few enough for exact Shapley values, and how near to these others are."""
    data = datasets.diabetes()

    def loss(params, batch, ctx):
        return LossOutput(jnn.losses.squared_error(mlp(params, batch["x"], key=None), batch["y"]), batch["weight"])

    p, history, tested = fitted(config, "patients", mlp_spec((10, *config.hidden, 1)), loss, data)
    f, rows = (lambda x: mlp(p, x, key=None)[0]), jnp.asarray(data.train["x"][:16])  # what others are like
    x, key = jnp.asarray(data.test["x"][: config.examples]), jax.random.key(config.seed)
    over = lambda one: lambda x: jax.vmap(lambda row: one(x, row))(rows).mean(0)
    kernel = lambda n: over(lambda x, row: explain.kernel_shap(f, x, row, key=key, samples=n))
    ways = {
        "exact Shapley": over(partial(explain.shapley_values, f)),
        "Kernel SHAP, 32": kernel(32),
        "Kernel SHAP, 256": kernel(256),
        "GradientSHAP, 512": lambda x: explain.gradient_shap(f, x, rows, key=key, samples=512),
        "integrated gradients": over(partial(explain.integrated_gradients, f)),
        "input x gradient": partial(explain.input_times_gradient, f),
    }
    found = {name: np.asarray(jax.jit(jax.vmap(way))(x)) for name, way in ways.items()}
    exact = found["exact Shapley"]
    errors = {name: float(np.abs(one - exact).mean() / np.abs(exact).mean()) for name, one in found.items()}
    names = ["age", "sex", "BMI", "pressure", "cholesterol", "LDL", "HDL", "ratio", "triglycerides", "glucose"]
    figures = {
        "One patient: what each measurement adds to the prediction, in deviations of the target.": lambda: (
            heatmaps.bars({name: one[0] for name, one in found.items()}, names, "contribution")
        )
    }
    measured = {"test_mse": float(tested["loss"].value()), "method": list(ways), "error": list(errors.values())}
    return p, measured, history, figures


def lite(config: Config) -> Part:
    """EfficientNet-Lite0, as it was published, on photographs."""
    p, (names, x) = lite0(config.data_dir), photographs()
    net = Network(
        lambda p, activation: lite0_stages(*p, activation),
        jax.nn.relu6,
        maps=2,
        window=56,
        stride=24,
        grid=7,
        noise=0.25,
        samples=config.samples,
        batch_size=8,
        baselines=(0.0, -0.9, 0.9),
    )
    target, maps, rows = explained(net, methods(net), p, jnp.asarray(x), seed=config.seed)
    figures = {
        "Photographs: red speaks for the class that the network sees, blue against it.": lambda: heatmaps.maps(
            np.clip(x / 2 + 0.5, 0, 1), maps, [label(y) for y in target]
        )
    }
    return p, {"names": names, "seen": [label(y) for y in target]} | rows, [], figures


def fitted(config: Config, name: str, spec, loss, data: datasets.Data):
    """Parameters after training, the history, and what is measured on the third part."""
    state, history = train(
        config,
        spec,
        loss,
        optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
        Batches(data.train, config.batch_size, seed=config.seed),
        every=100,
        validation=in_order(data.validation, len(data.validation["y"])),
        name=name,
    )
    return state.params, history, evaluate(loss, state, in_order(data.test, len(data.test["y"])))


def concept(config: Config, p: Any, data: datasets.Data, *, n: int = 50, vectors: int = 10) -> dict[str, np.ndarray]:
    """TCAV (vectors, 10) of a bar across the top, and of no concept: digits against other digits."""
    rows = np.random.default_rng(config.seed).integers(0, len(data.train["y"]), (vectors, 2, n))
    digits, others = np.moveaxis(data.train["x"][rows], 1, 0)
    barred = digits.copy()
    barred[..., :2, 1:7, :] = 1.0
    concepts = {"bar": barred, "none": digits}
    return tcav(cnn_stages(p, jax.nn.relu), 5, data.test["x"], data.test["y"], concepts=concepts, others=others)


if __name__ == "__main__":
    launch(experiment, Config)
