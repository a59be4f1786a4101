"""Nuclei, told apart: parts that share none, networks that do not see each other, and a peer that computes the same."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from PIL import Image

import jnn
from experiments import datasets, segment
from experiments.harness import launch
from experiments.peers import torch_segment
from experiments.segment import Config
from jnn.data import Batches
from jnn.models import batch_stats_spec
from jnn.strict_json import loads
from jnn.train import Context, create_state, make_step
from tests.experiments.test_kills import check
from tests.needed_data import needs

TINY = {"steps": 2, "batch_size": 8, "tile": 32, "widths": (2, 3)}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A picture of discs, brighter than what is around them, some of which touch."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    down, right = np.mgrid[:512, :512]
    x, ids = rng.normal(20, 3, (512, 512)), np.zeros((512, 512), np.uint16)
    for number, (i, j) in enumerate(rng.uniform(0, 512, (150, 2)), 1):
        disc = (down - i) ** 2 + (right - j) ** 2 < rng.uniform(8, 14) ** 2
        ids[disc & (ids == 0)] = number
        x[disc] += 60
    (folder / "nuclei").mkdir()
    for name, image in (("img", x.clip(0, 255)), ("mask", ids)):
        Image.fromarray(image.astype(np.uint16)).save(folder / "nuclei" / f"{name}2d.tif")
    return str(folder)


@pytest.fixture(scope="module")
def tiny(data_dir):
    """Tiny networks with the statistics of a batch, and the data."""
    config = Config(**TINY, data_dir=data_dir)
    data, spec = datasets.nuclei(data_dir, config.tile), segment.networks_spec(config)
    params = jnn.init(spec, jax.random.key(0))
    stats = jax.tree.map(lambda x: x + 0.1, jnn.init(batch_stats_spec(spec), jax.random.key(0)))
    return config, data, params, stats


def options(folder, data_dir, **changes):
    """The command line of a tiny run."""
    given = {**TINY, "workdir": folder, "data_dir": data_dir, **changes}
    listed = lambda value: map(str, value) if isinstance(value, tuple) else [str(value)]
    return [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", *listed(value))]


def test_two_steps_move_all_networks_and_their_statistics(tiny):
    _, data, params, stats = tiny
    state = create_state(params, optax.adam(0.01), stats=stats)
    step, batches = make_step(segment.loss, optax.adam(0.01), jax.random.key(1)), Batches(data.train, 8, seed=0)
    for i in range(2):
        state, metrics = step(state, batches[i])
        assert 0 < metrics["loss"].value() < 5
        assert 0 <= metrics["iou"].value() <= 1
    for before, after in ((params, state.params), (stats, state.stats)):
        for path, x in jnn.flatten(before).items():
            assert (x != jnn.flatten(after)[path]).reshape(4, -1).any(1).all(), path


@pytest.mark.slow
def test_a_run_reports_its_scores_and_shows_what_it_found(tmp_path, data_dir, capsys):
    launch(segment.experiment, Config, options(tmp_path / "run", data_dir))
    result = loads(capsys.readouterr().out.splitlines()[-1])
    measured = {f"{name}_{what}" for name in ("validation", "test", "otsu") for what in ("ap50", "ap", "iou")}
    assert measured | {"seconds", "params_digest"} == set(result)
    assert result["otsu_ap50"] > 0.5  # discs are easy
    assert "Each quadrant by the network that has not seen it" in (tmp_path / "run" / "report.html").read_text()


def test_what_makes_no_sense_is_one_line(tmp_path, data_dir, capsys):
    wrong = {"tile": 40}, {"tile": 16, "widths": (2,) * 6}, {"widths": (0,)}
    for changes, said in zip(wrong, ("--tile: expected a multiple of 16", "5 halvings", "--widths"), strict=True):
        with pytest.raises(SystemExit) as end:
            launch(segment.experiment, Config, options(tmp_path / "run", data_dir, **changes))
        assert end.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        assert said in line


def test_no_pixel_and_no_nucleus_is_in_two_parts(tmp_path):
    """Of a picture whose levels say where they are, a nucleus every 20 pixels across."""
    place = np.arange(512 * 512).reshape(512, 512)
    down, right = np.divmod(place, 512)
    picture = {"x": place, "y": 1 + down // 20 * 30 + right // 20}
    for quadrant in range(4):
        train, validation, test = datasets._nuclei_without(picture, quadrant, 64)
        back = np.percentile(place[_trained(quadrant)], (1, 99.8))
        pixels = [np.rint(part["x"].astype(np.float64) * np.diff(back) + back[0]) for part in (train, validation, test)]
        seen = [set(own.ravel().tolist()) for own in pixels]
        assert len(seen[0]) == 2 * 224**2
        assert not seen[1] & seen[2]
        assert not seen[0] & (seen[1] | seen[2])
        assert test["ids"].shape == validation["ids"].shape == (1, 256, 256)
        kept = set(picture["y"][_trained(quadrant)].ravel())
        assert not kept & {*test["ids"].ravel(), *validation["ids"].ravel()}


def _trained(quadrant):
    """Which pixels train, where this quadrant tests: of the two that are opposite and before it, the outer part."""
    mask = np.zeros((512, 512), bool)
    for i in ((quadrant + 2) % 4, (quadrant + 3) % 4):
        down, right = i in (2, 3), i in (1, 2)
        mask[288 * down : 224 + 288 * down, 288 * right : 224 + 288 * right] = True
    return mask


def test_quadrants_come_back_to_their_places():
    image = np.arange(64).reshape(8, 8)
    np.testing.assert_array_equal(datasets.join_quadrants(np.stack(datasets._quadrants(image, 0))), image)


def test_a_rim_is_two_pixels_wide_and_parts_nuclei_that_touch():
    ids = np.zeros((9, 18), int)
    ids[1:8, 1:8], ids[1:8, 8:15] = 1, 2
    classes = datasets.nucleus_classes(ids)
    inside = np.zeros((9, 18), bool)
    inside[3:6, 3:6] = inside[3:6, 10:13] = True
    np.testing.assert_array_equal(classes == datasets.INSIDE, inside)
    np.testing.assert_array_equal(classes == datasets.OUTSIDE, ids == 0)


def test_an_image_and_its_classes_move_as_one():
    """Of an image that is its classes: where they are known they agree, but for what is between two of them."""
    y = np.zeros((4, 64, 64), np.uint8) + 1
    y[:, 10:40, 20:50] = 3
    x, moved = jax.jit(segment.augment)(y[..., None].astype(np.float32), y, jax.random.key(0))
    known = moved > 0
    assert 0.5 < known.mean() < 1
    assert (abs(x[..., 0] - moved)[known] <= 1).mean() > 0.98  # by half of what they differ by
    assert not np.array_equal(moved[0], moved[1])


def test_each_network_sees_its_own_images_alone(tiny):
    _, data, params, stats = tiny
    x = jnp.asarray(data.train["x"][:2])
    one = segment.probabilities(params, stats, x)
    other = segment.probabilities(params, stats, x.at[:, 2].set(0))
    np.testing.assert_array_equal(one[:, [0, 1, 3]], other[:, [0, 1, 3]])
    assert (one[:, 2] != other[:, 2]).any()


def in_torch(params, stats, i):
    """The parameters and statistics of network i by the peer's names."""
    own, seen = (jax.tree.map(lambda x: np.asarray(x[i]), tree) for tree in (params, stats))
    kernel = lambda w: w.transpose(3, 2, 0, 1)
    arrays = {"out.weight": kernel(own["out"]["w"]), "out.bias": own["out"]["b"]}
    for name in own.keys() - {"out"}:
        level = int(name[-1]) - 1
        for k in range(2):
            at, unit, norm = f"{name[:-1]}.{level}", own[name][f"unit{k + 1}"], seen[name][f"unit{k + 1}"]["norm"]
            arrays[f"{at}.{3 * k}.weight"] = kernel(unit["conv"]["w"])
            means = {"running_mean": norm["mean"], "running_var": norm["var"], "num_batches_tracked": np.int64(0)}
            scale = {"weight": unit["norm"]["scale"], "bias": unit["norm"]["bias"]}
            arrays |= {f"{at}.{3 * k + 1}.{part}": array for part, array in (scale | means).items()}
        if "enlarge" in own[name]:
            w, b = (own[name]["enlarge"][part] for part in "wb")
            arrays |= {f"enlarge.{level}.weight": w.transpose(2, 3, 0, 1), f"enlarge.{level}.bias": b}
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def test_the_peer_computes_what_jnn_does(tiny):
    """Probabilities by running statistics, and the loss of a batch by its own, with pixels that are not known."""
    config, data, params, stats = tiny
    networks = [torch_segment.UNet(config.widths) for _ in range(4)]
    for i, network in enumerate(networks):
        network.load_state_dict(in_torch(params, stats, i))
    x, y = (data.train[name][:2].copy() for name in ("x", "y"))
    y[:, :, :5] = 0
    ours = segment.probabilities(params, stats, x[:1])[0]
    np.testing.assert_allclose(ours, torch_segment.probabilities(torch.nn.ModuleList(networks), x[0]), atol=1e-5)
    batch, ctx = {"x": x, "y": y, "weight": np.ones(2, np.float32)}, Context(None, jax.random.key(0), 0)
    value = jax.jit(lambda batch: segment.loss(params, batch, ctx).values.mean())(batch)
    tiles = lambda a, i: torch.from_numpy(a[:, i])
    with torch.no_grad():
        theirs = [
            torch_segment.loss_of(network.train()(tiles(x, i).movedim(-1, 1)), tiles(y, i))
            for i, network in enumerate(networks)
        ]
    assert float(value) == pytest.approx(float(sum(theirs)) / 4, rel=1e-5)


