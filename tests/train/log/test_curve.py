"""Curves that are thinned as they grow."""

import itertools
import random

import pytest

from jnn.train.log._curve import STRETCHES, Curve


def grown(values, most=STRETCHES):
    curve = Curve(most)
    for step, value in enumerate(values):
        curve.add(step, value)
    return curve


@pytest.mark.parametrize("count", [0, 1, STRETCHES, STRETCHES + 1, 3 * STRETCHES, 12345])
def test_a_curve_keeps_its_ends_order_and_extremes(count):
    draw = random.Random(count)
    points = [(i, draw.gauss(0, 1)) for i in range(count)]
    kept = grown([value for _, value in points]).points
    assert len(kept) <= 2 * STRETCHES + 2
    assert set(kept) <= set(points)
    assert kept == sorted(kept)
    if count <= STRETCHES:
        assert kept == points
    for extreme in (min, max):
        assert extreme(kept, key=lambda p: p[1], default=0) == extreme(points, key=lambda p: p[1], default=0)


@pytest.mark.parametrize("count", [9, 40, 333, 1024])
def test_every_part_of_a_long_curve_is_drawn_as_densely(count):
    """Not the early ones ever more thinly."""
    steps = [step for step, _ in grown([0.0] * count, most=8).points]
    gaps = [b - a for a, b in itertools.pairwise(steps)]
    assert max(gaps) <= count // 2


@pytest.mark.parametrize("seed", range(20))
def test_what_is_new_since_then_replaces_all_from_its_start_on(seed):
    draw = random.Random(seed)
    curve, known = Curve(most=2 * draw.randrange(1, 9)), {}
    for at in range(1, 60):
        for _ in range(draw.randrange(4)):
            curve.add(at, draw.gauss(0, 1), at)
        whole = curve.since(0)[1]
        for then, stretches in known.items():
            start, news = curve.since(then)
            assert stretches[:start] + news == whole
        known[at] = list(whole)
