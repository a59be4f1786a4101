"""Quantized networks, tiny: on made images in all ways; a run that is killed goes on; its pre-flight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from experiments import datasets, quantize, quantized
from experiments.peers.torch_quantize import by_torch, perceptron
from experiments.quantized import WAYS
from jnn.models import mlp, mlp_spec
from tests.experiments.killed import so_far
from tests.experiments.shortened import flown
from tests.experiments.test_kills import run
from tests.needed_data import needs

OPTIONS = ["--networks", "mnist", "--steps", "20", "--tuning-steps", "10"]


def made(data_dir=None):
    """Rows of 32 numbers, of which the first ten say the class."""
    rng = np.random.default_rng(0)

    def part(n):
        x = rng.normal(size=(n, 32)).astype(np.float32)
        return {"x": x, "y": x[:, :10].argmax(1).astype(np.int32)}

    return datasets.Data(part(64), part(32), part(32))


def test_a_network_is_quantized_in_all_ways_and_trained_in_4_bits(tmp_path, monkeypatch):
    spec = mlp_spec((32, 10))
    monkeypatch.setitem(quantize.CLASSIFIERS, "mnist", (spec, lambda p, x: mlp(p, x, key=None), made))
    monkeypatch.setattr(quantized, "ROUNDS", 1)
    config = quantize.Config(steps=2, tuning_steps=1, batch_size=8, networks=("mnist",), workdir=str(tmp_path))
    outcome = quantize.experiment(config)
    rows = outcome.metrics["mnist"]
    assert [*rows] == [*WAYS, "int4 an output", "int4 an output, trained so"]
    assert rows["int4"]["megabytes"] < rows["int8"]["megabytes"] < rows["float32"]["megabytes"]
    assert all(0 <= row["accuracy"] <= 1 and row["milliseconds"] > 0 for row in rows.values())
    for draw in outcome.figures.values():
        draw()


def test_the_peer_is_the_same_network():
    spec = mlp_spec((32, 16, 10))
    p, x = jnn.init(spec, jax.random.key(0)), made().test["x"]
    np.testing.assert_allclose(by_torch(perceptron(p))(x), mlp(p, x, key=None), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_4_bits_are_worth_more_where_they_are_trained(tmp_path):
    needs("mnist/train-images-idx3-ubyte.gz")
    config = quantize.Config(steps=300, tuning_steps=100, networks=("mnist",), workdir=str(tmp_path))
    rows = quantize.experiment(config).metrics["mnist"]
    assert rows["float32"]["accuracy"] > 0.9
    assert rows["int8"]["accuracy"] > rows["float32"]["accuracy"] - 0.005
    assert rows["int4 an output, trained so"]["accuracy"] > rows["int4 an output"]["accuracy"]


@pytest.mark.slow
def test_in_8_bits_published_networks_are_what_they_were():
    needs("weights/minilm/model.safetensors")
    needs("imdb")
    subject = quantized.sentence_encoder(None, 16)
    ways = dict(quantized.quantized(subject))
    first = {name: jnp.asarray(array) for name, array in subject.example.items()}
    vectors = {way: np.asarray(subject.run(p, first)) for way, p in ways.items()}
    agreement = {way: float((vectors["float32"] * found).sum(-1).mean()) for way, found in vectors.items()}
    assert agreement["int8"] > 0.999
    assert agreement["int4"] < agreement["int4 GPTQ"]


@pytest.mark.slow
def test_a_run_goes_on(tmp_path):
    needs("mnist/train-images-idx3-ubyte.gz")
    _, expected, _ = run(1, "experiments.quantize", tmp_path / "whole", OPTIONS)
    for _ in range(2):
        code, result, err = run(1, "experiments.quantize", tmp_path / "killed", OPTIONS, ["save"])
        if code == 0:
            break
    assert code == 0, err[-2000:]
    assert so_far(tmp_path / "killed.deaths") == ["save"]
    scores = lambda result: {way: row["accuracy"] for way, row in result["mnist"].items()}
    assert (result["params_digest"], scores(result)) == (
        expected["params_digest"],
        scores(expected),
    )  # times are others


@pytest.mark.slow
def test_its_preflight_reports(tmp_path):
    needs("mnist/train-images-idx3-ubyte.gz")
    flown("experiments.quantize", tmp_path, OPTIONS)
