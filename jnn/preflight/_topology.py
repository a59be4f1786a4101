"""Machines that need not be there: devices to compile for, from a short string.

    topology("v5p:8x8x8") -> Topology
    set_cpu_devices("cpu:8")                          before JAX has devices: as many of the CPU as that name says

A slice of a pod is a torus of two axes (v5e, v6e) or three (v5p, tpu7x); `2*v5e:16x16` are two of them, with a network
between; `4*h200:8` four nodes of eight GPUs; `cpu:8` this process's own devices. Compilers come with `jnn[tpu]` and
`jnn[cuda]`.

Law: no accelerator is there, and none is asked for. The devices can be compiled for, and nothing can be run on them
(but on the CPU's).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.util
import math
import os
import re
from collections.abc import Sequence
from typing import Any

import jax
from jax.experimental import topologies

from jnn.preflight._chips import CHIPS, Chip
from jnn.preflight._hopper import target


@dataclasses.dataclass(frozen=True)
class Topology:
    """Topology: devices to compile for, and how they are wired."""

    name: str
    chip: Chip
    slices: int
    shape: tuple[int, ...]  # of one slice, in chips
    devices: tuple[jax.Device, ...]

    @property
    def chips(self) -> int:
        """How many are paid for."""
        return len(self.devices) // self.chip.cores

    @property
    def hosts(self) -> int:
        """How many processes run the step."""
        return len({(self.slice_of(device), device.process_index) for device in self.devices})

    def slice_of(self, device: jax.Device) -> int:
        """The slice, or the node, that a device is in: between these is the network."""
        return device.process_index if self.chip.switch else getattr(device, "slice_index", 0) or 0

    def closed(self, axis: int) -> bool:
        """Whether an axis of the torus is a ring, not a line."""
        ring = self.chip.ring
        if not ring:
            return False
        sizes = self.shape if self.chip.cubes else self.shape[axis : axis + 1]
        return all(size % ring == 0 for size in sizes)


def topology(name: str) -> Topology:
    """Topology: the machine of that name, such as "v5p:8x8x8", "2*v5e:16x16", "h100:8" or "cpu:8".

    Raises:
      ValueError: the name is not of that form, or there is no such machine.
      RuntimeError: what compiles for it is not installed, or there are too few devices (`cpu:8`).

    >>> topology("cpu:1").devices == tuple(jax.devices("cpu")[:1])
    True
    """
    slices, chip, shape = _parse(name)
    if chip.platform == "cpu":
        devices = _here(name, shape[0])
    elif chip.platform == "tpu":
        _needs(has_libtpu(), name, "a TPU's", "tpu", ", or name a libtpu.so in TPU_LIBRARY_PATH.")
        devices = _described(name, "tpu", f"{chip.name}:{'x'.join(map(str, shape))}", num_slices=slices)
    else:
        found = any(importlib.util.find_spec(f"jax_cuda{version}_plugin") for version in (12, 13))
        _needs(found, name, "CUDA's", "cuda", "")
        devices = _described(name, "cuda", "", target_config=target(chip), topology=f"1x{slices}x{shape[0]}")
    return Topology(name, chip, slices, shape, tuple(devices))


def _parse(name: str) -> tuple[int, Chip, tuple[int, ...]]:
    """How many slices, of which chip, of which shape."""
    match = re.fullmatch(r"(?:([1-9]\d*)\*)?(\w+):([1-9]\d*(?:x[1-9]\d*){0,2})", name)
    if match is None or match[2] not in CHIPS:
        known = f"the chips are {', '.join(CHIPS)}"
        raise ValueError(f"topology: expected a name such as v5p:8x8x8, 2*v5e:16x16 or cpu:8, found {name!r}; {known}.")
    chip, shape = CHIPS[match[2]], tuple(map(int, match[3].split("x")))
    axes = (1,) if chip.platform != "tpu" else (3,) if chip.cubes else (2,)
    if len(shape) not in axes or (match[1] and chip.platform == "cpu"):
        raise ValueError(
            f"topology: {chip.name} is wired along {axes[0]} {'axis' if axes == (1,) else 'axes'}, found {name!r}. "
            f"Write {chip.name}:{'x'.join('4' * axes[0])}, say{'' if chip.platform == 'cpu' else ', or 2* that'}."
        )
    if chip.most is not None and math.prod(shape) > chip.most:
        raise ValueError(
            f"topology: a slice of {chip.name} has at most {chip.most:,} chips, found {name!r} with "
            f"{math.prod(shape):,}. Write fewer, or several slices, such as 2*{chip.name}:{'x'.join('4' * axes[0])}."
        )
    return int(match[1] or 1), chip, shape


def set_cpu_devices(name: str) -> None:
    """Lets the CPU be as many devices as `cpu:8` needs; for any other machine, does nothing.

    Where there are as many already, by `XLA_FLAGS` or `JAX_NUM_CPU_DEVICES`, nothing changes. It comes before JAX is
    first asked for its devices: their number is then fixed, and `topology` says what is missing.

    Raises:
      ValueError: as `topology`.
    """
    _, chip, shape = _parse(name)
    if chip.platform != "cpu" or shape[0] <= _cpus():
        return
    with contextlib.suppress(RuntimeError):  # JAX has its devices: too late, which `topology` explains
        jax.config.update("jax_num_cpu_devices", shape[0])


def _cpus() -> int:
    """How many devices the CPU will be: what JAX's own setting says, or the last of XLA's flags, or one."""
    if (said := jax.config.values["jax_num_cpu_devices"]) > 0:
        return int(said)
    flags = re.findall(r"--xla_force_host_platform_device_count=(\d+)", os.environ.get("XLA_FLAGS", ""))
    return int(flags[-1]) if flags else 1


def _here(name: str, count: int) -> Sequence[jax.Device]:
    devices = jax.devices("cpu")
    if len(devices) < count:
        raise RuntimeError(
            f"topology: {name} needs {count} devices, this process has {len(devices)}. Call "
            f"jax.config.update('jax_num_cpu_devices', {count}) first, or set "
            f"XLA_FLAGS=--xla_force_host_platform_device_count={count}."
        )
    return devices[:count]


def has_libtpu() -> bool:
    """Whether a TPU's compiler is installed."""
    return "TPU_LIBRARY_PATH" in os.environ or importlib.util.find_spec("libtpu") is not None


def _needs(installed: bool, name: str, whose: str, extra: str, more: str) -> None:
    if not installed:
        raise RuntimeError(
            f"topology: {name} needs {whose} compiler, which is not installed. It comes with: "
            f"pip install 'jnn[{extra}]'{more}"
        )


@functools.cache
def _described(name: str, platform: str, topology_name: str, **options: Any) -> Sequence[jax.Device]:
    """Asked for once: devices of two descriptions are not the same devices, and what is compiled is kept by them."""
    if platform == "tpu" and "TPU_SKIP_MDS_QUERY" in os.environ:  # which JAX sets where there is no TPU
        os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")  # libtpu would complain that nobody says so
        os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-1")
    try:
        return topologies.get_topology_desc(platform=platform, topology_name=topology_name, **options).devices
    except jax.errors.JaxRuntimeError as error:
        if "INVALID_ARGUMENT" not in str(error):
            raise
        raise ValueError(f"topology: there is no {name}: {str(error).partition(': ')[2]}") from error
