"""The strict environment: eight CPU devices, warnings as errors (pyproject), no silent rank promotion."""

import os
from collections.abc import Iterator

FLAGS = (
    "--xla_force_host_platform_device_count=8",
    "--xla_backend_optimization_level=0",  # tests compile much and compute little: half the time
    "--xla_llvm_disable_expensive_passes=true",
)
os.environ["XLA_FLAGS"] = " ".join((os.environ.get("XLA_FLAGS", ""), *FLAGS))
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled_programs() -> Iterator[None]:
    """A run of all tests compiles thousands of programs: keep those of one file at a time."""
    yield
    jax.clear_caches()
