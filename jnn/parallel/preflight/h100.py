"""An H100 as XLA's compiler wants it described, for a machine that has none.

TARGET is a `GpuTargetConfigProto` as text. Its limits are those of compute capability 9.0 in the "CUDA C++ Programming
Guide", table "Technical Specifications per Compute Capability", and of the card (SXM5) in its data sheet.
"""

from __future__ import annotations

LIMITS = {
    "threads_per_block_limit": 1024,
    "threads_per_warp": 32,
    "shared_memory_per_block": 48 * 2**10,
    "shared_memory_per_block_optin": 227 * 2**10,
    "shared_memory_per_core": 228 * 2**10,
    "threads_per_core_limit": 2048,
    "core_count": 132,
    "fpus_per_core": 128,
    "block_dim_limit_x": 2**31 - 1,
    "block_dim_limit_y": 2**16 - 1,
    "block_dim_limit_z": 2**16 - 1,
    "memory_bandwidth": 3350 * 10**9,
    "l2_cache_size": 50 * 2**20,
    "clock_rate_ghz": 1.98,
    "device_memory_size": 80 * 10**9,
    "registers_per_core_limit": 2**16,
    "registers_per_block_limit": 2**16,
}

TARGET = "\n".join(
    [
        "gpu_device_info {",
        *(f"  {name}: {value}" for name, value in LIMITS.items()),
        "  cuda_compute_capability { major: 9 }",
        "}",
        'platform_name: "CUDA"',
        "dnn_version_info { major: 9 minor: 7 }",
        "runtime_version { major: 12 minor: 8 }",
        'device_description_str: "NVIDIA H100 80GB HBM3"',
    ]
)
