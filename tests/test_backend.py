"""The table of formulations, and choosing from it for another backend."""

import jax
import numpy as np
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


@pytest.mark.parametrize("kind", backend.COMPILER_OPTIONS)
def test_the_compiler_knows_its_options(kind):
    """One that this jaxlib does not know is an error."""
    assert backend.Program(lambda x: 2 * x, kind)(np.float32(3)) == 6
    with pytest.raises(Exception, match="no_such_option"):
        jax.jit(lambda x: 2 * x, compiler_options={"no_such_option": "1"})(3.0)


def test_a_program_within_another_is_a_part_of_it():
    double = backend.Program(lambda x: 2 * x, "step")
    assert jax.grad(lambda x: double(x) ** 2)(3.0) == 24
    assert jax.lax.scan(lambda c, x: (double(c), x), 1.0, np.ones(3))[0] == 8
    assert str(jax.make_jaxpr(double)(1.0)).count("mul") == 1


def test_a_program_donates():
    state = jax.numpy.ones(3)
    backend.Program(lambda state: state + 1, "step", donate_argnums=(0,))(state)
    assert state.is_deleted()