@pytest.mark.slow
def test_the_peer_learns(data_dir):
    config = Config(steps=20, widths=(8, 16), data_dir=data_dir)
    data = datasets.nuclei(data_dir, config.tile)

    def iou(steps):
        p = torch_segment.probabilities(
            torch_segment.train(dataclasses.replace(config, steps=steps), data), data.test["x"][0]
        )
        return segment.scores(np.stack([*map(segment.found_by_network, p)]), data.test["ids"][0])["iou"]

    assert iou(20) > max(0.7, iou(1))


@pytest.mark.slow
def test_a_short_run_finds_nuclei(tmp_path, capsys):
    needs("nuclei/img2d.tif")
    given = ["--steps", "60", "--widths", "8", "16", "32", "--workdir", str(tmp_path / "run")]
    launch(segment.experiment, Config, given)
    result = loads(capsys.readouterr().out.splitlines()[-1])
    assert result["test_iou"] > result["otsu_iou"]
    assert result["test_ap50"] > 0.4


@pytest.mark.slow
def test_killed_and_gone_on_with_is_uninterrupted(tmp_path, data_dir):
    given = options(tmp_path, data_dir, steps=40)
    changes = given[: given.index("--workdir")] + given[given.index("--data-dir") :]
    came, _ = check(("save",), 1, "experiments.segment", tmp_path, changes)
    assert came == ["save"]


@pytest.mark.slow
def test_a_preflight_reports(tmp_path, data_dir, capsys):
    given = options(tmp_path / "run", data_dir, batch_size=8, mesh="data=8", preflight="cpu:8")
    with pytest.raises(SystemExit) as end:
        launch(segment.experiment, Config, given)
    assert end.value.code == 0
    assert "data=8" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()
