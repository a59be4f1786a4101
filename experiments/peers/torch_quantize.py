"""The perceptron of `experiments.quantize` in 8 bits by torchao, beside jnn: the same weights, the same test images.

Run       python -m experiments.peers.torch_quantize [--steps 1500]
Prints    a line of JSON a way: test accuracy, and milliseconds of processor time for 64 images (medians of 51, in
          turns). Needs torch and torchao.
Measured  seed 0. jnn 0.9671, 0.22 ms; int8 0.9672, 0.17; inputs too 0.9670, 0.14. PyTorch 0.9671, 0.28; torchao's int8
          0.9672, 0.25; inputs too 0.9672, 0.69.
"""

from __future__ import annotations

import copy
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial

import jax
import numpy as np
import torch
from torch import Tensor, nn

from experiments import datasets
from experiments.clocks import milliseconds
from experiments.peers.command import add_settings, data_needed, options, parsed, tell
from experiments.quantize import Config, classifier
from jnn.optional import optional
from jnn.quantization import quantize, quantize_activations

ROUNDS = 51
Network = Callable[[np.ndarray], np.ndarray]


def perceptron(params: dict[str, dict[str, np.ndarray]]) -> nn.Sequential:
    """The same network in PyTorch."""
    parts: list[nn.Module] = []
    for layer in params.values():
        made = nn.Linear(*layer["w"].shape)
        made.weight.data, made.bias.data = torch.tensor(np.asarray(layer["w"]).T.copy()), torch.tensor(layer["b"])
        parts += [made, nn.ReLU()]
    return nn.Sequential(*parts[:-1]).eval()


def by_torch(network: nn.Module, how: object = None) -> Network:
    """Of arrays, quantized by torchao where it is said how."""
    made = copy.deepcopy(network)
    if how is not None:
        optional("torchao.quantization", "oracles").quantize_(made, how)

    def run(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            found: Tensor = made(torch.from_numpy(x))
        return found.numpy()

    return run


def compare(config: Config) -> None:
    """Trains by jnn, and runs by both."""
    with data_needed():
        subject, _, _ = classifier(config, "mnist")
        test = datasets.mnist(config.data_dir).test
    theirs = optional("torchao.quantization", "oracles")
    p, spec, network = subject.params, subject.spec, perceptron(jax.device_get(subject.params))
    ours = lambda p: lambda x: np.asarray(subject.run(p, x))
    networks: dict[str, Network] = {
        "jnn": ours(p),
        "jnn int8": ours(quantize(p, spec)),
        "jnn int8 inputs": ours(quantize_activations(p, spec)),
        "torch": by_torch(network),
        "torchao int8": by_torch(network, theirs.Int8WeightOnlyConfig()),
        "torchao int8 inputs": by_torch(network, theirs.Int8DynamicActivationInt8WeightConfig()),
    }
    calls = {name: partial(run, subject.example) for name, run in networks.items()}
    taken = milliseconds(calls, ROUNDS, clock=time.process_time)
    for name, run in networks.items():
        right = float(np.mean(run(test["x"]).argmax(-1) == test["y"]))
        tell({"seed": config.seed, "way": name}, {"test_accuracy": right, "milliseconds": taken[name]})


def main() -> None:
    """A network a seed."""
    parser = options(__doc__, seeds=1, threads=1)
    add_settings(parser, Config(), ["steps"])
    given = parsed(parser)
    warnings.simplefilter("ignore")
    for seed in range(given.pop("seeds")):
        with tempfile.TemporaryDirectory() as folder:
            compare(Config(workdir=folder, seed=seed, tuning_steps=1, **given))


if __name__ == "__main__":
    main()
