"""The chips that a step may be compiled for: one table, each number as its maker publishes it.

    CHIPS["v5p"] -> Chip

All are numbers of one *device* as JAX shows it; a TPU7x chip is two of them.
"""

from __future__ import annotations

import dataclasses
import os

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
    """Chip: what a device can do at best; None where nothing is published, as of a CPU. Rates are of a second."""

    name: str  # as in the name of a topology
    platform: str  # as `jnn.backend.target` takes it
    memory: int | None = None  # bytes that programs may have, all of them together
    flops: float | None = None  # products of bfloat16 with sums in float32
    bandwidth: float | None = None  # bytes between a device and its memory
    link: float | None = None  # bytes, each way, of one wire to a neighbour in the torus
    most: int | None = None  # chips of one slice; None where slices are not published, as of nodes
    ring: int = 0  # a multiple of this many chips closes into a ring
    cubes: bool = False  # whether rings close only where every axis of the torus is such a multiple
    switch: float | None = None  # bytes, each way, to all others, where a switch stands between them
    network: float | None = None  # bytes, each way, to another slice or node
    cores: int = 1  # how many devices a chip is
    between_cores: float | None = None  # bytes between the devices of one chip
    cache: int = 0  # bytes of one that programs know nothing of
    spare: float = 0.0  # of a program's bytes: what the allocator loses between its pieces

    @property
    def capacity(self) -> int | None:
        """Bytes that a program may have: of a GPU's memory, the share that JAX's allocator takes for itself."""
        if self.memory is None or self.platform != "cuda":
            return self.memory
        return int(self.memory * float(os.environ.get("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.75")))


# Google Cloud's pages "TPU v5e", "TPU v5p", "TPU v6e" and "TPU7x (Ironwood)": peak in bfloat16, memory bandwidth, and
# - interconnect, published both ways and of all ports of a chip: 400 GB/s of 4 ports (v5e), 1,200 of 6 (v5p, TPU7x),
#   800 of 4 (v6e); hence one port, one way;
# - the chips of the largest pod: 256 (v5e, v6e), 8,960 (v5p), 9,216 (TPU7x);
# - network per chip in bits: 50 Gb/s (v5p), 100 (v6e, TPU7x); 6.4 Tb/s of a pod of 256 (v5e).
# Which axes close into rings: "How to Scale Your Model", Austin et al., 2025, "How to Think About TPUs".
# The memory is what the compiler itself gives as "available HBM" (libtpu 0.0.42.1); the rest is the runtime's.
# "NVIDIA H100 / H200 Tensor Core GPU", data sheets, SXM: dense; NVLink's 900 GB/s are both ways; 400 Gb/s a GPU between
# nodes is that of NVIDIA's own DGX H100. The cache is the second level's ("NVIDIA H100 Tensor Core GPU Architecture").
# Of the spare one number is measured: four steps of GPT-2 held up to 0.5% more on an H200 than their programs say.
CHIPS = {
    chip.name: chip for chip in (
        Chip("v5e", "tpu", int(15.75 * GIB), 197e12, 819e9, link=50e9, most=256, ring=16, network=3.125e9),
        Chip("v5p", "tpu", int(95.74 * GIB), 459e12, 2765e9, link=100e9, most=8960, ring=4, cubes=True, network=6.25e9),
        Chip("v6e", "tpu", int(31.25 * GIB), 918e12, 1638e9, link=100e9, most=256, ring=16, network=12.5e9),
        # two devices share a chip and its wires; between them it is "six times" a wire, says the page
        Chip("tpu7x", "tpu", int(94.75 * GIB), 2307e12 / 2, 7380e9 / 2, link=100e9 / 2, most=9216, ring=4, cubes=True,
             network=12.5e9 / 2, cores=2, between_cores=600e9),
        Chip("h100", "cuda", 80 * 10**9, 989.4e12, 3350e9, switch=450e9, network=50e9, cache=50 * 2**20, spare=0.01),
        Chip("h200", "cuda", 141 * 10**9, 989.4e12, 4800e9, switch=450e9, network=50e9, cache=50 * 2**20, spare=0.01),
        Chip("cpu", "cpu"),
    )
}  # fmt: skip
