"""The networks of the benchmarks: equal everywhere, at their own sizes and, where steps are made, at toy sizes."""

from __future__ import annotations

import dataclasses
import importlib
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.benchmarks import problems
from experiments.benchmarks.frameworks import FRAMEWORKS, TRAINED, build
from experiments.benchmarks.measure import likeliest
from experiments.benchmarks.problems import LEAVES, NAMES, PROBLEMS, batch

ROOT = Path(__file__).parents[1]
NEW = ("mobilenet", "resnet", "vit", "gcn", "diffusion", "moe")
CHEAP = ("gcn", "moe")  # to compile in every framework; of the others jnn alone is in the default suite
TOY = problems.Transformer(layers=2, width=8, heads=2, tokens=4, vocab=16)
TOYS = {
    "DECODERS": {name: dataclasses.replace(TOY, tokens=8) for name in problems.DECODERS},
    "VIT": TOY,
    "PATCH": 4,
    "MOBILENET": problems.MobileNet(stem=8, widths=(8, 16), strides=(1, 2), widen=2, last=8),
    "RESNET": problems.ResNet(widths=(4, 8)),
    "EXPERTS": problems.Experts(width=8, hidden=8, experts=3, vocab=16),
    "GRAPH": problems.Graph(nodes=12, pairs=9, words=10, hidden=4, classes=3),
    "UNET_WIDTHS": (8, 16),
    "UNET_GROUPS": 4,
    "GCN_DROPOUT": 0.0,  # of twelve nodes it would hide what eight steps learn
}
SHAPES = {"mobilenet": (4, 8, 8, 3), "resnet": (4, 16, 16, 3), "vit": (4, 8, 8, 3), "gcn": (12, 10)}
SHAPES |= {"diffusion": (4, 4, 4, 3), "moe": (4, 4), "decode": (4, 3), "gpt": (4, 8), "deep": (2, 8)}


@pytest.fixture
def toys(monkeypatch):
    """Sizes at which a step takes a moment."""
    for name, value in TOYS.items():
        monkeypatch.setattr(problems, name, value)
    for name, shape in SHAPES.items():
        most = {"tokens": 16, "labels": 16} if PROBLEMS[name].tokens else {}
        most |= {"labels": 3} if name == "gcn" else {}
        monkeypatch.setitem(PROBLEMS, name, dataclasses.replace(PROBLEMS[name], shape=shape, **most))


def needs(framework):
    """The framework's package, or a test that is skipped and says so."""
    pytest.importorskip(FRAMEWORKS[framework].needs)


def parameters(framework, workload):
    """How many numbers a workload trains; in JAX's family found by shapes alone, so that nothing is compiled."""
    counts = []
    count = lambda: counts.append(build(framework, workload).parameters)
    count() if framework in ("torch", "keras") else jax.eval_shape(count)
    return counts[0]


@pytest.mark.parametrize("workload", [name for name in NAMES if name != "leaves 10,000"])
def test_every_framework_trains_the_same_network(workload, monkeypatch):
    # 48 layers are built as 3 are, only slower
    monkeypatch.setitem(problems.DECODERS, "deep", dataclasses.replace(problems.DECODERS["deep"], layers=3))
    others = [name for name in FRAMEWORKS if name not in ("jnn x16", "torch.compile", "keras", "haiku")]
    with jax.numpy_rank_promotion("allow"):  # others' code
        found = {name: parameters(name, workload) for name in others if workload in FRAMEWORKS[name].workloads}
    assert len(set(found.values())) == 1, found


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_has_what_its_table_says(framework):
    needs(framework)
    entry = FRAMEWORKS[framework]
    module = importlib.import_module(f"experiments.benchmarks.frameworks.{entry.module}")
    assert {*entry.workloads} <= {*module.NETWORKS, "decode"}
    assert {*entry.workloads} <= {*NAMES}


