"""Double descent: test error falls, rises to a peak where the training rows can just be fitted, and falls again.

Data      MNIST at 7x7 pixels: 500 balanced rows that train, in which a share of the labels is wrong, and the published
          test of 10,000, in which none is. It is looked at everywhere, for nothing is chosen by it.
Features  random ReLU features (Rahimi and Recht, 2007) and, on the first so many of them, least squares of smallest
          norm, exact: "Reconciling Modern Machine-Learning Practice and the Classical Bias-Variance Trade-off", Belkin
          et al., 2019. Once more with a penalty.
Network   49-width-10, ReLU, squared error: "Deep Double Descent", Nakkiran et al., 2020. Adam, 4e-3 that falls as the
          root of the steps, batches of 40. The share of wrong labels is what a member of a sweep reads, a width is a
          program.
Run       python -m experiments.double_descent
Measured  test error, three seeds. 500 rows, 20 % of labels wrong: 0.241 on 100 random features, 0.884 on 500, 0.309 on
          8,000, there 0.148 with the penalty, which has no peak; none wrong: 0.164 on 150, 0.830 on 500, 0.108, 0.100.
          Networks, 20 % wrong: 0.218 of 16 units, 0.355 of 192, by which training error is 0.004, 0.288 of 2,048; none
          wrong: hardly a peak, 0.135, 0.144, 0.107. No second descent over the steps: the longer, the worse, and after
          200 of 8,000 steps 256 units are at 0.152, where none is at the end. Two and a half minutes of one core.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import datasets, descent_pictures
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.random_features import least_squares, relu_features
from experiments.small_images import halve
from experiments.training import train
from jnn.data import Batches, in_order
from jnn.models import mlp, mlp_spec
from jnn.sweep import Choice, GridSampler, Repeats, Structure, SuccessiveHalving, Sweep, search
from jnn.train import LossOutput

CLASSES, PIXELS, RATE, PENALTY, LOOKS = 10, 49, 4e-3, 1e-3, 40
RATIOS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.2, 1.5, 2, 3, 5, 8, 16)
Part = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Test error by width, of random features and of a network."""

    steps: int = 8000
    workdir: str = "runs/double_descent"
    examples: int = 500  # that train; of features there are up to 16 times as many
    wrong: tuple[float, ...] = (0.0, 0.2)  # shares of their labels
    widths: tuple[int, ...] = (4, 8, 16, 32, 48, 64, 80, 96, 128, 192, 256, 384, 512, 1024, 2048)
    batch_size: int = 40
    seeds: int = 3


