"""The environment of programs that tests start.

ALONE          one device a process: of XLA's flags of the tests those alone that make it compile in less time
COMPILED       the same, for a few programs that are started again and again: they share what JAX has compiled
"""

import os

FLAGS = [flag for flag in os.environ["XLA_FLAGS"].split() if "device_count" not in flag]
ALONE = os.environ | {"XLA_FLAGS": " ".join(FLAGS)}
COMPILED = ALONE | {
    "JAX_ENABLE_COMPILATION_CACHE": "true",
    "JAX_COMPILATION_CACHE_DIR": os.environ["JNN_COMPILED"] + "/programs",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
}
