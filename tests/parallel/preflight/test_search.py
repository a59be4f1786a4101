"""search: everything is ranked or dropped with its reason; bad input."""

import dataclasses
import functools
import json
import math

import pytest

from jnn.parallel.preflight import CHIPS, search, topology
from jnn.parallel.preflight.search import meshes
from tests.parallel.preflight.small import loss, small


@pytest.mark.parametrize(("devices", "axes"), [(1, "d"), (12, "df"), (8, "dft"), (64, "dfte")])
def test_law_every_way_to_share_devices_once(devices, axes):
    found = list(meshes(devices, axes))
    sizes = [{part.split("=")[0]: int(part.split("=")[1]) for part in text.split(",")} for text in found]
    assert len(set(found)) == len(found)
    assert all(math.prod(shape.values()) == devices for shape in sizes)
    exponents = [0] * 50
    rest = devices
    for prime in range(2, 50):
        while rest % prime == 0:
            exponents[prime] += 1
            rest //= prime
    assert len(found) == math.prod(math.comb(e + len(axes) - 1, len(axes) - 1) for e in exponents)


@functools.cache
def found():
    lines = []
    losses = {name: functools.partial(loss, remat=name) for name in ("dots", "full")}
    result = search(
        small(), "cpu:8", axes=("data", "tensor"), losses=losses, microbatches=(1, 4), compiles=3, log=lines.append
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
    moved = [sum(move.bytes for move in report.moves) for _, report in result.ranked]
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
    assert str(result).startswith("Nothing fits.")


@pytest.mark.parametrize("options", [{"axes": ()}, {"microbatches": ()}, {"microbatches": (0,)}, {"compiles": 0}])
def test_nothing_to_try_is_one_clear_error(options):
    with pytest.raises(ValueError, match="search: expected at least one axis, positive micro-batches, and compiles"):
        search(small(), "cpu:8", **options)


def test_an_unknown_machine_is_one_clear_error():
    with pytest.raises(ValueError, match="topology: expected a name"):
        search(small(), "v9:4x4")
