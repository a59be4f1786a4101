"""Daily returns of an index: what of tomorrow a network can know, and what only seems to be known.

Data      `--data`: the S&P 500 or the NASDAQ Composite, 5,031 trading days of 1999 to 2018, open to close and volume.
          Read are 22 days: return, volatility by the day's range (Parkinson, 1980) and volume. A fold a year learns
          from all that was before, and forecasts it day by day: 2005 to 2008 validate, 2009 to 2018 test.
Network   an LSTM of 16, of the next day's log return; and another of the log of its volatility.
Beside    of returns the random walk, 0, the mean of the past, and least squares from a month of returns; of volatility
          the mean, an exponentially weighted average, and HAR ("A Simple Approximate Long-Memory Model of Realized
          Volatility", Corsi, 2009).
Tests     Diebold and Mariano's (1995), as Harvey, Leybourne and Newbold (1997) correct it, of squared errors;
          Pesaran and Timmermann's (1992) of directions.
Training  squared error of standardised targets; Adam, cosine to 0. The folds' parameters are stacked, and trained by
          one program.
Run       python -m experiments.stocks [--data nasdaq]
Measured  three seeds, S&P 500 and NASDAQ. R² of returns against the random walk 0.0015+-0.0012 and 0.0007+-0.0010, p
          from 0.52 to 0.94; of least squares -0.027 and -0.022, though 0.027 and 0.015 in validation. Directions: p
          from 0.16 to 0.83, and right less often than "up" each day, 0.545 and 0.558. R² of volatility against its
          mean 0.598+-0.007 and 0.610+-0.003; HAR 0.570 and 0.591 (p below 0.003 each), the average 0.573 and 0.587.
          One CPU core, 17 seconds.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import leaks, stock_pictures
from experiments.forecasters import DIRECT
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.predictability import measured, past_forecasts
from experiments.prices import KIND, TARGETS, VALIDATION, YEARS, Days, days, prices, walk_forward
from experiments.training import named, train
from jnn.data import Batches, in_order
from jnn.train import LossOutput

NETWORK = DIRECT["lstm"]


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """What of tomorrow's price can be known."""

    steps: int = 100
    workdir: str = "runs/stocks"
    data: Literal["sp500", "nasdaq"] = "sp500"
    batch_size: int = 128
    learning_rate: float = 1e-2
    width: int = 32  # an LSTM's state has half of it
    dropout: float = 0.0


def rows(data: Days, target: str) -> dict[str, np.ndarray]:
    """Rows of all days, and in which folds each trains and is forecast."""
    learnt, asked = walk_forward(data.year)
    counts = {"train": learnt.astype(np.float32), "asked": asked.astype(np.float32)}
    return {"x": data.x, "y": data.targets[target].astype(np.float32)} | counts


def scales(part: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Mean and deviation of features (folds, 1, 1, features) and target (1, folds), each of what a fold learns from."""
    learnt = [part["train"][:, fold] > 0 for fold in range(len(YEARS))]
    x = lambda of: np.stack([of(part["x"][own], axis=(0, 1), keepdims=True) for own in learnt])
    y = lambda of: np.array([[of(part["y"][own]) for own in learnt]])
    return {"x_mean": x(np.mean), "x_std": x(np.std), "y_mean": y(np.mean), "y_std": y(np.std)}


def forecasts(params: dict, x: jax.Array, config: Config, scale: dict, key: jax.Array | None) -> jax.Array:
    """Standardised targets (b, folds), by the parameters of each fold."""

    def one(p, mean, deviation):
        z = (x - mean) / deviation
        return NETWORK.apply(p, z[..., 0], z[..., 1:], KIND, key=key, rate=config.dropout)[:, 0, 0]

    return jax.vmap(one, out_axes=1)(params, scale["x_mean"], scale["x_std"])


def loss(params, batch, ctx, config: Config, scale: dict) -> LossOutput:
    """Squared errors, the sum over the folds that learn from a row; and those of the folds that forecast it."""
    y = (batch["y"][:, None] - scale["y_mean"]) / scale["y_std"]
    squares = jnp.square(forecasts(params, batch["x"], config, scale, ctx.key) - y)
    unseen = jnn.metrics.mean(squares, batch["asked"] * batch["weight"][:, None])
    return LossOutput((squares * batch["train"]).sum(1), batch["weight"], metrics={"unseen": unseen})


def learnt_forecasts(config: Config, data: Days, target: str) -> tuple[dict, list[dict[str, float]], np.ndarray]:
    """Trains a network a fold; their parameters, the history, and forecasts (n,) of all years that a fold forecasts."""
    part = rows(data, target)
    learnt, validating = part["train"].any(1), data.part(VALIDATION)
    how = {"config": config, "scale": scales(part)}
    state, history = train(
        config,
        jnn.stack(NETWORK.spec(KIND, data.x.shape[-1] - 1, config.width, 1), len(YEARS), "folds"),
        partial(loss, **how),
        optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
        Batches({name: array[learnt] for name, array in part.items()}, config.batch_size, seed=config.seed),
        every=20,
        validation=in_order({name: array[validating] for name, array in part.items()}, 256),
        name=target,
    )
    z = np.asarray(jax.jit(partial(forecasts, **how, key=None))(state.params, data.x))
    found = z * how["scale"]["y_std"] + how["scale"]["y_mean"]
    return state.params, named(history, target), (found * part["asked"]).sum(1)


def experiment(config: Config) -> Outcome:
    """Forecasts every year by what was known before it, asks whether that is more than chance, and shows four leaks."""
    known = prices(config.data, config.data_dir)
    data = days(known)
    params, history = {}, []
    found = {target: past_forecasts(data, target) for target in TARGETS}
    for target in TARGETS:
        params[target], curve, found[target]["lstm"] = learnt_forecasts(config, data, target)
        history += curve
    fooled = leaks.measured(known, data, found["return"]["lstm"])
    metrics = measured(found, data) | leaks.as_metrics(fooled)
    return Outcome(params, metrics, history, stock_pictures.figures(found, data, fooled))


if __name__ == "__main__":
    launch(experiment, Config)
