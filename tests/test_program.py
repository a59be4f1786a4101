"""Programs: options that the compiler knows, within other programs, donation."""

import jax
import numpy as np
import pytest

from jnn import program
from jnn.backend import machine, target
from jnn.program import COMPILER_OPTIONS, TPU_OPTIONS, Program, compiled, options_of


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


def test_options_are_of_a_chip():
    assert options_of("step", "cpu") == COMPILER_OPTIONS["step"]
    for chip, options in TPU_OPTIONS.items():
        with target("tpu", chip):
            assert options_of("step", machine(), {}) == options
            assert options_of("init", machine(), {}) is None
    assert options_of("step", "tpu:v9", {}) is options_of("step", "gpu", {}) is None


def test_what_the_user_has_set_stays(monkeypatch):
    monkeypatch.setitem(TPU_OPTIONS, "v5p", {"xla_tpu_one": True, "xla_tpu_two": True})
    assert options_of("step", "tpu:v5p", {"LIBTPU_INIT_ARGS": "--xla_tpu_one=false"}) == {"xla_tpu_two": True}


@pytest.fixture
def unknown(monkeypatch):
    """An option of steps that no compiler knows."""
    monkeypatch.setattr(program._refused, "options", frozenset())
    monkeypatch.setitem(COMPILER_OPTIONS, "step", {"xla_no_such": True} | COMPILER_OPTIONS["step"])


@pytest.mark.usefixtures("unknown")
def test_an_option_that_the_compiler_does_not_know_is_left_out():
    step = Program(lambda x: x + 1, "step", donate_argnums=(0,))
    with pytest.warns(UserWarning, match="does not know xla_no_such"):
        assert step(jax.numpy.float32(1)) == 2
    assert step(jax.numpy.float32(2)) == 3  # in silence
    assert options_of("step", "cpu") == {k: v for k, v in COMPILER_OPTIONS["step"].items() if k != "xla_no_such"}


@pytest.mark.usefixtures("unknown")
def test_so_it_is_ahead_of_time():
    step = Program(lambda x: x + 1, "step")
    with pytest.warns(UserWarning, match="does not know") as said:
        double = compiled(lambda: step.lower(1.0), {"xla_nor_this": True})
    assert double(np.float32(1)) == 2
    assert len(said) == 2
