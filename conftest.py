"""The strict environment: eight CPU devices, warnings as errors (pyproject), no silent rank promotion.

`pytest --platform gpu` runs the same tests on one GPU, at the highest precision and with the
tolerances of `tests/tolerance.py`; what needs more devices than there are is skipped.
"""

import atexit
import contextlib
import ctypes
import functools
import gc
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from jax._src.interpreters import mlir

from jnn.inspect import own_source_lines

OLD = jax.__version_info__ < (0, 11)
# Of JAX 0.10, and unknown to later ones: LLVM has a quarter of the work with what it is given.
OLD_EMITTERS = ("--xla_cpu_use_fusion_emitters=false",) if OLD else ()
PLATFORMS = {  # JAX's platforms, and XLA's flags
    "cpu": (
        "cpu",
        "--xla_force_host_platform_device_count=8",
        "--xla_backend_optimization_level=0",  # tests compile much and compute little: half the time
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_parallel_codegen_split_count=1",
        *OLD_EMITTERS,
    ),
    "gpu": ("cuda,cpu", "--xla_force_host_platform_device_count=8", "--xla_gpu_deterministic_ops=true"),
}
DTYPES = ("float64", "float32", "bfloat16")
ROOM = 3e9  # bytes of a worker, beyond which it forgets what it has compiled
TOO_FEW = re.compile(r"Number of devices \d+ must be >=|do not make up the number of devices")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--platform", choices=list(PLATFORMS), default="cpu", help="what the tests run on (%(default)s)")
    parser.addoption("--seed", type=int, default=0, help="of random configurations (%(default)s)")
    parser.addoption("--oracle-dtype", choices=DTYPES, default="float32", help="what is compared with torch")


def pytest_configure(config: pytest.Config) -> None:
    """Before anything asks JAX for its devices, in every worker too; programs that tests start inherit it."""
    os.environ["JNN_SEED"] = str(config.getoption("--seed"))
    os.environ["JNN_ORACLE_DTYPE"] = config.getoption("--oracle-dtype")
    os.environ.setdefault("GLIBC_TUNABLES", "")  # experiments that tests start do not start again for huge pages
    platform = config.getoption("--platform")
    names, *flags = PLATFORMS[platform]
    given = os.environ.get("XLA_FLAGS", "").split()
    os.environ["XLA_FLAGS"] = " ".join([*given, *(flag for flag in flags if flag not in given)])
    os.environ["JAX_PLATFORMS"] = names
    jax.config.update("jax_platforms", names)
    jax.config.update("jax_numpy_rank_promotion", "raise")
    _share_compiled_programs()
    if OLD:  # later ones use what MLIR knows of its dialects again; it takes longer to make than a small program
        mlir.make_ir_context = functools.cache(mlir.make_ir_context)
    if platform == "gpu":
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # programs that tests start share it
        jax.config.update("jax_default_matmul_precision", "highest")
        if not hasattr(config, "workerinput"):
            _check_gpu()


def _share_compiled_programs() -> None:
    """What one worker has compiled, no other compiles again.

    Programs that tests start have no part in it, unless a test says so: one that is killed, or whose disk is full,
    leaves halves of files there, and what JAX says of these is among its output.
    """
    if "JNN_COMPILED" not in os.environ:
        folder = os.environ["JNN_COMPILED"] = tempfile.mkdtemp()
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # read by the programs that tests start
    jax.config.update("jax_enable_compilation_cache", True)
    jax.config.update("jax_compilation_cache_dir", os.environ["JNN_COMPILED"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


def _check_gpu() -> None:
    """In a process of its own: this one shall hold no memory of the GPU that workers need."""
    asked = subprocess.run([sys.executable, "-c", "import jax; jax.devices('gpu')"], check=False, capture_output=True)
    if asked.returncode:
        raise pytest.UsageError(
            "--platform gpu: no GPU is visible to JAX. Install jax[cuda13] on a machine that has one."
        )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """`-n auto` is one worker on a GPU."""
    return 1 if config.getoption("--platform") == "gpu" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[object]:
    """A million objects of modules and of tests stay to the end: none is looked at again for being garbage."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """On one device, what asks for more is skipped."""
    try:
        return (yield)
    except ValueError as error:
        if item.config.getoption("--platform") == "gpu" and TOO_FEW.search(str(error)):
            pytest.skip(f"needs more devices than the {jax.device_count()} of this platform")
        raise


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """So is a file that asks for them when it is imported."""
    report = yield
    if report.failed and collector.config.getoption("--platform") == "gpu" and TOO_FEW.search(str(report.longrepr)):
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 0, f"needs more devices than the {jax.device_count()} of this platform")
    return report


@pytest.fixture(scope="module", autouse=True)
def _source_lines_of_its_own(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests of what reads compiled programs; others share those of equal programs, whatever their source lines."""
    reads = {"inspect", "preflight", "parallel", "kernels", "inspect.md", "parallel.md", "preflight.md"}
    with own_source_lines() if reads & set(request.path.parts) else contextlib.nullcontext():
        yield


@pytest.fixture(autouse=True)
def _forget_compiled_programs() -> Iterator[None]:
    """A run of all tests compiles thousands of programs: as many as there is room for stay."""
    yield
    if _resident_bytes() > ROOM:
        jax.clear_caches()
        getattr(mlir.make_ir_context, "cache_clear", lambda: None)()
        gc.collect()
        _return_freed_memory()


def _return_freed_memory() -> None:
    """What glibc keeps of it counts as resident: caches would be forgotten after every test from then on."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _resident_bytes() -> float:
    """The memory of this process; without Linux's `/proc` nobody knows."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") if statm.exists() else math.inf
