"""An H100 or an H200 as XLA's compiler wants it described, for a machine that has none.

    target(chip) -> a `GpuTargetConfigProto` as text
    OPTIONS                                          of its compiler, where no card is there to try kernels on

The limits are those of compute capability 9.0 in the "CUDA C++ Programming Guide", table "Technical Specifications per
Compute Capability", and of the card (SXM5) in its data sheet; the two differ in their memory alone.
"""

from __future__ import annotations

from jnn.preflight._chips import Chip

# With a card, XLA times kernels for each product and takes the fastest; without one it writes all of them by Triton,
# fused with what makes their factors. On an H200 (2026-11-27, JAX 0.11.2) steps of GPT-2 held one value of the logits'
# size more than that, for the products there were cuBLAS's: 8.1 and 31.6 GB in place of 6.5 and 28.4. So compiled,
# the program needs 8.11 and 31.65.
OPTIONS = {"xla_gpu_enable_triton_gemm": False}


def target(chip: Chip) -> str:
    """The description of a card with that chip's memory.

    >>> from jnn.preflight import CHIPS
    >>> print(target(CHIPS["h200"]).splitlines()[-1])
    device_description_str: "NVIDIA H200"
    """
    return f"""gpu_device_info {{
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: {48 * 2**10}
  shared_memory_per_block_optin: {227 * 2**10}
  shared_memory_per_core: {228 * 2**10}
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: {2**31 - 1}
  block_dim_limit_y: {2**16 - 1}
  block_dim_limit_z: {2**16 - 1}
  l2_cache_size: {chip.cache}
  clock_rate_ghz: 1.98
  registers_per_core_limit: {2**16}
  registers_per_block_limit: {2**16}
  device_memory_size: {chip.memory}
  memory_bandwidth: {int(chip.bandwidth or 0)}
  cuda_compute_capability {{ major: 9 }}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 7 }}
runtime_version {{ major: 12 minor: 8 }}
device_description_str: "NVIDIA {chip.name.upper()}"
"""
