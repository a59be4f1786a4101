"""The memory that restoring takes, by what a process ever held."""

import os

import pytest

from tests.train.checkpoint.harmed import finished, program


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "devices"), [("one", 1), ("prime", 1), ("many", 1), ("rows", 2), ("rows", 8), ("columns", 8)]
)
def test_restoring_needs_little_more_memory_than_the_state(tmp_path, kind, devices):
    """One array, one whose axes hardly divide, a hundred; sharded: by what the process ever held."""
    environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    finished(program("large", tmp_path, kind, env=environment))
    out = finished(program("measure", tmp_path, kind, env=environment))
    assert 1 <= float(out) < 1.3
