"""Capsules of several processes: one capsule with all that each held, replayed by one process on one device."""

import jax
import numpy as np
import pytest

from jnn.processes import by_first, on_host
from jnn.train import digest, read_capsule, replay
from tests.train import tiny
from tests.train.capsule.two import BAD, whole_batch
from tests.train.checkpoint.test_processes import together

PROGRAM = "tests.train.capsule.two"


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """The folder of a run that failed on two processes."""
    folder = tmp_path_factory.mktemp("two")
    together(PROGRAM, folder)
    return folder


def test_both_are_told_the_same_and_one_capsule_is_written(failed):
    first, second = ((failed / f"told-{i}").read_text().splitlines() for i in range(2))
    (capsule,) = (failed / "capsules").iterdir()
    assert first[0] == second[0]
    assert first[0].startswith(f"FloatingPointError: fit: the loss of step {BAD} is nan; batch['x'] is not finite")
    assert "first in row 5" in first[0]
    assert first[0].endswith(f"Make the step again: jnn.train.replay('{capsule}', step, state)")


def test_a_capsule_that_the_first_cannot_write_stops_both(failed):
    first, second = ((failed / f"told-{i}").read_text().splitlines() for i in range(2))
    assert first[1].startswith("NotADirectoryError: ")
    assert second[1] == "OSError: write_capsule: process 0 could not write the capsule; its own error says why."


def test_the_capsule_holds_what_all_of_them_held(failed):
    capsule = read_capsule(failed / "capsules" / f"step-{BAD}")
    assert digest(capsule.batch) == digest(whole_batch(BAD))
    state = tiny.state()
    for step in range(BAD):
        state, _ = tiny.step()(state, whole_batch(step))
    found = capsule.state_as(state)
    assert int(found.step) == BAD
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(state), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_one_process_replays_it(failed):
    found = replay(failed / "capsules" / f"step-{BAD}", tiny.step(), tiny.state())
    assert found.exit_code == 0
    assert "x  float32[8,4]" in str(found)
    assert "bad 1 of 32, first at [5, 2]" in str(found)


def test_alone_nothing_has_to_be_gathered():
    tree = {"x": np.ones(2), "keys": jax.random.split(jax.random.key(0), 2), "none": None, "text": "a"}
    found = on_host(tree)
    assert all(found[name] is tree[name] for name in tree)
    with pytest.raises(KeyError):
        by_first(lambda: {}["path"], "the first process could not")
