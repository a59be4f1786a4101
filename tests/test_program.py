"""Programs: options that the compiler knows, within other programs, donation."""

import jax
import numpy as np
import pytest

from jnn.program import COMPILER_OPTIONS, Program


@pytest.mark.parametrize("kind", COMPILER_OPTIONS)
def test_the_compiler_knows_its_options(kind):
    """One that this jaxlib does not know is an error."""
    assert Program(lambda x: 2 * x, kind)(np.float32(3)) == 6
    with pytest.raises(Exception, match="no_such_option"):
        jax.jit(lambda x: 2 * x, compiler_options={"no_such_option": "1"})(3.0)


def test_a_program_within_another_is_a_part_of_it():
    double = Program(lambda x: 2 * x, "step")
    assert jax.grad(lambda x: double(x) ** 2)(3.0) == 24
    assert jax.lax.scan(lambda c, x: (double(c), x), 1.0, np.ones(3))[0] == 8
    assert str(jax.make_jaxpr(double)(1.0)).count("mul") == 1


def test_a_program_donates():
    state = jax.numpy.ones(3)
    Program(lambda state: state + 1, "step", donate_argnums=(0,))(state)
    assert state.is_deleted()


def test_an_array_in_two_places_of_the_state_is_one_clear_error():
    w = jax.numpy.ones(3)
    step = Program(lambda state: jax.tree.map(lambda x: x + 1, state), "step", donate_argnums=(0,))
    with pytest.raises(ValueError, match=r"two places of the state.*jax\.tree\.map\(jnp\.copy, params\)"):
        step({"student": w, "teacher": w})


def test_a_program_shows_its_jaxpr():
    assert str(Program(lambda x: 2 * x, "step").trace(1.0).jaxpr).count("mul") == 1
