"""What jnn and its peers share: the parts of each data set, and that every peer network trains on a batch of them."""

import dataclasses

import numpy as np
import pytest
import torch

from experiments import datasets
from experiments.peers.command import spread
from experiments.peers.torch_peers import PEERS, crop_and_flip, evaluate, train

RNG = np.random.default_rng(0)
REGRESSION, MNIST = {10: 3329, 20: 3969}, 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10
LSTM, GRU = 4 * (64 * 32 + 32 * 32 + 2 * 32), 3 * (64 * 32 + 32 * 32 + 2 * 32)  # torch has two biases a gate
REVIEWS = datasets.VOCABULARY * 64 + 65
COUNTS = {
    "binary": 10 * 64 + 64 + 64 * 32 + 32 + 32 + 1,
    "regression": REGRESSION[20],
    "diabetes": REGRESSION[10],
    "mnist": MNIST,
    "fashion_mnist": MNIST,
    "lstm": REVIEWS + LSTM,
    "gru": REVIEWS + GRU,
    "cifar10": 27 * 32 + 32 + 9 * 32 * 64 + 64 + 4096 * 512 + 512 + 512 * 10 + 10,
}


def rows(name, n):
    """n made-up rows in the form of one peer's data."""
    y = np.arange(n, dtype=np.int32) % 2
    if name in ("lstm", "gru"):
        length = RNG.integers(1, 12, n).astype(np.int32)
        return {"x": RNG.integers(0, datasets.VOCABULARY, (n, 12)).astype(np.int32), "length": length, "y": y}
    if name == "cifar10":
        return {"x": RNG.integers(0, 256, (n, 32, 32, 3)).astype(np.uint8), "y": y}
    features = {"binary": 10, "regression": 20, "diabetes": 10}.get(name, 784)
    x = RNG.normal(size=(n, features)).astype(np.float32)
    return {"x": x, "y": y if "mnist" in name else y[:, None].astype(np.float32)}


SECONDS = ("cifar10", "gru", "lstm")  # what torch takes for them


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SECONDS else n for n in PEERS])
def test_every_peer_has_its_parameters_and_trains(name):
    peer = dataclasses.replace(PEERS[name], epochs=2, batch_size=4)
    data = datasets.Data(rows(name, 10), rows(name, 4), rows(name, 6))
    network = train(peer, data, seed=0)
    assert sum(p.numel() for p in network.parameters()) == COUNTS[name]
    before = evaluate(peer, data, network)
    assert before == evaluate(peer, data, network)  # no noise in a test
    assert set(before) == {peer.score[0], "test_loss"}
    longer = train(dataclasses.replace(peer, epochs=40), data, seed=0)
    on_training = datasets.Data(data.train, data.validation, data.train)
    assert evaluate(peer, on_training, longer)["test_loss"] < evaluate(peer, on_training, network)["test_loss"]


def test_padding_does_not_reach_the_output_of_a_review():
    torch.manual_seed(0)
    network = PEERS["lstm"].network(12).eval()
    x, length = torch.arange(24).reshape(2, 12), torch.tensor([12, 5])
    other = x.clone()
    other[1, 5:] = 99
    torch.testing.assert_close(network({"x": x, "length": length}), network({"x": other, "length": length}))


def test_the_peers_augmentation_gives_windows_and_mirror_images():
    image = torch.arange(1, 101, dtype=torch.uint8).reshape(1, 10, 10, 1)
    padded = np.pad(image[0, :, :, 0], 4)
    windows = [padded[i : i + 10, j : j + 10] for i in range(9) for j in range(9)]
    expected = {window.tobytes() for window in windows} | {window[:, ::-1].tobytes() for window in windows}
    found = {view.numpy().tobytes() for view in crop_and_flip(image.expand(3000, -1, -1, -1))[..., 0].contiguous()}
    assert found == expected


@pytest.mark.parametrize("load", [datasets.binary, datasets.noisy_sum, datasets.diabetes])
def test_the_parts_are_disjoint_always_the_same_and_fitted_on_the_training_part(load):
    data = load()
    sizes = [len(part["y"]) for part in data[:3]]
    assert sizes[2] == round(0.2 * sum(sizes))
    assert sizes[1] == round(0.2 * (sum(sizes) - sizes[2]))
    everything = np.concatenate([np.concatenate([part["x"], part["y"]], 1) for part in data[:3]])
    assert len(np.unique(everything, axis=0)) == sum(sizes)
    np.testing.assert_array_equal(load().test["x"], data.test["x"])
    if data.target is not None:
        for name in ("x", "y"):
            np.testing.assert_allclose(data.train[name].mean(0), 0, atol=1e-5)
            np.testing.assert_allclose(data.train[name].std(0), 1, rtol=1e-4)


def test_spread_is_the_mean_the_sample_deviation_and_the_range():
    assert spread([1.0, 2.0, 3.0]) == {"mean": 2.0, "std": 1.0, "min": 1.0, "max": 3.0}
