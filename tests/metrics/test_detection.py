"""Mean average precision against a plain matching of lists, and against pycocotools where it is installed."""

import contextlib
import io

import numpy as np
import pytest

from jnn import metrics as M
from jnn.boxes import box_area, box_iou
from jnn.metrics._detection import _area, _box_iou
from tests.oracle import configurations

CLASSES = 3


def detected(rng, images=6, n=9, m=5):
    """True boxes, some of them crowds, and detections near them; -1 where there are none; scores with ties."""
    corner = rng.uniform(0, 100, (images, m, 2))
    true = np.concatenate([corner, corner + rng.uniform(2, 60, (images, m, 2))], -1)
    near = true[:, rng.integers(0, m, n)]
    boxes = near + rng.normal(0, 0.06, near.shape) * np.tile(near[..., 2:] - near[..., :2], 2)
    boxes[..., 2:] = np.maximum(boxes[..., 2:], boxes[..., :2] + 1)
    labels, true_labels = rng.integers(-1, CLASSES, (images, n)), rng.integers(-1, CLASSES - 1, (images, m))
    scores = rng.integers(0, 12, (images, n)) / 12
    return (boxes, scores, labels, true, true_labels), (rng.uniform(size=(images, m)) < 0.2)


def overlap(a, b, crowd):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    both = width * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return both / (size(a) if crowd else size(a) + size(b) - both)


def size(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def test_overlaps_are_those_of_jnn_boxes():
    """Of boxes whose corners are in the wrong order, too."""
    a, b = (np.random.default_rng(0).uniform(0, 9, (n, 4)).astype(np.float32) for n in (40, 30))
    np.testing.assert_allclose(_area(a), box_area(a), rtol=1e-5)
    np.testing.assert_allclose(_box_iou(a, b, np.zeros(len(b), bool)), box_iou(a, b), rtol=1e-4, atol=1e-7)


def average_precision(arrays, crowd, label, threshold, area, most):
    """Of one class, in lists: (score, right) of all detections that count, then the area under the steps."""
    outcomes, number = [], 0
    for boxes, scores, labels, true, true_labels, region in zip(*arrays, crowd, strict=True):
        targets = [(t, bool(r)) for t, y, r in zip(true, true_labels, region, strict=True) if y == label]
        counted = [not r and area[0] <= size(t) <= area[1] for t, r in targets]
        number += sum(counted)
        mine = sorted(((-s, i) for i, (s, y) in enumerate(zip(scores, labels, strict=True)) if y == label))[:most]
        taken = set()
        for score, i in mine:
            near = [(overlap(boxes[i], t, r), j) for j, (t, r) in enumerate(targets)]
            free = [(iou, j) for iou, j in near if iou >= threshold and (targets[j][1] or j not in taken)]
            best = max([pair for pair in free if counted[pair[1]]] or free, default=None)
            if best:
                taken.add(best[1])
            if counted[best[1]] if best else area[0] <= size(boxes[i]) <= area[1]:
                outcomes.append((score, best is not None))
    if not number:
        return np.nan, np.nan
    right = [hit for _, hit in sorted(outcomes, key=lambda outcome: outcome[0])]
    points = [(sum(right[: k + 1]) / number, sum(right[: k + 1]) / (k + 1)) for k in range(len(right))]
    reached = [max((p for r, p in points if r >= k / 100 - 1e-12), default=0) for k in range(101)]
    return np.mean(reached), sum(right) / number


@pytest.mark.parametrize("rng", configurations(fast=[0, 1]), ids=range(20))
def test_average_precision_of_boxes_is_that_of_lists(rng):
    arrays, crowd = detected(rng)
    for thresholds, area, most in [((0.5, 0.75), (0, np.inf), 100), ((0.5,), (300, 1500), 2)]:
        options = {"thresholds": thresholds, "area": area, "max_detections": most}
        ours = M.mean_average_precision(*arrays, num_classes=CLASSES, crowd=crowd, **options)
        theirs = [[average_precision(arrays, crowd, c, t, area, most) for c in range(CLASSES)] for t in thresholds]
        np.testing.assert_allclose(np.stack(ours, -1), theirs, rtol=1e-9)
        np.testing.assert_allclose(ours.value(), np.nanmean(np.array(theirs)[..., 0]), rtol=1e-9)
        np.testing.assert_allclose(ours.mean_recall(), np.nanmean(np.array(theirs)[..., 1]), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_average_precision_of_boxes_is_cocos(rng):
    coco, evaluation = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    (boxes, scores, labels, true, true_labels), crowd = detected(rng)
    sided = lambda box: [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]
    named = lambda i, label: {"image_id": i + 1, "category_id": int(label) + 1}
    annotations = [
        {
            **named(i, true_labels[i, j]),
            "bbox": sided(true[i, j]),
            "area": size(true[i, j]),
            "iscrowd": int(crowd[i, j]),
        }
        for i, j in np.ndindex(true_labels.shape)
        if true_labels[i, j] >= 0
    ]
    results = [
        {**named(i, labels[i, j]), "bbox": sided(boxes[i, j]), "score": scores[i, j]}
        for i, j in np.ndindex(labels.shape)
        if labels[i, j] >= 0
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": i + 1} for i in range(len(boxes))],
            "categories": [{"id": c + 1} for c in range(CLASSES)],
            "annotations": [{**one, "id": k + 1} for k, one in enumerate(annotations)],
        }
        truth.createIndex()
        judge = evaluation.COCOeval(truth, truth.loadRes(results), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    for i, area in [(0, (0, 1e10)), (3, (0, 32**2)), (4, (32**2, 96**2))]:
        options = {"num_classes": CLASSES, "crowd": crowd, "area": area}
        ours = M.mean_average_precision(boxes, scores, labels, true, true_labels, **options)
        theirs = judge.stats[i] if judge.stats[i] >= 0 else np.nan
        np.testing.assert_allclose(ours.value(), theirs, rtol=1e-9)
        theirs = judge.stats[{0: 8, 3: 9, 4: 10}[i]]
        np.testing.assert_allclose(ours.mean_recall(), theirs if theirs >= 0 else np.nan, rtol=1e-9)


def test_concatenated_batches_have_the_precision_of_the_whole_and_images_of_weight_zero_are_not_there():
    arrays, _ = detected(np.random.default_rng(0))
    expected = M.mean_average_precision(*(x[[0, 1, 3, 4]] for x in arrays), num_classes=CLASSES)
    weight = np.array([1, 1, 0, 1, 1, 0])
    parts = [[M.concatenation(x[i : i + 3], weight[i : i + 3]) for x in arrays] for i in (0, 3)]
    merged = M.mean_average_precision(*(metric.value() for metric in M.merge(*parts)), num_classes=CLASSES)
    np.testing.assert_array_equal(np.stack(merged), np.stack(expected))


def test_without_a_true_box_there_is_no_precision_and_without_a_detection_it_is_zero():
    (boxes, scores, labels, true, true_labels), _ = detected(np.random.default_rng(0))
    nothing = lambda x: np.full_like(x, -1)
    of = lambda *arrays: M.mean_average_precision(*arrays, num_classes=CLASSES).value()
    assert np.isnan(of(boxes, scores, labels, true, nothing(true_labels)))
    assert of(boxes, scores, nothing(labels), true, true_labels) == 0
    assert of(true, np.ones(true_labels.shape), true_labels, true, true_labels) == 1