def parts(config: Config) -> tuple[Part, Part]:
    """What trains and what tests: x (n, 49), y, another label, and the share of wrong labels above which it counts."""
    data, rng = datasets.mnist(config.data_dir), np.random.default_rng(datasets.SPLIT_SEED)
    train = datasets.balanced(data.train, max(1, config.examples // CLASSES), seed=datasets.SPLIT_SEED)
    small = lambda x: halve(halve(x.reshape(-1, 28, 28, 1))).reshape(-1, PIXELS)
    mean, n = small(train["x"]).mean(0), len(train["y"])
    other = (train["y"] + rng.integers(1, CLASSES, n)) % CLASSES
    right = {"other": data.test["y"], "from": np.ones(len(data.test["y"]), np.float32)}
    swaps = {"other": other.astype(np.int32), "from": (rng.permutation(n) / n).astype(np.float32)}
    return tuple({"x": small(p["x"]) - mean, "y": p["y"]} | more for p, more in ((train, swaps), (data.test, right)))


def labels(part: Any, wrong: Any) -> Any:
    """Labels of which this share is wrong."""
    return jnp.where(part["from"] < wrong, part["other"], part["y"])


def by_features(config: Config, training: Part, test: Part) -> dict[str, np.ndarray]:
    """How many features, and test errors (widths, wrong, seeds) on them: of smallest norm, and by a penalty."""
    n = len(training["y"])
    widths = sorted({max(1, round(ratio * n)) for ratio in RATIOS})
    targets = np.concatenate([np.eye(CLASSES)[np.asarray(labels(training, wrong))] for wrong in config.wrong], 1)
    found: dict[str, list[np.ndarray]] = {"least_norm": [], "penalty": []}
    for seed in range(config.seed, config.seed + config.seeds):
        ours, theirs = (relu_features(part["x"], widths[-1], seed=seed) for part in (training, test))
        for errors, penalty in zip(found.values(), (0.0, PENALTY), strict=True):
            fits = ((least_squares(ours[:, :w], targets, penalty * w / n), w) for w in widths)
            outputs = ((theirs[:, :w] @ fit).reshape(len(test["y"]), len(config.wrong), CLASSES) for fit, w in fits)
            errors.append(np.array([(out.argmax(-1) != test["y"][:, None]).mean(0) for out in outputs]))
    return {"features": np.array(widths)} | {name: np.stack(errors, -1) for name, errors in found.items()}


def loss(params: Any, batch: Any, ctx: Any) -> LossOutput:
    """Squared error; its metric is the error of classes."""
    outputs, y = mlp(params, batch["x"], key=None), labels(batch, ctx.given["wrong"])
    metrics = {"error": jnn.metrics.mean((outputs.argmax(-1) != y).astype(jnp.float32), batch["weight"])}
    squares = jnp.square(outputs - jax.nn.one_hot(y, CLASSES)).sum(-1)
    return LossOutput(squares, batch["weight"], metrics=metrics)


def adam(h: Any) -> optax.GradientTransformation:
    """The same for all."""
    return optax.adam(lambda step: RATE / jnp.sqrt(1 + step / 500))


def by_width(config: Config, training: Part, test: Part) -> dict[str, np.ndarray]:
    """Steps (looks,), and errors (widths, wrong, seeds, looks) on what trains and on the test, of trained networks."""
    sweep = lambda width: Sweep(mlp_spec((PIXELS, width, CLASSES)), loss, adam, training, config.batch_size)
    space = {"width": Structure(*config.widths), "wrong": Choice(*config.wrong), "run": Repeats(config.seeds)}
    shape = tuple(len(space[name].values) for name in space)
    plan = SuccessiveHalving(int(np.prod(shape)), (config.steps,), every=max(1, config.steps // LOOKS))
    where = {"folder": Path(config.workdir) / "sweep", "seed": config.seed, "save_seconds": config.save_seconds}
    log = search(sweep, space, plan, GridSampler(space, points=1), test, metric="error", **where).log
    looks = {part: np.array([row[part]["error"] for row in log.rows]).T for part in ("train", "validation")}
    found = {name: x.reshape(*shape, -1) for name, x in looks.items()}
    return {
        "steps": np.array([row["steps"][0] for row in log.rows]),
        "train": found["train"],
        "test": found["validation"],
    }


def widest(config: Config, training: Part, test: Part) -> tuple[Any, list[dict[str, float]]]:
    """The widest network, by most wrong labels, as an ordinary run, over whatever mesh."""
    given = {"wrong": jnp.float32(config.wrong[-1])}
    return train(
        config,
        mlp_spec((PIXELS, config.widths[-1], CLASSES)),
        lambda params, batch, ctx: loss(params, batch, ctx._replace(given=given)),
        adam(given),
        Batches(training, config.batch_size, seed=config.seed),
        every=max(1, config.steps // LOOKS),
        validation=in_order(test, 1000),
        name="widest",
    )


def peak(widths: np.ndarray, errors: np.ndarray) -> dict[str, float]:
    """The peak of errors (widths,): the width at which what came before it rose most; and both sides of it."""
    rise = errors - np.minimum.accumulate(errors)
    top = int(rise.argmax())
    best = int(errors[: top + 1].argmin())
    return {
        "before_width": int(widths[best]),
        "before": float(errors[best]),
        "peak_width": int(widths[top]),
        "peak": float(errors[top]),
        "after": float(errors[-1]),
    }


def experiment(config: Config) -> Outcome:
    """Errors by width, of random features and of networks."""
    training, test = parts(config)
    state, history = widest(config, training, test)
    fixed, trained = by_features(config, training, test), by_width(config, training, test)
    found = {}
    for i, wrong in enumerate(config.wrong):
        of_features = peak(fixed["features"], fixed["least_norm"][:, i].mean(-1))
        of_features["with_penalty"] = fixed["penalty"][-1, i].mean()
        of_network = peak(np.array(config.widths), trained["test"][:, i, :, -1].mean(-1))
        found |= {f"features_{wrong:g}_{name}": value for name, value in of_features.items()}
        found |= {f"network_{wrong:g}_{name}": value for name, value in of_network.items()}
    pictures = {
        "Random features: test error over their number.": partial(descent_pictures.features, fixed, config),
        "A trained network: error over its width.": partial(descent_pictures.widths, trained, config),
        "The same over the steps.": partial(descent_pictures.steps, trained, config),
    }
    return Outcome(state.params, found, history, pictures)


if __name__ == "__main__":
    launch(experiment, Config)
