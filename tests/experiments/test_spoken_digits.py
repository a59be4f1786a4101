"""Spoken digits: a tiny run on tones reports what it hears; the peer's networks are jnn's; short runs of real ones."""

import dataclasses
import itertools
import logging
import re

import jax
import numpy as np
import pytest
import torch

import jnn
from experiments import spoken_digits
from experiments.harness import launch
from experiments.listeners import listen, listener_spec, listener_stats_spec
from experiments.peers import torch_spoken_digits
from experiments.recordings import BANDS, FRAMES, HOP, RATE, heard, log_mel
from experiments.spoken_digits import Config
from jnn.strict_json import loads
from tests.experiments.made_voices import write_one
from tests.experiments.shortened import flown, resumed
from tests.models.decoders import moved
from tests.needed_data import needs

SMALL = {"layers": 1, "heads": 2, "embed": 8, "hidden": 6, "batch_size": 8}
TINY = [part for name, value in SMALL.items() for part in (f"--{name.replace('_', '-')}", str(value))]
TINY += ["--channels", "2", "3", "--warmup", "1", "--without", "nobody", "george"]
NETWORKS = ("cnn", "lstm", "conformer")
by_network = pytest.mark.parametrize("network", NETWORKS)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Each digit two tones of its own, by two people, one of whom is an octave higher: 40 train, 20 test."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for digit, (octave, speaker), index in itertools.product(range(10), enumerate(("george", "theo")), (4, 5, 6)):
        time = np.arange(rng.integers(800, 9000)) / RATE
        pitch = 150 * 2**octave * 1.5 ** np.where(time < time[-1] / 2, digit % 5, digit // 2)
        wave = np.sin(2 * np.pi * pitch * time) + 0.05 * rng.normal(size=time.shape)
        write_one(root, digit, speaker, index, 8000 * wave)
    return str(root)


def test_a_run_reports_what_it_hears_of_whom(tmp_path, data_dir, capsys):
    command = [*TINY, "--steps", "2", "--data-dir", data_dir, "--workdir", str(tmp_path / "run")]
    launch(spoken_digits.experiment, Config, command)
    result = loads(capsys.readouterr().out.splitlines()[-1])
    assert set(result) == {"test_accuracy", "unseen_accuracy", "unseen_george", "seconds", "params_digest"}
    report = (tmp_path / "run" / "report.html").read_text()
    assert "by people who are known" in report
    assert "By each of whom training has heard nothing" in report


def test_spectrograms_are_those_of_the_recordings_alone(data_dir):
    data, names = heard(data_dir)
    assert names == ("george", "theo")
    assert [len(part["y"]) for part in data[:3]] == [36, 4, 20]
    for part in data[:3]:
        real = np.arange(FRAMES) < part["length"][:, None]
        assert part["x"].shape == (len(real), FRAMES, BANDS)
        assert not part["x"][~real].any()
        np.testing.assert_allclose(part["x"].sum(1), 0, atol=1e-3)
    wave = np.random.default_rng(0).normal(size=(1, 5 * HOP)).astype(np.float32)
    longer = np.concatenate([wave, np.zeros((1, 7 * HOP), np.float32)], 1)
    for a, b in zip(log_mel(wave, np.array([5 * HOP])), log_mel(longer, np.array([5 * HOP])), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_who_is_left_out_changes_nothing_of_the_network_that_must_not_hear_them():
    left_out = np.array([-1, 1])
    spec = jnn.stack(listener_spec("cnn", Config(channels=(2, 3))), 2, "networks")
    rng = np.random.default_rng(0)
    batch = {"x": rng.normal(size=(4, 8, BANDS)).astype(np.float32), "length": np.array([8, 3, 5, 8])}
    batch |= {"y": np.arange(4), "speaker": np.array([0, 1, 0, 1]), "weight": np.ones(4, np.float32)}
    other = np.where((batch["speaker"] == 1)[:, None, None], 9.0, batch["x"]).astype(np.float32)

    @jax.jit
    def gradient(p, x):
        ctx = jnn.train.Context(None, jax.random.key(0), 0)
        return jax.grad(lambda p: spoken_digits.loss(p, batch | {"x": x}, ctx, left_out, 0.0).values.sum())(p)

    p = moved(spec)
    one, two = (jnn.flatten(gradient(p, x)) for x in (batch["x"], other))
    for path, leaf in one.items():
        np.testing.assert_array_equal(leaf[1], two[path][1], err_msg=path)
    assert any(np.abs(leaf[0] - two[path][0]).max() > 1e-3 for path, leaf in one.items())


def in_torch(p, config):
    """jnn's parameters by the peer's names."""
    turned = lambda w: np.moveaxis(np.asarray(w), (-1, -2), (0, 1))  # (*kernel, in, out) -> (out, in, *kernel)
    found = {"out.weight": turned(p["out"]["w"]), "out.bias": p["out"]["b"]}
    for i in range(len(p.get("units", ()))):
        unit = p["units"][f"unit{i}"]
        found |= {f"rows.units.{i}.0.weight": turned(unit["conv"]["w"])}
        found |= {f"rows.units.{i}.1.{a}": unit["norm"][b] for a, b in (("weight", "scale"), ("bias", "bias"))}
    for direction, behind in (("forward", ""), ("backward", "_reverse")) if "lstm" in p else ():
        own = p["lstm"][direction]
        for ours, theirs in (("input", "ih"), ("recurrent", "hh")):
            found[f"rows.cell.weight_{theirs}_l0{behind}"] = np.asarray(own[ours]["w"]).reshape(-1, 4 * config.hidden).T
        found[f"rows.cell.bias_ih_l0{behind}"] = np.asarray(own["input"]["b"]).ravel()
        found[f"rows.cell.bias_hh_l0{behind}"] = np.zeros(4 * config.hidden)
    if "conformer" in p:
        found |= {"rows.frames.weight": turned(p["frames"]["w"]), "rows.frames.bias": p["frames"]["b"]}
        for i in range(config.layers):
            block = jax.tree.map(lambda x, i=i: np.asarray(x[i]), p["conformer"]["blocks"])
            found |= {f"rows.blocks.{i}.{name}": x for name, x in block_in_torch(block, config.embed).items()}
    return {name: torch.tensor(np.asarray(x, np.float32)) for name, x in found.items()}


def block_in_torch(block, d):
    linear = lambda name, p: {f"{name}.weight": p["w"].T, f"{name}.bias": p["b"]}
    norm = lambda name, p: {f"{name}.weight": p["scale"], f"{name}.bias": p["bias"]}
    attention, conv = block["attention"], block["conv"]
    found = {
        "qkv.weight": np.concatenate([attention[n]["w"].reshape(d, d).T for n in "qkv"]),
        "qkv.bias": np.concatenate([attention[n]["b"].ravel() for n in "qkv"]),
        "o.weight": attention["o"]["w"].reshape(d, d).T,
        "o.bias": attention["o"]["b"],
        "depthwise.weight": conv["depthwise"]["w"].transpose(2, 1, 0),
        **linear("inward", conv["in"]),
        **linear("outward", conv["out"]),
        **norm("batch_norm", conv["norm"]),
        **norm("norm", block["norm"]),
    }
    for name in ("attention", "conv"):
        found |= norm(f"norm_{name}", block[f"norm_{name}"])
    for i in (1, 2):
        found |= norm(f"forward{i}.0", block[f"norm_forward{i}"])
        found |= linear(f"forward{i}.1", block[f"forward{i}"]["up"])
        found |= linear(f"forward{i}.3", block[f"forward{i}"]["down"])
    return found


@by_network
def test_the_peer_computes_what_jnn_does(network):
    """By its own statistics, as in training."""
    config = Config(**SMALL | {"layers": 2}, network=network, channels=(2, 3), dropout=0.0)
    p = moved(listener_spec(network, config))
    rng, length = np.random.default_rng(0), np.array([8, 3, 5])
    x = rng.normal(size=(3, 8, BANDS)).astype(np.float32) * (np.arange(8) < length[:, None])[..., None]
    ours, _ = jax.jit(lambda x, n: listen(p, x, n, None, weight=np.ones(3, np.float32), key=None, rate=0.0))(x, length)
    theirs = torch_spoken_digits.Listener(config).train()
    missing, unexpected = theirs.load_state_dict(in_torch(p, config), strict=False)
    assert not unexpected
    assert all("running" in name or "num_batches" in name for name in missing)
    with torch.no_grad():
        found = theirs(torch.from_numpy(x), torch.from_numpy(length))
    np.testing.assert_allclose(ours, found.numpy(), atol=5e-5)


@pytest.mark.slow
def test_the_peer_learns(data_dir):
    data, names = heard(data_dir)
    config = Config(**SMALL, channels=(8, 8), warmup=10, without=("nobody", "theo"), learning_rate=1e-2, dropout=0.0)
    found = [torch_spoken_digits.run(dataclasses.replace(config, steps=n), data, names) for n in (11, 100)]
    assert found[1]["test_accuracy"] > max(0.5, found[0]["test_accuracy"])
    assert set(found[1]) == {"test_accuracy", "unseen_accuracy", "unseen_theo"}


@pytest.mark.slow
@by_network
def test_a_short_run_learns_and_compiles_no_program_twice(tmp_path, caplog, network):
    needs("free_spoken_digits")
    config = Config(steps=150, warmup=20, network=network, without=("nobody", "theo"), workdir=str(tmp_path))
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        found = spoken_digits.experiment(config)
    compiled = re.findall(r"Finished XLA compilation of jit\((\w+)\)", caplog.text)
    assert [compiled.count(program) for program in ("sharded", "evaluate")] == [1, 1]
    assert found.metrics["test_accuracy"] > 0.5
    assert found.metrics["unseen_theo"] > 0.3
    losses = [row["train/loss"] for row in found.history]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.slow
@by_network
def test_a_killed_run_ends_with_the_bits_of_a_whole_one_and_it_can_be_looked_at_before(tmp_path, data_dir, network):
    options = [*TINY, "--steps", "12", "--data-dir", data_dir, "--network", network]
    resumed("experiments.spoken_digits", tmp_path, options)
    flown("experiments.spoken_digits", tmp_path, options)
    assert listener_stats_spec(listener_spec("lstm", Config())) is None
