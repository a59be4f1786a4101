"""Compiled programs are kept on the disk, and a run that starts again reads what the last one had to compile.

keep()    asks JAX for it, below ~/.cache/jnn/compiled; its own JAX_COMPILATION_CACHE_DIR says another place
"""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

import jax


def keep() -> None:
    """Tells JAX to, where nobody has told it a place; not where there is no home, or none that can be written to."""
    if jax.config.jax_compilation_cache_dir is None:
        try:
            folder = Path.home() / ".cache" / "jnn" / "compiled" / instruction_set()
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):  # the second is pathlib's, of a user who has no home
            return
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


def instruction_set() -> str:
    """A name of what this processor can execute: a home may be seen from machines of several kinds."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux: one kind of processor a machine's name
        lines = [f"flags: {platform.processor()}"]
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return f"{platform.machine()}-{hashlib.sha256(flags.encode()).hexdigest()[:12]}"
