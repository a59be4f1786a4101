"""Forecasts with intervals: six networks against a seasonal naive forecast, exponential smoothing and ARIMA.

Data      `--data`: hourly electric load of three years (electricity), hourly bicycle rentals of nine (bike_sharing), or
          daily minima of temperature of ten (temperature). The last 182 days test and the 182 before validate, with
          24 hours forecast after each week that is read; of temperature 104 weeks each, after 28 days.
Networks  N-BEATS (Oreshkin et al., 2020), N-HiTS (Challu et al., 2023), PatchTST (Nie et al., 2023), a TCN (Bai et al.,
          2018) and an LSTM, which write 19 quantiles of every hour at once; DeepAR (Salinas et al., 2020), which draws
          paths hour by hour from a likelihood. A window is scaled by what is read of it.
Training  Adam, cosine from 2e-3 to 0, batches of 64 windows from anywhere before validation.
Run       python -m experiments.forecast [--data bike_sharing] [--baselines naive ets arima]
Measured  MASE and CRPS over the test's origins. Electricity: N-BEATS 0.587+-0.006 and 69.0+-0.8 (five seeds), seasonal
          naive 1.041 and 129, ETS 1.150 and 135, ARIMA 0.710 and 85. Bikes: N-BEATS 0.985 and 71 (one seed), the
          others 1.189 and 92, 1.818 and 161, 1.190 and 127. N-BEATS takes 18 seconds of one core; in PyTorch, with
          its own initial values, 9 to 11, and MASE is 0.597+-0.009.
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

from experiments import fan_charts
from experiments.classical_forecasting import classical
from experiments.forecasters import DIRECT
from experiments.forecasting import HEADS, LEVELS, measured, scaled
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.series import Kind, series
from experiments.training import named, train
from jnn.data import SeriesWindows, in_order
from jnn.models import deepar, deepar_sample, deepar_spec
from jnn.train import LossOutput

Name = Literal["nbeats", "nhits", "patchtst", "tcn", "lstm", "deepar"]
Method = Literal["naive", "ets", "arima"]


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Forecasts with intervals."""

    steps: int = 600
    workdir: str = "runs/forecast"
    data: Literal["electricity", "bike_sharing", "temperature"] = "electricity"
    networks: tuple[Name, ...] = ("nbeats", "nhits", "patchtst", "tcn", "lstm", "deepar")
    baselines: tuple[Method, ...] = ("naive",)  # the others need the extra `forecasting`
    head: Literal["quantile", "gaussian", "student_t"] = "quantile"
    likelihood: Literal["gaussian", "student_t"] = "student_t"  # of DeepAR
    batch_size: int = 64
    learning_rate: float = 2e-3
    width: int = 128
    dropout: float = 0.0
    samples: int = 100  # paths of DeepAR


def network_spec(config: Config, name: Name, kind: Kind) -> dict:
    """Declares a network."""
    known = 2 * len(kind.cycles)
    if name == "deepar":
        return deepar_spec(known, config.width // 2, outputs=HEADS[config.likelihood].outputs)
    return DIRECT[name].spec(kind, known, config.width, HEADS[config.head].outputs)


def loss(params: dict, batch: dict, ctx: Any, config: Config, name: Name, kind: Kind) -> LossOutput:
    """The head's loss over the horizon; DeepAR's over all steps but the first, given the true ones before each."""
    y, known = scaled(batch["y"], kind.context)[0], batch["known"]
    if name == "deepar":
        outputs, _ = deepar(params, y[:, :-1], known[:, 1:], key=ctx.key, rate=config.dropout)
        values = HEADS[config.likelihood].loss(outputs, y[:, 1:])
    else:
        outputs = DIRECT[name].apply(params, y[:, : kind.context], known, kind, key=ctx.key, rate=config.dropout)
        values = HEADS[config.head].loss(outputs, y[:, kind.context :])
    return LossOutput(values, batch["weight"])


def forecast(params: dict, batch: dict, config: Config, name: Name, kind: Kind, key: jax.Array) -> jax.Array:
    """Quantiles (b, horizon, levels) of standardised values, from the context of windows alone."""
    y, mean, deviation = scaled(batch["y"][:, : kind.context], kind.context)
    if name == "deepar":
        paths = sample(params, y, batch["known"], HEADS[config.likelihood].draw, config.samples, key)
        found = jnp.moveaxis(jnp.quantile(paths, jnp.asarray(LEVELS), axis=0), 0, -1)
    else:
        found = HEADS[config.head].quantiles(DIRECT[name].apply(params, y, batch["known"], kind, key=None, rate=0.0))
    return found * deviation[..., None] + mean[..., None]


def sample(params: dict, past: jax.Array, known: jax.Array, draw: Callable, count: int, key: jax.Array) -> jax.Array:
    """Paths (count, b, horizon) of DeepAR."""
    context = past.shape[1]
    _, carry = deepar(params, past[:, :-1], known[:, 1:context], key=None)
    one = lambda key: deepar_sample(params, carry, past[:, -1], known[:, context:], draw, key=key)
    return jax.vmap(one)(jax.random.split(key, count))


def experiment(config: Config) -> Outcome:
    """Trains the networks one after another, and looks at the test's origins once for each."""
    data = series(config.data, config.data_dir)
    kind, standard = data.kind, data.standard()
    batches = SeriesWindows(data.training(), kind.context + kind.horizon, config.batch_size, seed=config.seed)
    params: dict[str, Any] = {}
    history: list[dict[str, float]] = []
    found: dict[str, np.ndarray] = {}
    for name in config.networks:
        state, rows = train(
            config,
            network_spec(config, name, kind),
            partial(loss, config=config, name=name, kind=kind),
            optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
            batches,
            every=100,
            validation=in_order(data.windows("validation"), 91),
            name=name,
            clip_norm=1.0,
        )
        params[name] = state.params
        history += named(rows, name)
        predict = jax.jit(partial(forecast, config=config, name=name, kind=kind, key=jax.random.key(config.seed)))
        found[name] = standard.undo(np.asarray(predict(state.params, data.windows("test"))))
    found |= {name: classical(name, data, "test") for name in config.baselines}
    scores = {name: measured(quantiles, data, "test") for name, quantiles in found.items()}
    metrics = {f"{name}_{score}": value for name, row in scores.items() for score, value in row.items()}
    return Outcome(params, metrics, history, fan_charts.figures(found, data))


if __name__ == "__main__":
    launch(experiment, Config)
