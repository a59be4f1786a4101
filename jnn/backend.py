"""Which formulation runs on which backend: the one table, with the measured reason for each row.

    choose(name) -> formulation                      one of the row's two
    Program(f, kind) -> jitted f                     with the backend's compiler options
    target(platform), recording() as chosen          trace for another backend; what a trace chose, and where

The formulations of a row are the same function of the same arguments; only their speed differs.
The choice is made while tracing, from `jax.default_backend()`, or from `target("tpu")` where a
program is lowered here for somewhere else. Target and recording are part of JAX's key for what it has traced: a
function that was traced for one backend is traced again for another.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import jax


@dataclasses.dataclass(frozen=True)
class Row:
    """The formulation on CPU, the one elsewhere, and why they differ."""

    cpu: str
    other: str
    why: str


TABLE = {
    "dense": Row(
        cpu="flat",
        other="batched",
        why="XLA:CPU runs (B, T, d) @ w 2.7 times slower than the same product with B and T merged; "
        "elsewhere merging could force a sharded time axis to be gathered",
    ),
    "conv_of_one": Row(
        cpu="dot",
        other="conv",
        why="a 1x1 convolution is a product: its gradient (256 to 64 channels, 16 images 32x32) took 19.5 ms of one "
        "CPU core as a convolution and 10.5 as a flat product",
    ),
    "conv_depthwise": Row(
        cpu="shifts",
        other="conv",
        why="XLA:CPU's grouped convolution took 47 ms of one core where shifted multiply-adds took 19, gradient "
        "included, and 72 against 2 with stride 2 (3x3, 128 channels, 32 images 16x16); a hand-written gradient was "
        "within noise of that, and would lose forward mode",
    ),
    "max_pool": Row(
        cpu="slices",
        other="reduce_window",
        why="the gradient of XLA:CPU's window maximum is a scalar loop: 2x2 took 37 ms of one core, and 2.6 by maxima "
        "of strided slices, one axis after another; 3x3 with stride 2 took 58 against 5 (64 images 32x32, 32 channels)",
    ),
    "attention": Row(
        cpu="heads_first",
        other="fused",
        why="a training step of a 4-layer, 256-wide decoder took 187 ms of one CPU core with heads moved before time, "
        "212 with jax.nn.dot_product_attention, which elsewhere is where compilers look for a fused kernel",
    ),
    "lstm": Row(
        cpu="feature_major",
        other="scan",
        why="a training step of an LSTM (64 to 256 features, 128 steps, batch 64) took 177 ms of one CPU core as a "
        "scan of the cell and 140 with the weights on the left and a hand-written gradient, which has no forward mode; "
        "97 and 93 on two cores",
    ),
}

# Compiler options of a kind of program, on a CPU. "step": without YNNPACK's convolutions a training step of the
# CIFAR-10 network took 38 ms, and 65 with them (JAX 0.10.2); decoders and recurrences are indifferent. "init": every
# draw is its own piece of code that runs once; a 4-layer decoder's compiled in 2.0 s instead of 5.0, to the same bits.
COMPILER_OPTIONS: dict[str, dict[str, Any]] = {
    "step": {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"},
    "init": {"xla_backend_optimization_level": 1},
}

_JAX = os.path.dirname(jax.__file__) + os.sep
_target = jax.make_user_context(default_value=None)
_record = jax.make_user_context(default_value=None)


@dataclasses.dataclass(frozen=True)
class Choice:
    """A formulation that a trace chose, why, the function that asked, and the lines (file, line) that called it."""

    name: str
    formulation: str
    why: str
    file: str
    function: str
    callers: tuple[tuple[str, int], ...]  # innermost first, without JAX's own

    def __str__(self) -> str:
        return f"{self.name}: {self.formulation}"


def choose(name: str) -> str:
    """The formulation of `TABLE[name]` for the backend that this trace is for."""
    row = TABLE[name]
    formulation = row.cpu if (_target.value or jax.default_backend()) == "cpu" else row.other
    if _record.value is not None:
        asking = sys._getframe(1)
        where = asking.f_code.co_filename, asking.f_code.co_qualname
        _record.value.add(Choice(name, formulation, row.why, *where, tuple(_callers(asking))))
    return formulation


def _callers(frame: types.FrameType) -> Iterator[tuple[str, int]]:
    caller = frame.f_back
    while caller is not None:
        if not caller.f_code.co_filename.startswith(_JAX):
            yield caller.f_code.co_filename, caller.f_lineno
        caller = caller.f_back


class Program:
    """`jax.jit(f)` with the compiler options of the backend; within another program, a part of that one.

    >>> double = Program(lambda x: 2 * x, "step")
    >>> double(3).item(), jax.jit(double)(3).item()
    (6, 6)
    """

    def __init__(
        self, f: Callable[..., Any], kind: str, *, donate_argnums: tuple[int, ...] = (), out_shardings: Any = None
    ) -> None:
        self._part = jax.jit(f, out_shardings=out_shardings)  # its buffers are the whole's to donate
        whole = functools.partial(jax.jit, f, donate_argnums=donate_argnums, out_shardings=out_shardings)
        options = lambda target: COMPILER_OPTIONS[kind] if (target or jax.default_backend()) == "cpu" else None
        # asked for at the first call: jax.distributed.initialize must come before the first question for a backend
        self._whole = functools.cache(lambda target: whole(compiler_options=options(target)))

    def __call__(self, *args: Any) -> Any:
        try:
            return self._whole(_target.value)(*args)
        except ValueError as error:
            # JAX refuses options within a program, whatever the arguments; to ask first would cost every call some
            # microseconds, and there is no public question
            if "compiler_options" not in str(error):
                raise
        return self._part(*args)

    def trace(self, *args: Any) -> jax.stages.Traced:
        """As a jitted function's: its jaxpr, before anything is lowered."""
        return self._whole(_target.value).trace(*args)

    def lower(self, *args: Any) -> jax.stages.Lowered:
        """As a jitted function's: to look at what is compiled, or to compile it for somewhere else."""
        return self._whole(_target.value).lower(*args)


@contextlib.contextmanager
def target(platform: str) -> Iterator[None]:
    """Traces for another backend than the default one.

    >>> with target("tpu"):
    ...     choose("dense")
    'batched'
    """
    with _target(platform):
        yield


class _Record:
    """Choices in the order they were made, each once; compared by identity, as a key for JAX must be."""

    def __init__(self, outer: _Record | None) -> None:
        self.choices: list[Choice] = []
        self._outer = outer

    def add(self, choice: Choice) -> None:
        if choice not in self.choices:
            self.choices.append(choice)
        if self._outer is not None:
            self._outer.add(choice)


@contextlib.contextmanager
def recording() -> Iterator[list[Choice]]:
    """Collects what is chosen while tracing; whatever was traced before is traced again.

    >>> with recording() as chosen, target("cpu"):
    ...     formulation = choose("dense")
    >>> print(chosen[0])
    dense: flat
    """
    record = _Record(_record.value)
    with _record(record):
        yield record.choices
