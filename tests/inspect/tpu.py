"""A TPU's compiler, where it is installed: no chip is needed."""

import importlib.util
import os

import pytest
from jax.experimental import topologies


def topology(name):
    """The chips of a topology such as "v5e:2x2"; skips the test where there is no libtpu."""
    if "TPU_LIBRARY_PATH" not in os.environ and importlib.util.find_spec("libtpu") is None:
        pytest.skip("no libtpu: pip install 'jnn[tpu]', or name its libtpu.so in TPU_LIBRARY_PATH")
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")  # tests run in several processes
    return topologies.get_topology_desc(platform="tpu", topology_name=name)
