"""What `conftest.py` makes of the platform that the tests run on."""

import os

import jax
import pytest

from conftest import PLATFORMS, TOO_FEW
from jnn.parallel import mesh
from tests.tolerance import LOOSER, loosened


def test_the_platform_is_the_one_that_was_asked_for(pytestconfig):
    asked = pytestconfig.getoption("--platform")
    assert jax.default_backend() == asked
    assert set(PLATFORMS[asked][1:]) <= set(os.environ["XLA_FLAGS"].split())
    assert asked != "cpu" or jax.device_count() == 8
    assert loosened(rtol=0, atol=1e-3) == {"rtol": 0, "atol": 1e-3 * LOOSER[asked]}


@pytest.mark.parametrize("make", [lambda: jax.make_mesh((64,), ("x",)), lambda: mesh("data=16,fsdp=4")])
def test_errors_of_too_few_devices_are_told_from_others(make):
    """They skip a test on one GPU."""
    with pytest.raises(ValueError, match=TOO_FEW):
        make()
