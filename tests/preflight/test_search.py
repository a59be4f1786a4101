"""search: everything is ranked or dropped with its reason; bad input."""

import dataclasses
import functools
import json

import optax
import pytest

from jnn.preflight import CHIPS, Search, search, topology
from tests.preflight.small import loss, pretend, small


@functools.cache
def found():
    lines = []
    losses = {name: functools.partial(loss, remat=name) for name in ("dots", "full")}
    result = search(
        small(optimizer=optax.sgd(0.1)),
        "cpu:8",
        axes=("data", "tensor"),
        losses=losses,
        microbatches=(1, 4),
        compiles=3,
        log=lines.append,
    )
    return result, lines


def test_every_candidate_is_ranked_or_dropped_with_its_reason():
    result, lines = found()
    assert len(result.ranked) == len(lines) == 3
    assert len(result.ranked) + len(result.dropped) == 4 * 2 * 2
    reasons = {str(candidate): why for candidate, why in result.dropped}
    assert reasons["tensor=8, dots, 1 micro-batch"].startswith("does not divide: blocks/attention/")
    assert reasons["data=8, full, 4 micro-batches"] == "8 devices and 4 micro-batches do not divide 48 rows"
    assert "not compiled: 3 were" in reasons.values()
    assert [str(candidate) for candidate, _ in result.ranked if candidate.mesh == "data=8"]  # what talks least first


def test_the_ranking_is_by_what_moves_where_no_peak_is_published():
    result, _ = found()
    moved = [sum(move.bytes for move in report.communication) for _, report in result.ranked]
    assert moved == sorted(moved)


def test_text_and_json_have_all_of_it():
    result, _ = found()
    data = json.loads(result.json())
    assert len(data["ranked"]) == 3
    assert all(candidate["report"]["fit"]["fits"] for candidate in data["ranked"])
    assert len(data["dropped"]) == len(result.dropped)
    assert str(result).splitlines()[1].startswith(result.ranked[0][0].mesh)


def test_a_state_that_does_not_fit_is_not_compiled():
    here = topology("cpu:8")
    tiny = dataclasses.replace(here, chip=dataclasses.replace(CHIPS["cpu"], memory=1000))
    result = search(small(), tiny, axes=("data",), log=lambda line: pytest.fail("compiled"))
    assert result.ranked == ()
    assert all("the state alone takes" in why for _, why in result.dropped)
    assert str(result).startswith("Nothing fits.\n")
    assert result.untried == 0


LOSSES = {name: functools.partial(loss, remat=name) for name in ("dots", "names", "full")}


def fitting(monkeypatch, *names, **options):
    """A search on eight devices of which these policies fit any mesh, and what it compiled."""
    pretend(monkeypatch, lambda job: job.loss.keywords["remat"] in names)
    lines = []
    found = search(small(), "cpu:8", losses=LOSSES, log=lines.append, **{"axes": ("data",)} | options)
    return found, [line.partition(":")[0].split(", ")[1] for line in lines]


def test_where_a_policy_does_not_fit_the_thriftiest_is_next(monkeypatch):
    found, compiled = fitting(monkeypatch, "full", compiles=2)
    assert compiled == ["dots", "full"]
    assert [candidate.policy for candidate, _ in found.ranked] == ["full"]
    assert {candidate.policy: why for candidate, why in found.dropped}["names"] == "not compiled: 2 were"
    assert fitting(monkeypatch, "full")[1] == ["dots", "full", "names"]
    assert fitting(monkeypatch, "dots", "names", "full")[1] == ["dots", "names", "full"]


def test_where_the_thriftiest_does_not_fit_none_between_is_compiled(monkeypatch):
    found, compiled = fitting(monkeypatch)
    assert compiled == ["dots", "full"]
    reasons = {candidate.policy: why for candidate, why in found.dropped}
    assert reasons["names"] == "full, which remembers least, does not fit"
    assert (found.untried, str(found).splitlines()[0]) == (0, "Nothing fits.")


@pytest.mark.parametrize(("compiles", "left"), [(1, 11), (7, 2)])
def test_that_nothing_fits_is_not_said_of_what_was_not_compiled(monkeypatch, compiles, left):
    found, compiled = fitting(monkeypatch, axes=("data", "fsdp"), compiles=compiles)  # four meshes
    assert (found.ranked, len(compiled)) == ((), compiles)
    assert str(found).splitlines()[0] == f"Nothing that was compiled fits; {left} candidates were not compiled."
    assert json.loads(found.json())["untried"] == found.untried == left
    assert len(found.dropped) == 4 * 3
    assert Search((), found.dropped[-1:]).left == "1 candidate was not compiled"


@pytest.mark.parametrize("options", [{"axes": ()}, {"microbatches": ()}, {"microbatches": (0,)}, {"compiles": 0}])
def test_nothing_to_try_is_one_clear_error(options):
    with pytest.raises(ValueError, match="search: expected at least one axis, positive micro-batches, and compiles"):
        search(small(), "cpu:8", **options)


def test_an_unknown_machine_is_one_clear_error():
    with pytest.raises(ValueError, match="topology: expected a name"):
        search(small(), "v9:4x4")
