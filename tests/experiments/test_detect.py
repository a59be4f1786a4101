"""Detection, tiny: a run on made photographs reports; scenes are disjoint; the peer computes what jnn does."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from PIL import Image

import jnn
from experiments import detect, scenes
from experiments.detect import Config
from experiments.harness import launch
from experiments.peers import torch_detect
from jnn.data import trees
from jnn.strict_json import loads
from jnn.train import Context
from tests.experiments.shortened import resumed
from tests.needed_data import needs
from tests.programs import ALONE

ROOT = Path(__file__).parents[2]
TINY = ["--steps", "2", "--warmup", "1", "--widths", "8", "8", "8", "8", "--width", "8"]
SAME = {"warmup": 1, "widths": (8, 8, 8, 8), "width": 8, "batch_size": 4}
SMALL = Config(widths=(8, 8, 16, 8), width=8)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Photographs of light crowns on dark ground, and their boxes."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "trees").mkdir()
    rng, lines = np.random.default_rng(0), ["image_path,xmin,ymin,xmax,ymax,label"]
    for name, height in ((scenes.HELD_OUT, 1600), (scenes.TEST, 320), ("other.png", 320)):
        x = rng.integers(0, 60, (height, 320, 3)).astype(np.uint8)
        for _ in range(height // 25):
            (left, top), side = rng.integers(0, (280, height - 40)), rng.integers(12, 40)
            x[top : top + side, left : left + side, 1] = 200
            lines.append(f"{name},{left},{top},{left + side},{top + side},Tree")
        Image.fromarray(x).save(folder / "trees" / name)
    (folder / "trees" / "boxes.csv").write_text("\n".join(lines))
    return str(folder)


def test_the_loss_has_a_gradient_for_every_parameter_and_padding_none():
    """In training, at toy widths, of one scene and of one that fills the batch up."""
    rng = np.random.default_rng(0)
    draw = lambda path, param: rng.normal(0.1, 0.1, param.shape).astype(np.float32)  # a program less to compile
    params = jnn.map_paths(draw, detect.network_spec(Config(widths=(8, 8, 8, 8), width=8), 2))
    x = rng.integers(0, 256, (2, 160, 160, 3)).astype(np.uint8)
    boxes = np.tile(np.float32([[20, 30, 60, 60], [70, 80, 100, 140], [0, 0, 0, 0]]), (2, 1, 1))
    batch = {"x": x, "boxes": boxes, "labels": np.int32([[0, 1, -1]] * 2), "weight": np.float32([1, 0])}

    @jax.jit
    def step(params, batch, key):
        def total(params):
            out = detect.loss(params, batch, Context(key, key, jnp.int32(0)), upright=True)
            return (out.values * out.weights).sum() / out.weights.sum()

        return jax.value_and_grad(total)(params)

    value, gradient = step(params, batch, jax.random.key(1))
    assert np.isfinite(value)
    assert all(np.abs(g).max() > 0 and np.isfinite(g).all() for g in jax.tree.leaves(gradient))
    other = batch | {"x": np.stack([x[0], 255 - x[1]]), "labels": np.int32([[0, 1, -1], [1, -1, -1]])}
    jax.tree.map(np.testing.assert_array_equal, (value, gradient), step(params, other, jax.random.key(1)))


@pytest.mark.slow
def test_a_run_reports_what_it_finds(tmp_path, data_dir, capsys):
    launch(detect.experiment, Config, [*TINY, "--workdir", str(tmp_path / "run"), "--data-dir", data_dir])
    result = loads(capsys.readouterr().out.splitlines()[-1])
    assert {"val_map", "val_map50", "test_map", "test_map50", "seconds", "params_digest"} == set(result)
    assert "Test scenes: what is there, and what is found." in (tmp_path / "run" / "report.html").read_text()


def test_parts_are_of_other_photographs_or_places(data_dir):
    parts = scenes.tree_scenes(data_dir)
    assert [len(part["x"]) for part in parts[:3]] == [7 + 1, 1, 1]
    photographs = {name: one["x"] for name, one in trees(data_dir).items()}
    half = lambda x: x.reshape(len(x) // 2, 2, 160, 2, 3).mean((1, 3)).round()
    held_out = half(photographs[scenes.HELD_OUT])
    np.testing.assert_array_equal(parts.test["x"][0], half(photographs[scenes.TEST]))
    np.testing.assert_array_equal(parts.validation["x"][0], held_out[640:])
    for i, top in enumerate(range(0, 560, 80)):
        np.testing.assert_array_equal(parts.train["x"][i], held_out[top : top + 160])
    for part in parts[:3]:  # crowns are light where their boxes are
        for x, boxes, labels in zip(part["x"], part["boxes"], part["labels"], strict=True):
            for x0, y0, x1, y1 in boxes[labels == 0]:
                assert (x[int(np.ceil(y0)) : int(y1), int(np.ceil(x0)) : int(x1), 1] == 200).all()


def in_torch(params):
    """jnn's parameters by the peer's names."""
    arrays, names = {"scale": params["head"]["scale"]}, {"w": "weight", "b": "bias", "scale": "weight", "bias": "bias"}

    def add(name, part):
        for own, array in part.items():
            turned = np.atleast_1d(array)
            if own == "w":
                turned = turned.reshape((1, 1) * (turned.ndim == 2) + turned.shape).transpose(3, 2, 0, 1)
            arrays[f"{name}.{names[own]}"] = turned

    def add_unit(name, unit):
        add(f"{name}.conv", unit["conv"])
        add(f"{name}.norm", unit["norm"])

    add_unit("stem", params["stem"])
    for i, stage in enumerate(params["stages"]):
        for name, unit in stage.items():
            add_unit(f"stages.{i}.{name}", unit)
        for name in ("lateral", "out"):
            add(f"{name}.{i}", params["pyramid"][name][i])
    for tower in ("classes", "boxes"):
        for i in range(len(params["head"][tower])):
            add_unit(f"{tower}.{i}", params["head"][tower][f"unit{i + 1}"])
    for name in ("logits", "distances", "centerness"):
        add(name, params["head"][name])
    return {name: torch.tensor(np.asarray(array, np.float32)) for name, array in arrays.items()}


@pytest.mark.slow
def test_the_peer_computes_what_jnn_does(data_dir):
    """Of one batch what is predicted, and the loss."""
    params = jnn.init(detect.network_spec(SMALL, 2), jax.random.key(0))
    network = torch_detect.Detector(SMALL, 2).eval()
    network.load_state_dict(in_torch(params))
    batch = {name: array[:4] for name, array in scenes.tree_scenes(data_dir).train.items()}
    batch |= {"weight": np.float32([1, 1, 0, 1])}
    key = jax.random.key(3)
    arrays = tuple(torch.from_numpy(np.array(array)) for array in torch_detect.prepared(batch, key, False))
    ours = jax.jit(detect.network)(params, jnp.asarray(arrays[0].numpy()))
    with torch.no_grad():
        for mine, theirs in zip(ours, network(arrays[0]), strict=True):
            np.testing.assert_allclose(mine, theirs.numpy(), rtol=1e-3, atol=1e-4)
        theirs = float(torch_detect.loss_of(network, arrays))
    found = jax.jit(lambda p, b, key: detect.loss(p, b, Context(key, key, jnp.int32(0)), upright=False))(
        params, batch, key
    )
    ours = (found.values * found.weights).sum() / found.weights.sum()
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


@pytest.mark.slow
def test_the_peer_learns(data_dir):
    training = scenes.tree_scenes(data_dir).train
    arrays = torch_detect.prepared(training | {"weight": np.ones(8, np.float32)}, jax.random.key(1), False)
    batch = tuple(torch.from_numpy(np.array(array)) for array in arrays)
    first, last = (torch_detect.train(Config(steps=steps, **SAME), training, 1) for steps in (2, 12))
    assert torch_detect.loss_of(last, batch) < torch_detect.loss_of(first, batch)
    assert [len(x) for x in torch_detect.find_all(last, training["x"])] == [8, 8, 8]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "file", "steps", "least"), [("trees", "trees", 400, 0.2), ("garments", "fashion_mnist", 200, 0.02)]
)
def test_a_short_run_learns_and_compiles_no_program_twice(tmp_path, kind, file, steps, least):
    """A precision at an overlap of one half that a network before its training is far from."""
    needs(file)
    config = Config(steps=steps, warmup=20, scenes=kind, workdir=str(tmp_path), batch_size=8)
    before = detect.find._cache_size()
    outcome = detect.experiment(config)
    losses = [row["train/loss"] for row in outcome.history]
    assert losses[-1] < 0.9 * losses[0]
    assert outcome.metrics["test_map50"] > least
    assert detect.find._cache_size() - before <= 2  # batches of validation and of test


@pytest.mark.slow
def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(tmp_path, data_dir):
    options = [*TINY, "--steps", "12", "--data-dir", data_dir]
    resumed("experiments.detect", tmp_path, options)


@pytest.mark.slow
def test_a_preflight_reports(tmp_path, data_dir):
    command = [sys.executable, "-m", "experiments.detect", *TINY, "--data-dir", data_dir, "--workdir", str(tmp_path)]
    command += ["--preflight", "cpu:8", "--mesh", "data=8", "--preflight.json"]
    done = subprocess.run(command, cwd=ROOT, env=ALONE, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)


@pytest.mark.slow
def test_its_average_precision_is_cocos(data_dir):
    """Of what a network of noise finds in the test's photograph, moved from what is there."""
    coco, evaluation = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    needs("trees")
    part = scenes.tree_scenes().test
    params = jnn.init(detect.network_spec(SMALL, 1), jax.random.key(0))
    boxes, scores, labels = detect.find_all(params, part["x"])
    rng = np.random.default_rng(0)
    near = part["boxes"] + rng.normal(0, 1.5, part["boxes"].shape)
    boxes[:, : near.shape[1]], labels[:, : near.shape[1]] = near, part["labels"]
    sided = lambda box: [*map(float, box[:2]), *map(float, box[2:] - box[:2])]
    listed = lambda table, labels: [(i, j, sided(table[i, j])) for i, j in np.argwhere(labels >= 0)]
    truth = coco.COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": int(i)} for i in range(len(boxes))],
        "categories": [{"id": 1}],
        "annotations": [
            {"id": k + 1, "image_id": int(i), "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for k, (i, _, box) in enumerate(listed(part["boxes"], part["labels"]))
        ],
    }
    results = [
        {"image_id": int(i), "category_id": 1, "bbox": box, "score": float(scores[i, j])}
        for i, j, box in listed(boxes, labels)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        judge = evaluation.COCOeval(truth, truth.loadRes(results), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    ours = detect.scores_of((boxes, scores, labels), part, 1)
    assert ours["map50"] > 0.1
    np.testing.assert_allclose([ours["map"], ours["map50"]], judge.stats[:2], rtol=1e-9)
