"""`import jnn` brings in JAX and nothing heavy: the rest comes when a room that needs it is entered."""

import subprocess
import sys

import jnn

HEAVY = ["optax", "flax", "chex", "orbax", "grain", "matplotlib", "sklearn", "rich", "tyro", "torch"]


def test_import_brings_in_nothing_heavy():
    code = f"import sys, jnn; print([m for m in {HEAVY} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


def test_every_name_on_the_front_page_is_there():
    assert all(getattr(jnn, name) is not None for name in jnn.__all__)
