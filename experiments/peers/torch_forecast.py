"""N-BEATS, N-HiTS and the LSTM of `experiments.forecast` in PyTorch, on the same windows in the same order.

Run       python -m experiments.peers.torch_forecast [--network nhits] [--data bike_sharing] [--seeds 5]
Prints    one line of JSON a seed: scores over the test's origins, seconds of the wall and of the processor; then one of
          means and deviations. Needs torch. Initial values are torch's own.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.forecast import Config
from experiments.forecasters import nhits_sizes
from experiments.forecasting import FLOOR, LEVELS, measured
from experiments.peers.command import Clock, add_settings, data_needed, options, parsed, tell, tell_means
from experiments.series import Kind, Series, series
from jnn.data import SeriesWindows


class Perceptron(nn.Module):
    """Linear maps fc0, fc1, ... with a ReLU behind each."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.count = len(sizes) - 1
        for i in range(self.count):
            self.add_module(f"fc{i}", nn.Linear(sizes[i], sizes[i + 1]))

    def forward(self, x: Tensor) -> Tensor:
        for i in range(self.count):
            x = F.relu(getattr(self, f"fc{i}")(x))
        return x


class NBeats(nn.Module):
    """Generic blocks: 2 stacks of 3, each of 4 layers."""

    def __init__(self, context: int, horizon: int, width: int, outputs: int, blocks: int = 6, layers: int = 4) -> None:
        super().__init__()
        self.horizon, self.outputs, self.count = horizon, outputs, blocks
        for i in range(1, blocks + 1):
            maps = {"fore": nn.Linear(width, outputs * horizon)}
            maps |= {"back": nn.Linear(width, context)} if i < blocks else {}
            block = nn.ModuleDict({"fc": Perceptron((context, *[width] * layers)), "generic": nn.ModuleDict(maps)})
            self.add_module(f"block{i}", block)

    def forward(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        """Windows (b, context) to (b, horizon, outputs)."""
        total = 0
        for i in range(1, self.count + 1):
            block = getattr(self, f"block{i}")
            h = block["fc"](x)
            total = total + block["generic"]["fore"](h)
            if "back" in block["generic"]:
                x = x - block["generic"]["back"](h)
        return total.view(-1, self.outputs, self.horizon).mT


class NHits(nn.Module):
    """A block for each pool, which writes knots so many steps apart."""

    def __init__(
        self, context: int, horizon: int, pools: tuple[int, ...], steps: tuple[int, ...], width: int, outputs: int
    ) -> None:
        super().__init__()
        self.horizon, self.outputs, self.pools = horizon, outputs, pools
        for i, (pool, step) in enumerate(zip(pools, steps, strict=True), 1):
            parts = {"fc": Perceptron((context // pool, width, width))}
            parts["fore"] = nn.Linear(width, outputs * max(horizon // step, 1))
            parts |= {"back": nn.Linear(width, max(context // step, 1))} if i < len(pools) else {}
            self.add_module(f"block{i}", nn.ModuleDict(parts))

    def forward(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        """Windows (b, context) to (b, horizon, outputs)."""
        total = 0
        for i, pool in enumerate(self.pools, 1):
            block = getattr(self, f"block{i}")
            h = block["fc"](F.max_pool1d(x[:, None], pool)[:, 0])
            knots = block["fore"](h).view(len(x), self.outputs, -1)
            total = total + F.interpolate(knots, self.horizon, mode="linear")
            if "back" in block:
                x = x - F.interpolate(block["back"](h)[:, None], x.shape[1], mode="linear")[:, 0]
        return total.mT


class Lstm(nn.Module):
    """The last state of an LSTM over values and calendar, and a linear map."""

    def __init__(self, known: int, horizon: int, width: int, outputs: int) -> None:
        super().__init__()
        self.horizon = horizon
        self.lstm, self.out = nn.LSTM(1 + known, width, batch_first=True), nn.Linear(width, horizon * outputs)

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        """Windows (b, context) and their calendar to (b, horizon, outputs)."""
        states, _ = self.lstm(torch.cat([x[..., None], known[:, : x.shape[1]]], -1))
        return self.out(states[:, -1]).view(len(x), self.horizon, -1)


def network_of(name: str, kind: Kind, width: int) -> nn.Module:
    """The network of this name, as wide as the experiment's."""
    sizes = (kind.context, kind.horizon)
    if name == "nbeats":
        return NBeats(*sizes, width, len(LEVELS))
    if name == "nhits":
        return NHits(*sizes, *nhits_sizes(kind).values(), width, len(LEVELS))
    return Lstm(2 * len(kind.cycles), kind.horizon, width // 2, len(LEVELS))


def scaled(y: Tensor, context: int) -> tuple[Tensor, Tensor, Tensor]:
    """As `experiments.forecasting.scaled`."""
    past = y[:, :context]
    mean, deviation = past.mean(1, keepdim=True), past.std(1, keepdim=True, correction=0).clamp(min=FLOOR)
    return (y - mean) / deviation, mean, deviation


def train(config: Config, name: str, data: Series) -> nn.Module:
    """The network after all steps of Adam."""
    torch.manual_seed(config.seed)
    kind, levels = data.kind, torch.tensor(LEVELS, dtype=torch.float32)
    network = network_of(name, kind, config.width)
    optimizer = torch.optim.Adam(network.parameters())
    windows = SeriesWindows(data.training(), kind.context + kind.horizon, config.batch_size, seed=config.seed)
    for step in range(config.steps):
        batch = {part: torch.from_numpy(array) for part, array in windows[step].items()}
        y = scaled(batch["y"], kind.context)[0]
        error = y[:, kind.context :, None] - network(y[:, : kind.context], batch["known"])
        loss = torch.maximum(levels * error, (levels - 1) * error).mean()
        optimizer.param_groups[0]["lr"] = config.learning_rate * (1 + math.cos(math.pi * step / config.steps)) / 2
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return network


@torch.no_grad()
def forecast(network: nn.Module, data: Series, part: str) -> np.ndarray:
    """Quantiles (origins, horizon, levels) in the series' unit."""
    windows = {name: torch.from_numpy(array) for name, array in data.windows(part).items()}
    y, mean, deviation = scaled(windows["y"][:, : data.kind.context], data.kind.context)
    found = network.eval()(y, windows["known"]).sort(-1).values
    return data.standard().undo((found * deviation[..., None] + mean[..., None]).numpy())


def main() -> None:
    parser = options(__doc__, seeds=5, threads=1)
    parser.add_argument("--network", choices=("nbeats", "nhits", "lstm"), default="nbeats")
    add_settings(parser, Config(), ("data", "steps", "width", "batch_size", "learning_rate"))
    given = parsed(parser)
    seeds, name = given.pop("seeds"), given.pop("network")
    config, runs = Config(**given), []
    with data_needed():
        data = series(config.data, config.data_dir)
    head = {"peer": "forecast", "network": name, "data": config.data}
    for seed in range(seeds):
        clock = Clock()
        network = train(dataclasses.replace(config, seed=seed), name, data)
        found = measured(forecast(network, data, "test"), data, "test") | clock.seconds()
        runs.append(tell(head | {"seed": seed}, found))
    tell_means(head | {"seeds": seeds}, runs)


if __name__ == "__main__":
    main()
