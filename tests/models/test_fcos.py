"""FCOS: its head in torch, values and gradients; targets and detections in loops over points."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional as F

import jnn
from jnn import models
from jnn.boxes import non_maximum_suppression
from tests.oracle import assert_matches_torch, configurations


def head_in_torch(p, maps, groups):
    """The head, of parameters by their paths and of maps (b, y, x, c)."""
    conv = lambda name, y: F.conv2d(y, p[f"{name}/w"].permute(3, 2, 0, 1).contiguous(), p.get(f"{name}/b"), padding=1)

    def tower(name, y):
        for i in itertools.count(1):
            if f"{name}/unit{i}/conv/w" not in p:
                return y
            scale, bias = (p[f"{name}/unit{i}/norm/{part}"] for part in ("scale", "bias"))
            y = F.relu(F.group_norm(conv(f"{name}/unit{i}/conv", y), groups, scale, bias))

    found = []
    for level, x in enumerate(maps):
        classes, boxes = (tower(name, x.permute(0, 3, 1, 2)) for name in ("classes", "boxes"))
        distances = torch.exp(p["scale"][level] * conv("distances", boxes))
        each = conv("logits", classes), distances, conv("centerness", boxes)
        found.append(torch.cat([part.flatten(2).transpose(1, 2) for part in each], -1))
    return torch.cat(found, 1)


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_head_is_torchs(rng):
    groups, depth, classes = int(rng.integers(1, 3)), int(rng.integers(1, 3)), int(rng.integers(1, 4))
    channels, levels = groups * int(rng.integers(1, 4)) * 2, int(rng.integers(1, 4))
    spec = models.fcos_head_spec(channels, classes, levels=levels, depth=depth)
    names = list(jnn.flatten(spec))
    params = [rng.normal(0.3, 0.5, leaf.shape) for leaf in jnn.flatten(spec).values()]
    maps = [rng.normal(size=(2, *rng.integers(1, 5, 2), channels)) for _ in range(levels)]

    def ours(*arrays):
        tree = dict(zip(names, arrays[: len(names)], strict=True))
        p = jnn.map_paths(lambda path, _: tree[path], spec)
        found = models.fcos_head(p, arrays[len(names) :], groups=groups)
        return jnp.concatenate([found.logits, found.distances, found.centerness[..., None]], -1)

    theirs = lambda *arrays: head_in_torch(
        dict(zip(names, arrays[: len(names)], strict=True)), arrays[len(names) :], groups
    )
    assert_matches_torch(ours, theirs, [*params, *maps])


def test_before_any_training_classes_have_their_prior():
    p = jnn.init(models.fcos_head_spec(8, 3, levels=1, depth=1, prior=0.05), jax.random.key(0))
    found = models.fcos_head(p, [jnp.zeros((1, 4, 4, 8))], groups=2)
    np.testing.assert_allclose(jax.nn.sigmoid(found.logits), 0.05, rtol=1e-5)
    np.testing.assert_array_equal(found.distances, 1)


POINTS = models.fcos_points((32, 48), (4, 8, 16), (9, 18))


def test_points_are_those_of_the_maps_and_their_ranges_meet():
    assert len(POINTS.places) == 8 * 12 + 4 * 6 + 2 * 3
    assert {tuple(row) for row in np.asarray(POINTS.ranges).tolist()} == {(0, 9), (9, 18), (18, np.inf)}
    for stride, low in ((4, 0), (8, 9), (16, 18)):
        of_map = np.asarray(POINTS.strides) == stride
        assert (np.asarray(POINTS.ranges)[of_map, 0] == low).all()
        assert np.asarray(POINTS.places)[of_map].max(0).tolist() == [48 - stride / 2, 32 - stride / 2]
    assert len(models.fcos_points((30, 45), (4, 8, 16), (9, 18)).places) == len(POINTS.places)  # maps round up


def test_a_target_is_a_box_around_its_point_and_codes_find_it_again():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 24, (2, 6, 2))
    boxes = jnp.asarray(np.concatenate([low, low + rng.uniform(4, 24, (2, 6, 2))], -1), jnp.float32)
    labels = jnp.asarray(rng.integers(-1, 3, (2, 6)))
    own, found = map(np.asarray, models.fcos_targets(POINTS, boxes, labels))
    assert 0 < (found >= 0).sum() < found.size
    for i, j in np.argwhere(found >= 0):
        match = (np.asarray(boxes[i]) == own[i, j]).all(-1)
        assert found[i, j] in np.asarray(labels[i])[match]
        x, y = np.asarray(POINTS.places[j])
        assert own[i, j, 0] < x < own[i, j, 2]
        assert own[i, j, 1] < y < own[i, j, 3]
    sides = jnp.concatenate([POINTS.places[None] - own[..., :2], own[..., 2:] - POINTS.places[None]], -1)
    said = models.PointPredictions(found, sides / POINTS.strides[None, :, None], found)
    np.testing.assert_allclose(models.fcos_boxes(POINTS, said), own, atol=1e-4)


def test_detections_are_the_best_of_each_class():
    rng, n = np.random.default_rng(1), len(POINTS.places)
    said = models.PointPredictions(*(jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((n, 3), (n, 4), (n,))))
    said = said._replace(distances=jnp.exp(said.distances))
    boxes, scores, labels = models.fcos_detections(POINTS, said, (32, 48), candidates=60, most=20)
    sigmoid = lambda x: 1 / (1 + np.exp(-np.asarray(x)))
    table = np.sqrt(sigmoid(said.logits) * sigmoid(said.centerness)[:, None])
    pairs = sorted(np.ndindex(table.shape), key=lambda pair: -table[pair])[:60]
    every = np.clip(np.asarray(models.fcos_boxes(POINTS, said)), 0, [48, 32, 48, 32])
    mine = jnp.asarray([every[point] for point, _ in pairs])
    own = jnp.asarray([label for _, label in pairs])
    kept = non_maximum_suppression(mine, jnp.asarray([table[p] for p in pairs]), 20, labels=own, iou_threshold=0.6)
    np.testing.assert_allclose(boxes[labels >= 0], mine[kept.indices[kept.mask]], rtol=1e-5)
    np.testing.assert_array_equal(labels[labels >= 0], own[kept.indices[kept.mask]])
    np.testing.assert_allclose(scores, kept.scores, rtol=1e-5)
    one = models.fcos_detections(POINTS, said, (32, 48), score_threshold=0.999)
    assert (one[2] == -1).all()


def test_what_is_no_number_takes_no_detections_place():
    n = len(POINTS.places)
    logits = jnp.where(jnp.arange(n)[:, None] < 20, jnp.nan, jnp.zeros((n, 3)))
    said = models.PointPredictions(logits, jnp.ones((n, 4)), jnp.zeros(n))
    _, scores, labels = models.fcos_detections(POINTS, said, (32, 48), candidates=10, most=5)
    assert scores[0] == 0.5
    assert labels[0] >= 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, x: models.fcos_head(p, [x]), "fcos_head: expected 2 maps, found 1"),
        (lambda p, x: models.fcos_head_spec(4, 1, levels=1, prior=1.0), "fcos_head_spec: expected a prior"),
        (lambda p, x: models.fcos_points((8, 8), (8, 16), ()), "fcos_points: expected a rising limit between"),
        (
            lambda p, x: models.fcos_boxes(POINTS, models.fcos_head(p, [x, x], groups=2)),
            "fcos_boxes: expected predictions of 126 points",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    p = jnn.init(models.fcos_head_spec(4, 1, levels=2, depth=1), jax.random.key(0))
    with pytest.raises(ValueError, match=message):
        call(p, jnp.zeros((1, 4, 4, 4)))
