"""Which formulation runs on which backend: the one table, with the measured reason for each row.

    choose(name, refusals) -> formulation            the backend's, or the plain one where that cannot run
    platform() -> "cpu", machine() -> "tpu:v5p"      what this trace is for
    target(platform, chip), recording() as chosen    trace for another backend; what a trace chose, where, and why
    make_deterministic(), nondeterminism() -> ""     asks a GPU for the same bits each time; why it may not give them

The formulations of a row are the same function of the same arguments; only their speed and memory differ.
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
from collections.abc import Callable, Iterator, Mapping, MutableMapping

import jax


@dataclasses.dataclass(frozen=True)
class Row:
    """The formulation on CPU, those on accelerators, the one anywhere else or where theirs cannot run, and why."""

    cpu: str
    other: str
    why: str
    tpu: str | None = None  # None: the other
    gpu: str | None = None
    onnx: str | None = None  # where a program is converted to ONNX

    def on(self, platform: str) -> str:
        """The formulation on "cpu", "tpu", "gpu", "cuda" or "onnx"."""
        own = {"cpu": self.cpu, "tpu": self.tpu, "gpu": self.gpu, "cuda": self.gpu, "onnx": self.onnx}
        return own.get(platform) or self.other


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
    "conv_gradient": Row(
        cpu="channels_last",
        other="any_layout",
        why="XLA:CPU turns the operands of a convolution to channels last, as its fast one needs, outside of loops "
        "alone: in a scan the gradient of two 3x3 (16 channels, 8 images 32x32) took 117 ms of one core, and 2.8 where "
        "the transposes have channels last; a training step of ResNet-20 (128 images), whose blocks are stacked, took "
        "21 s, and 1.1. Outside of loops both are the same",
    ),
    "conv_depthwise": Row(
        cpu="shifts",
        other="conv",
        why="XLA:CPU's grouped convolution took 47 ms of one core where shifted multiply-adds took 19, gradient "
        "included, and 72 against 2 with stride 2 (3x3, 128 channels, 32 images 16x16). The gradient "
        "by the filters, JAX's own, took another 24 ms (128 channels, 32 images 32x32), and 1.9 as sums of a few taps "
        "at a few places; that by the input 8.9 behind a batch norm, and 5.1 as slices of one array. A training step "
        "of MobileNetV2's blocks (32 images 32x32) 570, and 440; 275, and 245; with huge pages 131, and 88",
    ),
    "int_weights": Row(
        cpu="blocks",
        other="whole",
        why="XLA:CPU writes 8-bit weights as floats before a product: one row times 4096x4096 took 44 ms of processor "
        "time so, 4.1 in blocks of 64 rows, and 4.1 with weights of float32; 64 rows 67, 33 and 29. Eight rows times "
        "the transpose of a table 49152x576 took 75, 14 and 18. Up to 2 million weights, for more than one row, the "
        "blocks cost more than they save",
    ),
    "max_pool": Row(
        cpu="slices",
        onnx="slices",
        other="reduce_window",
        why="the gradient of XLA:CPU's window maximum is a scalar loop: 2x2 took 37 ms of one core, and 2.6 by maxima "
        "of strided slices, one axis after another; 3x3 with stride 2 took 58 against 5 (64 images 32x32, 32 "
        "channels). For ONNX: of a window maximum jax2onnx makes a pool over four axes, which ONNX Runtime refuses",
    ),
    "attention": Row(
        cpu="heads_first",
        tpu="splash",
        gpu="cudnn",
        other="fused",
        why="a training step of a 4-layer, 256-wide decoder took 187 ms of one CPU core with heads moved before time, "
        "212 with jax.nn.dot_product_attention. With its gradient (2 rows of 2,048 tokens, 8 heads of 128) that "
        "holds 537 MB of scores on a TPU v5e, 680 MB on an H100; splash attention none, cuDNN's 8.5 MB",
    ),
    "members": Row(
        cpu="one_by_one",
        other="side_by_side",
        why="the members of a sweep share no weights, so XLA:CPU computes their products one after another in any "
        "case, and a convolution of many as one with groups, which is slow. A step of one of 64 members took, one by "
        "one and side by side, 244 and 318 us of processor time (784-128-64-10, 32 rows), 2.2 and 6.9 ms (two "
        "convolutions of 8 and 16 channels, 32 images 28x28); as calls of one compiled step 360 us and 2.5 ms. In "
        "blocks of 4 it took 180 us and 3.6 ms. One by one, what is not to be computed is left out",
    ),
    "offload": Row(
        cpu="keep",
        other="pinned_host",
        why="a CPU has one memory: what is moved to the host's is there already",
    ),
    "experts": Row(
        cpu="loop",
        onnx="every",
        other="blocks",
        why="in twice as many equal blocks as rows would fill, half of what is computed is for nothing: the gradient "
        "of experts (8 of them, 256 to 512 features, 2,048 rows) took 104 ms of one CPU core, and 53 as a loop over "
        "blocks that ends with the last row; two rows (8 matrices 512x1536) 19 and 7, as what no row needs is not "
        "read. Loops of such steps leave other backends idle. For ONNX: how many blocks a batch of any size takes is "
        "no size that jax2onnx knows",
    ),
    "exchange": Row(
        cpu="rows",
        other="ragged",
        why="XLA:CPU has no ragged all-to-all: experts' tokens move there with all of the room that they might need",
    ),
    "lstm": Row(
        cpu="by_hand",
        other="scan",
        why="the gradient of an LSTM (64 to 256 features, 128 steps, batch 64) took 391 ms of processor time as a scan "
        "of the cell and 310 written by hand, and a forward pass 73 and 66. It has no forward mode",
    ),
    "gru": Row(
        cpu="by_hand",
        other="scan",
        why="the gradient of a GRU (64 to 128 features, 64 steps, batch 32) took 18.6 ms of processor time as a scan "
        "of the cell and 13.9 written by hand: that of the weights is one product after the loop. It has no forward "
        "mode. Forwards 4.0 and 3.9. With 256 features, 128 steps and batch 64 the gradient took 311 and 236",
    ),
}

_TPUS = {"TPU v5 lite": "v5e", "TPU v5": "v5p", "TPU v6 lite": "v6e", "TPU7x": "tpu7x"}  # by JAX's names of them
_DETERMINISTIC = "--xla_gpu_deterministic_ops"
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
    refused: bool  # whether the backend's own formulation could not run

    def __str__(self) -> str:
        return f"{self.name}: {self.formulation}"


def platform() -> str:
    """The backend that this trace is for: "cpu", "tpu", "gpu", ..."""
    return (_target.value or jax.default_backend()).partition(":")[0]


def machine() -> str:
    """The backend and, of a TPU, the chip that this trace is for: "cpu", "tpu:v5p", "tpu:v6e", ..."""
    if (there := _target.value) is not None:
        return there
    here = jax.default_backend()
    return here if here != "tpu" else f"tpu:{_tpu()}"


@functools.cache
def _tpu() -> str:
    """The chip that is here: asked for once, as every call of a step asks, and JAX lists all devices to say so."""
    return _TPUS.get(jax.devices()[0].device_kind, "")


def choose(name: str, refusals: Mapping[str, Callable[[], str]] | None = None) -> str:
    """The formulation of `TABLE[name]` for the backend that this trace is for.

    Args:
      name: of a row.
      refusals: formulation -> why it cannot run on these arguments, or "" where it can; asked of the backend's alone.
        One that cannot run gives way to the row's other, and the record says why.

    Raises:
      KeyError: there is no such row.
    """
    if name not in TABLE:
        raise KeyError(f"choose: expected one of {', '.join(TABLE)}; found {name!r}.")
    row = TABLE[name]
    formulation, why = row.on(platform()), row.why
    refuse = (refusals or {}).get(formulation)
    if refusal := refuse() if refuse else "":
        formulation, why = row.other, f"no {formulation} here: {refusal}"
    if _record.value is not None:
        asking = sys._getframe(1)
        where = asking.f_code.co_filename, asking.f_code.co_qualname
        _record.value.add(Choice(name, formulation, why, *where, tuple(_callers(asking)), bool(refusal)))
    return formulation


def _callers(frame: types.FrameType) -> Iterator[tuple[str, int]]:
    caller = frame.f_back
    while caller is not None:
        if not caller.f_code.co_filename.startswith(_JAX):
            yield caller.f_code.co_filename, caller.f_lineno
        caller = caller.f_back


@contextlib.contextmanager
def target(platform: str, chip: str = "") -> Iterator[None]:
    """Traces for another backend than the default one, and for a chip of it.

    >>> with target("tpu", "v5p"):
    ...     choose("dense"), machine()
    ('batched', 'tpu:v5p')
    """
    with _target(f"{platform}:{chip}" if chip else platform):
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


def make_deterministic(environ: MutableMapping[str, str] = os.environ) -> None:
    """Lets a GPU run only what gives the same bits each time, without which no run there is another's equal.

    It is XLA's flag `--xla_gpu_deterministic_ops=true`; one that the user has set to anything stays. Must come before
    anything is computed: XLA reads its flags once. Other backends take no notice.

    >>> environ = {"XLA_FLAGS": "--xla_dump_to=dumps"}
    >>> make_deterministic(environ)
    >>> environ["XLA_FLAGS"]
    '--xla_dump_to=dumps --xla_gpu_deterministic_ops=true'
    """
    flags = environ.get("XLA_FLAGS", "")
    if not _said(flags):
        environ["XLA_FLAGS"] = f"{flags} {_DETERMINISTIC}=true".strip()


def nondeterminism(environ: Mapping[str, str] = os.environ) -> str:
    """Why two equal runs may differ in their bits on this backend, and what to do; "" where they do not.

    >>> nondeterminism({}) if jax.default_backend() == "cpu" else ""
    ''
    """
    said = _said(environ.get("XLA_FLAGS", ""))
    if jax.default_backend() != "gpu" or (said and said[-1] in ("", "true", "True", "1")):
        return ""
    return (
        "on this GPU two equal runs may differ in their last bits, and so may a resumed run and one that was never "
        f"stopped: set XLA_FLAGS={_DETERMINISTIC}=true before the program starts, or call "
        "jnn.backend.make_deterministic() first."
    )


def _said(flags: str) -> list[str]:
    """The values that the flag is given, of which the last counts; "" where it is named alone."""
    found = (flag.partition("=") for flag in flags.split())
    return [value for name, _, value in found if name == _DETERMINISTIC]
