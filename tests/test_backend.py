"""The table of formulations, and choosing from it for another backend."""

import pytest

from jnn import backend


@pytest.mark.parametrize("name", backend.TABLE)
def test_a_row_names_two_formulations_and_why(name):
    row = backend.TABLE[name]
    assert row.cpu != row.other
    assert len(row.why.split()) >= 8
    assert backend.choose(name) == row.cpu
    with backend.target("tpu"):
        assert backend.choose(name) == row.other
        with backend.target("cpu"):
            assert backend.choose(name) == row.cpu
        assert backend.choose(name) == row.other


def test_the_target_ends_with_its_block_even_after_an_error():
    name = next(iter(backend.TABLE))
    with pytest.raises(RuntimeError, match="broken"), backend.target("gpu"):
        raise RuntimeError("broken")
    assert backend.choose(name) == backend.TABLE[name].cpu


def test_an_unknown_name_is_a_key_error():
    with pytest.raises(KeyError, match="no such row"):
        backend.choose("no such row")
