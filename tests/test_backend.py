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


def test_recording_collects_what_a_trace_chooses_though_it_was_traced_before():
    chosen_here = jax.jit(lambda x: x if backend.choose("dense") == "flat" else 2 * x)
    assert chosen_here(1.0) == 1
    with backend.recording() as outer:
        with backend.recording() as inner:
            chosen_here(1.0)
        backend.choose("attention")
    assert [str(choice) for choice in inner] == ["dense: flat"]
    assert [str(choice) for choice in outer] == ["dense: flat", "attention: heads_first"]
    assert inner[0].why == backend.TABLE["dense"].why
    assert inner[0].file == outer[1].file == inner[0].callers[0][0] == __file__
    assert outer[1].function == "test_recording_collects_what_a_trace_chooses_though_it_was_traced_before"
    backend.choose("lstm")
    assert len(outer) == 2


def test_a_function_that_was_traced_for_one_backend_is_traced_again_for_another():
    doubled = jax.jit(lambda x: x if backend.choose("dense") == "flat" else 2 * x)
    assert doubled(1.0) == 1
    with backend.target("tpu"):
        assert doubled(1.0) == 2
    assert doubled(1.0) == 1


def test_a_program_shows_its_jaxpr():
    assert str(backend.Program(lambda x: 2 * x, "step").trace(1.0).jaxpr).count("mul") == 1
