"""Candidates: every mesh once; and a queue of them, in the order that its laws say, whatever fits."""

import itertools
import math

import pytest

from jnn.preflight import Candidate
from jnn.preflight._candidates import Queue, candidates, meshes

POLICIES = ["dots", "names", "full"]


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


def test_what_talks_least_is_first():
    found = candidates(4, ("data", "tensor"), POLICIES, (1, 2))
    assert len(found) == len(set(found)) == 3 * 3 * 2
    assert [str(candidate) for candidate in found[:4]] == [
        "data=4, dots, 1 micro-batch",
        "data=4, names, 1 micro-batch",
        "data=4, full, 1 micro-batch",
        "data=4, dots, 2 micro-batches",
    ]
    assert {candidate.mesh for candidate in found[-6:]} == {"tensor=4"}


def walk(meshes_, fits):
    """The candidates in the order in which they come, and those that are compiled."""
    order = [Candidate(mesh, policy, 1) for policy in POLICIES for mesh in meshes_]
    queue, came, compiled = Queue(order, POLICIES), [], []
    for candidate in queue:
        came.append(candidate)
        if not queue.hopeless(candidate):
            compiled.append((candidate.mesh, candidate.policy))
            queue.tried(candidate, fits=fits[candidate.mesh] <= POLICIES.index(candidate.policy))
    assert queue.compiled == len(compiled)
    return order, came, compiled


@pytest.mark.parametrize("least", [*itertools.product(range(4), repeat=2)])
def test_law_each_comes_once_and_what_is_not_compiled_cannot_fit(least):
    """By the first policy that fits each of two meshes; 3 is none."""
    fits = dict(zip("ab", least, strict=True))
    order, came, compiled = walk("ab", fits)
    assert sorted(map(str, came)) == sorted(map(str, order))
    skipped = {(candidate.mesh, candidate.policy) for candidate in order} - set(compiled)
    assert {mesh for mesh, _ in skipped} == {mesh for mesh in "ab" if fits[mesh] == 3}
    assert all(policy == "names" for _, policy in skipped)


def test_the_order_learns():
    of = lambda **fits: [f"{mesh} {policy}" for mesh, policy in walk(tuple(fits), fits)[2]]
    assert of(a=0) == ["a dots", "a names", "a full"]
    assert of(a=0, b=3) == ["a dots", "b dots", "b full", "a names", "a full"]
    assert of(a=2, b=0) == ["a dots", "a full", "b dots", "a names", "b names", "b full"]
    assert of(a=1, b=1) == ["a dots", "a full", "b dots", "b full", "a names", "b names"]
