"""The environment of programs that tests start.

ALONE          one device a process: without XLA's flags of the tests
COMPILED       the same, for a few programs that are started again and again: they share what JAX has compiled
"""

import os

ALONE = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
COMPILED = ALONE | {
    "JAX_COMPILATION_CACHE_DIR": os.environ["JNN_COMPILED"] + "/programs",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
}
