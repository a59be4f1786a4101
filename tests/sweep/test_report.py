"""Pictures of a search: what they draw of what there is."""

import io

import pytest

from jnn.sweep import (
    Confirmation,
    Log,
    LogUniform,
    RandomSampler,
    Structure,
    SuccessiveHalving,
    confirm,
    report,
    search,
)
from tests.sweep import small


@pytest.fixture(scope="module")
def done():
    plan = SuccessiveHalving(members=8, rungs=(3, 6))
    where = {"metric": "accuracy", "mode": "max"}
    return search(small.shared(8), small.SPACE, plan, RandomSampler(small.SPACE, seed=1), small.arrays(40, 1), **where)


def test_all_pictures_are_drawn(done):
    once_more = confirm(done, small.arrays(40, 1), small.arrays(40, 2), top=2, seeds=3)
    assert isinstance(once_more, Confirmation)
    drawn = report.figures(done, once_more)
    assert len(drawn) >= 3
    for figure in drawn.values():
        figure.savefig(io.BytesIO())
    lines = report.parallel_coordinates(done).axes[0].lines
    assert len(lines) == 8 + len(small.SPACE) + 1  # a line each, and the axes


def test_who_came_further_is_before_who_did_not(done):
    order = report.comparable(done.log)
    steps = [done.log.steps()[number] for number in order]
    assert steps == sorted(steps, reverse=True)
    assert order[:4] == done.ranking()


def test_what_matters_is_found():
    pytest.importorskip("optuna")
    space = small.SPACE | {"width": Structure(4, 8)}
    points = RandomSampler(space, seed=0).ask(64)
    scores = [abs(point["dropout"] - 0.2) for point in points]
    row = {"numbers": list(range(64)), "steps": [3] * 64, "scores": scores}
    log = Log(space, [row | {"values": {str(i): point for i, point in enumerate(points)}}])
    shares = report.shares_of(log)
    assert max(shares, key=shares.get) == "dropout"
    assert shares["dropout"] > 0.7


def test_what_a_member_was_when_it_was_looked_at_matters():
    pytest.importorskip("optuna")
    begun = RandomSampler(small.SPACE, seed=0).ask(32)
    numbers, scores = list(range(32)), [abs(point["dropout"] - 0.2) for point in begun]
    row = {"numbers": numbers, "steps": [3] * 32, "scores": scores}
    rows = [row | {"values": {str(i): point for i, point in enumerate(begun)}}]
    before = report.shares_of(Log(small.SPACE, rows))
    rows.append(row | {"steps": [6] * 32, "values": {str(i): begun[0] for i in numbers}})  # all are copies of one
    assert report.shares_of(Log(small.SPACE, rows)) == before


def test_a_search_of_which_nobody_is_left_has_its_pictures():
    space = {"learning_rate": LogUniform(1e28, 1e30)}
    plan, sampler = SuccessiveHalving(members=2, rungs=(2,)), RandomSampler(space, seed=0)
    found = search(small.shared(8), space, plan, sampler, small.arrays(40, 1), tell=lambda line: None)
    assert found.ranking() == []
    assert len(report.figures(found)) == 2


@pytest.mark.parametrize(("scores", "different"), [([0.1, 0.2, 0.3], 3), ([0.2] * 8, 1)])
def test_few_or_equal_scores_say_nothing_of_importance(scores, different):
    points = RandomSampler(small.SPACE, seed=0).ask(len(scores))
    row = {"numbers": list(range(len(scores))), "steps": [3] * len(scores), "scores": scores}
    log = Log(small.SPACE, [row | {"values": {str(i): point for i, point in enumerate(points)}}])
    with pytest.raises(
        ValueError, match=f"more members than the 3 hyperparameters .*, found {len(scores)}, {different} of"
    ):
        report.shares_of(log)
