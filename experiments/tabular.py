"""Tables: networks against gradient boosting, with as many tries on either side.

Data      `--data`: log wages of 29,501 people of the census of 2000, of 3,286 wives of 1991 ("couples"), of 935 men;
          or the log of 1 and rentals of bicycles in 78,421 hours. Of wages a fifth tests and a fifth of the rest
          validates, by chance; of bicycles the last year tests, and the one before validates.
Networks  a perceptron with embeddings of categories; the same self-normalizing, with SELUs and alpha dropout
          ("Self-Normalizing Neural Networks", Klambauer et al., 2017); and an FT-transformer ("Revisiting Deep
          Learning Models for Tabular Data", Gorishniy et al., 2021).
Beside    gradient boosting of histograms, by scikit-learn, which knows categories too; and least squares.
Training  squared error; AdamW, cosine to 0. Each method has as many rates, of which the one that validates best tests;
          boosting chooses the number of its trees there, too. A network's rates and runs are stacked, and trained by
          one program.
Run       python -m experiments.tabular [--data bikes]
Measured  R² in testing, by the mlp, the self-normalizing one and the FT-transformer (three runs; of it three seeds of
          one run each, two on the census, one on bicycles), then boosting and least squares. Couples 0.265+-0.012,
          0.237+-0.004, 0.283+-0.006; 0.321, 0.251. Men 0.160+-0.040, 0.237+-0.016, 0.269+-0.013; 0.189, 0.260. Census
          (--steps 1000) 0.105+-0.002, 0.086+-0.001, 0.109; 0.103, 0.095. Bicycles (--steps 1500) 0.880+-0.003,
          0.766+-0.012, 0.886; 0.872, 0.794. One CPU core, 12 to 15 seconds for both perceptrons, 21 to 38 for a
          transformer, less than one for boosting.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

import jnn
from experiments import pictures
from experiments.boosting import boosted, least_squares
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.tables import Table, for_networks, for_trees, table
from experiments.tabular_networks import NETWORKS, rated_adamw
from experiments.training import named, train
from jnn.data import Batches, in_order
from jnn.train import LossOutput

Name = Literal["mlp", "snn", "ft"]
SHOWN = 800  # rows of the picture


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """What a table says of a number."""

    steps: int = 300
    workdir: str = "runs/tabular"
    data: Literal["census", "couples", "men", "bikes"] = "couples"
    networks: tuple[Name, ...] = ("mlp", "snn", "ft")
    batch_size: int = 128
    rates: tuple[float, ...] = (3e-3, 1e-2)  # of networks
    boosting_rates: tuple[float, ...] = (0.03, 0.1)
    runs: int = 3  # of each rate, from other initial values
    weight_decay: float = 1e-2
    width: int = 32
    layers: int = 2
    dropout: float = 0.1


def predicted(params: dict, batch: dict, config: Config, name: Name, key: jax.Array | None) -> jax.Array:
    """Standardised targets (b, tries), by the parameters of each try."""

    def one(p, key):
        return NETWORKS[name].apply(p, batch["ids"], batch["values"], key=key, rate=config.dropout)

    if key is None:
        return jax.vmap(partial(one, key=None), out_axes=1)(params)
    return jax.vmap(one, out_axes=1)(params, jax.random.split(key, len(config.rates) * config.runs))


def loss(params, batch, ctx, config: Config, name: Name) -> LossOutput:
    """Squared errors, the sum over the tries; and the root of their mean."""
    found = predicted(params, batch, config, name, ctx.key)
    y = jnp.broadcast_to(batch["y"][:, None], found.shape)
    rmse = jnn.metrics.root_mean_squared_error(found, y, batch["weight"])
    return LossOutput(jnp.square(found - y).sum(1), batch["weight"], metrics={"rmse": rmse})


def tried(config: Config, name: Name, data: Table) -> tuple[Any, list[dict[str, float]], np.ndarray, np.ndarray]:
    """Trains a network by all rates; its parameters, the history, and predictions (n, tries) of validation and test."""
    parts = for_networks(data)
    ids, features = len(data.kind.numbers) + sum(data.sizes), parts["train"]["ids"].shape[1]
    spec = NETWORKS[name].spec(ids, features, config.width, config.layers)
    state, history = train(
        config,
        jnn.stack(spec, len(config.rates) * config.runs, "tries"),
        partial(loss, config=config, name=name),
        rated_adamw(np.repeat(config.rates, config.runs), config.weight_decay, config.steps),
        Batches(parts["train"], config.batch_size, seed=config.seed),
        every=50,
        validation=in_order(parts["validation"], 1024),
        name=name,
    )
    predict = jax.jit(partial(predicted, config=config, name=name, key=None))
    of = lambda part: np.asarray(predict(state.params, {key: parts[part][key] for key in ("ids", "values")}))
    return state.params, named(history, name), of("validation"), of("test")


def best(
    validated: np.ndarray, tested: np.ndarray, y: np.ndarray, rates: tuple[float, ...]
) -> tuple[float, np.ndarray]:
    """The rate whose predictions (n, tries) of what validates are nearest to y, and its predictions of what tests."""
    errors = np.square(validated - y[:, None]).mean(0).reshape(len(rates), -1).mean(1)
    chosen = int(errors.argmin())
    return rates[chosen], np.split(tested, len(rates), 1)[chosen]


def experiment(config: Config) -> Outcome:
    """Tries each method by each of its rates, and tests the one that validates best."""
    data = table(config.data, config.data_dir)
    parts = for_trees(data)
    validated, y = parts["validation"]["y"], parts["test"]["y"]
    params, history, rates = {}, [], {}
    found = {"least squares": least_squares(for_networks(data))[:, None]}
    for name in config.networks:
        params[name], rows, *predictions = tried(config, name, data)
        history += rows
        rates[name], found[name] = best(*predictions, validated, config.rates)
    trees = [boosted(parts, rate, len(data.kind.numbers), config.seed) for rate in config.boosting_rates]
    both = [np.stack(columns, 1) for columns in zip(*trees, strict=True)]
    rates["boosting"], found["boosting"] = best(*both, validated, config.boosting_rates)
    r2 = {name: (1 - np.square(of - y[:, None]).mean(0) / y.var()).tolist() for name, of in found.items()}
    metrics = {f"{name.replace(' ', '_')}_r2": float(np.mean(own)) for name, own in r2.items()}
    metrics |= {f"{name}_r2_deviation": float(np.std(r2[name], ddof=1)) for name in config.networks if config.runs > 1}
    metrics |= {f"{name}_rate": rate for name, rate in rates.items()}
    return Outcome(params, metrics, history, figures(r2, found, y))


def figures(r2: dict[str, list[float]], found: dict[str, np.ndarray], y: np.ndarray) -> dict[str, Any]:
    """R² of each method, and where the one that is best is wrong."""
    name = max(r2, key=lambda name: np.mean(r2[name]))
    shown = np.linspace(0, len(y) - 1, min(len(y), SHOWN)).astype(int)
    return {
        "R² of what tests: a point a run, and their mean.": partial(pictures.dots, {"R²": r2}),
        f"What tests, by the best of them, {name}.": partial(
            pictures.against, y[shown], found[name][shown, 0], "deviations of the target"
        ),
    }


if __name__ == "__main__":
    launch(experiment, Config)