@pytest.mark.parametrize(("module", "others"), [("torch.networks", "jax"), ("jax.networks", "jnn")])
def test_a_framework_does_not_pay_for_another_ones_start(module, others):
    """What it imports counts to its first step, and to its memory."""
    pytest.importorskip(module.split(".")[0])
    code = f"import sys, experiments.benchmarks.frameworks.{module}; sys.exit({others!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("workload", [*TRAINED, *LEAVES])
def test_a_batch_can_not_be_learned_to_nothing(workload):
    x, y = (batch(workload)[name] for name in "xy")
    half = len(x) // 2
    assert (x[:half] == x[half:]).all()
    assert (y[:half] != y[half:]).any()


def test_the_graph_is_normalized_and_goes_both_ways():
    senders, receivers, weights = problems.edges(loops=True)
    size = problems.GRAPH
    assert len(senders) == 2 * size.pairs + size.nodes
    dense = np.zeros((size.nodes, size.nodes))
    np.add.at(dense, (receivers, senders), weights)
    np.testing.assert_array_equal(dense, dense.T)
    degrees = np.bincount(receivers, minlength=size.nodes)
    root = np.sqrt(degrees)
    np.testing.assert_allclose(dense @ root, root, rtol=1e-5)  # the eigenvector of 1
    plain = problems.edges(loops=False)
    np.testing.assert_array_equal(plain.senders, senders[: 2 * size.pairs])


def test_what_was_not_likeliest_is_refused():
    logits = np.eye(4)[None].repeat(2, 0)[:, [1, 2, 3, 0]]  # behind each token the next number
    tokens = np.arange(4)[None].repeat(2, 0)
    likeliest(tokens, logits, 1)
    with pytest.raises(RuntimeError, match="67% are those of the whole network"):
        likeliest(tokens + np.array([[0, 0, 0, 0], [0, 0, 1, -1]]), logits, 1)


def toys_of(frameworks):
    """Pairs of a framework and a workload, those that take long marked so."""
    for framework in frameworks:
        for workload in [name for name in (*NEW, "gpt") if name in FRAMEWORKS[framework].workloads]:
            fast = framework == "jnn" and workload not in ("diffusion", "gpt")
            marks = () if fast or workload in CHEAP else pytest.mark.slow
            yield pytest.param(framework, workload, marks=marks)


@pytest.mark.parametrize(("framework", "workload"), [*toys_of(["jnn", "jnn natural", "jax", "torch"])])
def test_a_toy_of_each_workload_learns(framework, workload, toys):
    needs(framework)
    with jax.numpy_rank_promotion("allow"):
        built = build(framework, workload)
        first, last = (built.read([built.step() for _ in range(steps)][-1]) for steps in (1, 8))
    built.check(first, last)


@pytest.mark.parametrize("framework", ["jnn", "jax", "torch"])
def test_what_is_decoded_is_what_the_whole_network_finds_likeliest(framework, toys):
    needs(framework)
    with jax.numpy_rank_promotion("allow"):
        built = build(framework, "decode")
        assert built.read(built.step()) in range(16)
        assert built.updates == 5
        built.check(0.0, 0.0)


@pytest.mark.parametrize("framework", ["jnn", "jax"])
def test_leaves_are_a_step_of_that_many_parameters(framework):
    built = build(framework, "leaves 10")
    first, last = built.read(built.step()), built.read(built.step())
    built.check(first, last)
    assert built.parameters == 10


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.compile's own
@pytest.mark.parametrize("workload", NAMES)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_workload_makes_a_step(framework, workload):
    needs(framework)
    if workload not in FRAMEWORKS[framework].workloads:
        pytest.skip(f"{framework} has no {workload}")
    with jax.numpy_rank_promotion("allow"):  # others' code
        build(framework, workload).step()


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["haiku", "keras"])
def test_oracles_train_the_same_networks(framework):
    needs(framework)
    with jax.numpy_rank_promotion("allow"):
        found = {name: parameters(framework, name) for name in FRAMEWORKS[framework].workloads}
    assert found == {name: parameters("jnn", name) for name in found}
